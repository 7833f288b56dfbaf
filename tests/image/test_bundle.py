"""A program in fewer files does what it did, with the real Node.js and the real bundler."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from image.recipe import HERE, PROFILES
from tests.support.node import NODE, npm_install

PARTS = 20
MODULES = {
    "dist/entry.mjs": """
        import { Worker } from "node:worker_threads";
        const { start } = await import("./start.mjs");
        const of_worker = await new Promise((tell) =>
          new Worker(new URL("./infra/store.worker.js", import.meta.url), { env: {}, execArgv: [] })
            .on("message", tell));
        const another = await import(["./extensions", "another.js"].join("/"));
        console.log(JSON.stringify({ ...start(), of_worker, another: another.told() }));
    """,
    "dist/start.mjs": """
        import { order } from "./order.mjs";
        import "./parts.mjs";
        import { even } from "./even.mjs";
        import { count, increase } from "./counter.mjs";
        import { address, beside } from "./infra/where.js";
        import { kinds } from "many";
        import { Shape } from "many/shapes/shape";
        import { told } from "old";
        order.push("start");
        export const start = () => {
          increase();
          const same = kinds.every((kind) => Object.getPrototypeOf(kind) === Shape);
          return { count, ten: even(10), address, beside, same, corners: Shape.corners, told, order };
        };
    """,
    "dist/order.mjs": "export const order = ['order'];",
    "dist/counter.mjs": """
        import { order } from "./order.mjs";
        order.push("counter");
        export let count = 0;
        export const increase = () => { count += 1; };
    """,
    "dist/even.mjs": """
        import { odd } from "./odd.mjs";
        export function even(number) { return number === 0 || odd(number - 1); }
    """,
    "dist/odd.mjs": """
        import { even } from "./even.mjs";
        export function odd(number) { return number !== 0 && even(number - 1); }
    """,
    "dist/infra/where.js": """
        import { readFileSync } from "node:fs";
        export const address = import.meta.url;
        export const beside = readFileSync(new URL("./beside.txt", import.meta.url), "utf8");
        export const text = "import.meta.url";
    """,
    "dist/infra/store.worker.js": """
        import { parentPort } from "node:worker_threads";
        import { order } from "../order.mjs";
        import { count } from "../counter.mjs";
        import { text } from "./where.js";
        parentPort.postMessage({ order, count, text });
    """,
    "dist/extensions/another.js": """
        import { count, increase } from "../counter.mjs";
        export const told = () => { increase(); return count; };
    """,
    "node_modules/many/index.js": """
        export { Circle } from "./circle.js";
        export { Square } from "./square.js";
        import { Circle } from "./circle.js";
        import { Square } from "./square.js";
        export const kinds = [Circle, Square];
    """,
    "node_modules/many/circle.js": """
        import { Shape } from "./shapes/shape.js";
        export class Circle extends Shape {}
    """,
    "node_modules/many/square.js": """
        import { Shape } from "./shapes/shape.js";
        export class Square extends Shape {}
    """,
    "node_modules/many/shapes/shape.js": """
        import corners from "../common/corners.cjs";
        export class Shape { static corners = corners; }
    """,
    "node_modules/many/common/corners.cjs": "module.exports = 4;",
    "node_modules/old/index.js": "exports.told = require('./part.js');",
    "node_modules/old/part.js": "module.exports = 'an old part';",
    "dist/parts.mjs": "".join(f'import "./part-{number}.mjs";' for number in range(PARTS)),
    **{f"dist/part-{number}.mjs": f"export const part = {number};" for number in range(PARTS)},
}
OTHERS = {
    "package.json": {"type": "module"},
    "node_modules/many/package.json": {
        "type": "module",
        "exports": {
            ".": {"types": "./index.d.ts", "import": "./index.js", "require": "./index.cjs"},
            "./shapes/*": "./shapes/*.js",
        },
    },
    "node_modules/old/package.json": {},
}


@dataclass(frozen=True)
class Program:
    """A small one that has what OpenClaw has: threads, cycles, addresses, state, and a package."""

    place: Path
    bundler: Path

    def told(self) -> dict[str, object]:
        return json.loads(self._node(self.place / "dist/entry.mjs"))

    def record(self, records: Path) -> None:
        records.mkdir()
        recorder = Path(shutil.copy(HERE / "bundling" / "record.cjs", records))
        self._node("--require", recorder, self.place / "dist/entry.mjs")

    def bundle(self, records: Path) -> str:
        return self._node(self.bundler, self.place / "dist", records)

    def write(self, name: str, text: str) -> None:
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def _node(self, *arguments: str | Path) -> str:
        done = subprocess.run([NODE, *arguments], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout


def files_loaded(records: Path) -> list[str]:
    lines = [line for file in records.glob("*-*") for line in file.read_text().splitlines()]
    return [line for line in lines if line.startswith("file:")]


@pytest.fixture(scope="session")
def bundler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("bundling")
    npm_install(f"rolldown@{PROFILES['standard'].rolldown}", place)
    return Path(shutil.copy(HERE / "bundling" / "bundle.mjs", place))


@pytest.fixture
def program(tmp_path: Path, bundler: Path) -> Program:
    made = Program(tmp_path / "program", bundler)
    for name, text in MODULES.items():
        made.write(name, text)
    for name, about in OTHERS.items():
        made.write(name, json.dumps(about))
    made.write("dist/infra/beside.txt", "what is beside it")
    return made


def test_a_bundled_program_does_what_it_did_in_fewer_files(program: Program, tmp_path: Path):
    before = program.told()
    assert before["count"] == 1
    assert before["beside"] == "what is beside it"
    assert before["same"] is True
    assert before["of_worker"] == {
        "order": ["order", "counter"],
        "count": 0,
        "text": "import.meta.url",
    }
    program.record(tmp_path / "records")
    program.bundle(tmp_path / "records")
    assert program.told() == before
    program.record(tmp_path / "again")
    saved = len(files_loaded(tmp_path / "records")) - len(files_loaded(tmp_path / "again"))
    assert saved > PARTS


def test_a_module_exists_once_whoever_imports_it(program: Program, tmp_path: Path):
    """`another.js` counts on with the counter of `start.mjs`, which it reaches by another way."""
    program.record(tmp_path / "records")
    (tmp_path / "records").joinpath("7-0").write_text("node:fs\n")
    program.bundle(tmp_path / "records")
    told = program.told()
    assert (told["count"], told["another"]) == (1, 2)
    assert told["order"] == ["order", "counter", "start"]


def test_what_cannot_be_kept_is_refused_by_name(program: Program, tmp_path: Path):
    program.write("dist/order.mjs", "export const order = ['order', import.meta.filename && ''];")
    program.record(tmp_path / "records")
    with pytest.raises(AssertionError, match=r"order\.mjs asks import\.meta for its filename"):
        program.bundle(tmp_path / "records")


def test_packages_are_bundled_unless_they_are_of_the_older_kind(program: Program, tmp_path: Path):
    program.record(tmp_path / "records")
    told = program.bundle(tmp_path / "records")
    assert "many: 4 modules, 1 bundles" in told
    assert "old:" not in told
    after = program.told()
    assert (after["same"], after["corners"], after["told"]) == (True, 4, "an old part")
