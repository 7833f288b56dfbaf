"""What is built beside the tests."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.e2e.support import until
from tests.support.building import ROOT, building, is_built

ENDLESS = """
import pathlib, subprocess, sys
with subprocess.Popen(["sleep", "600"]) as sleeping:
    pathlib.Path(sys.argv[-1], "child").write_text(str(sleeping.pid))
"""
KILLED = """
import os, sys
from pathlib import Path
from tests.test_building import ENDLESS, building, child_of
with building(sys.executable, "-c", ENDLESS, sys.argv[-1]) as build:
    child_of(Path(sys.argv[-1]))
    Path(sys.argv[-1], "build").write_text(str(build.process.pid))
    os.kill(os.getpid(), 9)
"""


def child_of(images: Path) -> psutil.Process:
    """The process that the endless build into these images has started."""
    note = images / "child"
    return psutil.Process(int(until(lambda: note.exists() and note.read_text(), 30, "it works")))


def test_a_build_that_failed_is_told_in_its_own_words(tmp_path: Path):
    with building(sys.executable, "-c", "raise SystemExit('the mirror is gone')") as build:
        with pytest.raises(AssertionError, match="the mirror is gone"):
            build.wait()


def test_a_build_that_succeeds_can_be_waited_for_again(tmp_path: Path):
    with building("mkdir", tmp_path / "made") as build:
        build.wait()
        build.wait()
    assert (tmp_path / "made").is_dir()
    assert not is_built(tmp_path)


def test_nothing_of_a_build_outlives_the_tests(tmp_path: Path):
    with building(sys.executable, "-c", ENDLESS, tmp_path):
        child = child_of(tmp_path)
    child.wait(10)


def test_a_build_ends_where_the_tests_are_killed(tmp_path: Path):
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, timeout=60, check=False)
    build = int((tmp_path / "build").read_text())
    until(lambda: not psutil.pid_exists(build), 10, "the build has ended")
    os.kill(child_of(tmp_path).pid, 9)
