import fcntl
import json
from pathlib import Path

import pytest

from image import build
from image.errors import BuildError
from image.namespace import run_in_namespace
from image.recipe import PROFILES, image_id


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_an_image_that_is_there_is_not_built_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = image_id(PROFILES["standard"])
    (tmp_path / name).mkdir()
    assert build.main(["--output", str(tmp_path)]) == 0
    assert lines(capsys)[-1]["id"] == name


def test_two_builds_at_once_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert build.main(["--output", str(tmp_path)]) == 1
    assert "Another build" in str(lines(capsys)[-1]["error"])


def test_what_is_missing_is_named_with_its_package(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking() -> None:
        raise BuildError("This machine lacks mtools.", "apt-get install mtools")

    monkeypatch.setattr(build, "require_packages", lacking)
    assert build.main(["--output", str(tmp_path)]) == 1
    assert lines(capsys)[-1] == {
        "error": "This machine lacks mtools.",
        "hint": "apt-get install mtools",
    }


def test_leftovers_of_a_killed_build_are_removed(tmp_path: Path) -> None:
    leftover = tmp_path / ".building-x" / "root"
    leftover.mkdir(parents=True)
    (tmp_path / "standard-trixie-0").mkdir()
    build._remove_unfinished(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["standard-trixie-0"]


def test_the_namespace_is_root_and_its_mounts_stay_in_it(tmp_path: Path) -> None:
    import os
    import subprocess

    def work() -> int:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "none", str(tmp_path)], check=False)
        return 3 if os.geteuid() == 0 and os.getpid() == 1 and mounted.returncode == 0 else 1

    try:
        code = run_in_namespace(work)
    except BuildError as error:
        pytest.skip(error.message)
    assert code == 3
    assert not tmp_path.is_mount()


def test_a_crash_in_the_namespace_is_told_by_its_code() -> None:
    def work() -> int:
        raise RuntimeError("on purpose")

    try:
        assert run_in_namespace(work) == 70
    except BuildError as error:
        pytest.skip(error.message)
