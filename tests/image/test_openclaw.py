"""The changes to OpenClaw's program, and what it loads before itself, with the real Node.js."""

import json
import subprocess
from pathlib import Path

import pytest

from image import openclaw
from image.errors import BuildError
from image.recipe import FILES
from tests.support.node import NODE

PATHS = FILES / "usr/local/lib/lebureau/openclaw/paths.cjs"
SCHEMAS = FILES / "usr/local/lib/lebureau/openclaw/schemas.cjs"
MIGRATED = FILES / "usr/local/lib/lebureau/openclaw/migrated.cjs"
COMPARED = """
const path = require("node:path");
const { join, normalize, resolve } = path;
require(process.argv[1]);
const asked = [
  ["/a/b"], ["/a/../b/./c/"], ["/a", "b"], ["/a\\0b"], ["/a", "b", "/c"], ["a", "/b"], ["a", "b"],
  ["a"], [""], ["/"], ["/a", ""], ["/a/b"], ["/a", "b"], ["..", "a"],
];
const told = (compute) => asked.map((parts) => compute(...parts));
const wrong = (compute) => { try { compute(1); return "nothing"; } catch (e) { return e.code; } };
const first = [told(path.join), told(path.resolve), asked.map(([one]) => path.normalize(one))];
const again = [told(path.join), told(path.resolve), asked.map(([one]) => path.normalize(one))];
const meant = [told(join), told(resolve), asked.map(([one]) => normalize(one))];
process.chdir("/usr");
console.log(JSON.stringify({
  first, again, meant, moved: path.resolve("a"), none: [path.join(), path.resolve()],
  wrong: [path.join, path.resolve, path.normalize].map(wrong),
}));
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that has every place that is changed, and a module that has none."""
    for number, (given, _) in enumerate(openclaw.CHANGES):
        (tmp_path / f"module-{number}.mjs").write_text(f"before\n{given}\nafter {given}\n")
    (tmp_path / "extensions").mkdir()
    (tmp_path / "extensions" / "another.js").write_text(openclaw.CHANGES[0][0])
    (tmp_path / "untouched.mjs").write_text("nothing of interest\n")
    return tmp_path


def test_every_place_is_changed_wherever_it_is(program: Path):
    before = (program / "untouched.mjs").stat().st_mtime_ns
    openclaw.change(program)
    for number, (_, ours) in enumerate(openclaw.CHANGES):
        assert (program / f"module-{number}.mjs").read_text() == f"before\n{ours}\nafter {ours}\n"
    assert (program / "extensions" / "another.js").read_text() == openclaw.CHANGES[0][1]
    assert (program / "untouched.mjs").stat().st_mtime_ns == before


@pytest.mark.parametrize("number", range(len(openclaw.CHANGES)))
def test_an_openclaw_without_such_a_place_is_refused_by_name(program: Path, number: int):
    (program / f"module-{number}.mjs").unlink()
    (program / "extensions" / "another.js").unlink()
    with pytest.raises(BuildError, match="any more") as refused:
        openclaw.change(program)
    assert openclaw.CHANGES[number][0].strip() in refused.value.message
    assert "image/openclaw.py" in refused.value.hint


def test_what_is_made_of_paths_is_the_same_with_a_memory():
    done = subprocess.run(
        [NODE, "-e", COMPARED, PATHS], capture_output=True, text=True, check=True, timeout=60
    )
    told = json.loads(done.stdout)
    assert told["first"] == told["again"] == told["meant"]
    assert told["moved"] == "/usr/a"
    assert told["none"] == [".", "/usr"]
    assert told["wrong"] == ["ERR_INVALID_ARG_TYPE"] * 3


def test_what_version_a_state_is_of_is_noted_beside_it(tmp_path: Path):
    package = tmp_path / "package.json"
    package.write_text('{"version": "1.2.3"}')
    ask = """
        const { isMigrated, noteMigrated } = require(process.argv[1]);
        const told = [isMigrated(process.argv[2])];
        noteMigrated(process.argv[2]);
        console.log(JSON.stringify([...told, isMigrated(process.argv[2])]));
    """

    def told() -> list[bool]:
        command = [NODE, "-e", ask, MIGRATED, package]
        done = subprocess.run(
            command, env={"HOME": str(tmp_path)}, capture_output=True, check=True, timeout=60
        )
        return json.loads(done.stdout)

    assert told() == [False, False], "without a state there is nothing to note it beside"
    (tmp_path / ".openclaw" / "state").mkdir(parents=True)
    assert told() == [False, True]
    package.write_text('{"version": "1.2.4"}')
    assert told() == [False, True]


def test_a_schema_that_was_right_is_not_examined_again(tmp_path: Path):
    ask = """
        const { DatabaseSync } = require("node:sqlite");
        const { issuesOf } = require(process.argv[1]);
        const database = new DatabaseSync(":memory:");
        let issues = ["drift"];
        let found = 0;
        const look = (expected, compatibility) =>
          issuesOf(() => (found += 1, issues), database, expected, compatibility, process.argv[2]);
        const told = [];
        const tell = (expected = "A", compatibility = {}) =>
          told.push([look(expected, compatibility), found]);
        tell(); tell();
        issues = [];
        tell(); tell();
        tell("B"); tell("A", { optional: true });
        database.exec("CREATE TABLE a (b)"); tell(); tell();
        database.exec("CREATE TEMP TABLE a (c)"); tell();
        console.log(JSON.stringify(told));
    """
    command = [NODE, "-e", ask, SCHEMAS, tmp_path / "note"]

    def told() -> list[list[object]]:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        return json.loads(done.stdout)

    drift = [["drift"], 1], [["drift"], 2]
    assert told() == [*drift, [[], 3], [[], 3], [[], 4], [[], 5], [[], 6], [[], 6], [[], 7]]
    assert told() == [[[], 0]] * 9, "another process knows it from the note"
    (tmp_path / "note").unlink()
    (tmp_path / "note").mkdir()
    assert told()[:4] == [*drift, [[], 3], [[], 3]], "without a note it is found out each time"
