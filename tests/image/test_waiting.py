"""The launcher, compiled from its source, and the process that waits for `lebureau-guest apply`."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.support import until

SOURCES = Path(__file__).parents[2] / "image/files/usr/local/lib/lebureau"
COMPILER = shutil.which("cc") or shutil.which("tcc")
WAITS = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from lebureau_guest.waiting import wait

def answer(request):
    if request == "fail":
        raise SystemExit
    print("took", request)
    if request == "stay":
        sys.stdout.flush()
        if os.fork() == 0:
            time.sleep(600)
    return 0

wait(answer, Path(sys.argv[2]))
"""

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the launcher and the program that it stands for."""
    folder = tmp_path_factory.mktemp("launcher")
    program = folder / "program"
    program.write_text("#!/bin/sh\necho program $*; cat\n")
    program.chmod(0o755)
    places = [f'-DPROGRAM="{program}"', f'-DSOCKET="{folder / "s"}"']
    source = SOURCES / "launcher" / "launcher.c"
    assert COMPILER
    command = [COMPILER, *places, "-o", folder / "launcher", source]
    subprocess.run(command, check=True, timeout=60)
    return folder


@pytest.fixture
def waiting(place: Path) -> Iterator[None]:
    """Somebody who waits; whatever it has started ends with it."""
    command = [sys.executable, "-c", WAITS, SOURCES, place / "s"]
    process = subprocess.Popen(command, start_new_session=True)
    until((place / "s").exists, 20, "it waits")
    yield
    os.killpg(process.pid, 9)
    process.wait()
    (place / "s").unlink()


def launch(place: Path, *arguments: str, said: str = "") -> tuple[int, str]:
    """Exit code and output of the launcher."""
    done = subprocess.run(
        [place / "launcher", *arguments], input=said, capture_output=True, text=True, timeout=20
    )
    return done.returncode, done.stdout


def test_a_request_is_carried_out_by_who_waits(place: Path, waiting: None):
    assert launch(place, "apply", said="one") == (0, "took one\n")
    long = "x" * 300_000
    assert launch(place, "apply", said=long) == (0, f"took {long}\n")


def test_what_is_left_running_holds_nobody_up(place: Path, waiting: None):
    assert launch(place, "apply", said="stay") == (0, "took stay\n")
    assert launch(place, "apply", said="two") == (0, "took two\n")


def test_one_that_fails_says_so_and_the_next_is_served(place: Path, waiting: None):
    assert launch(place, "apply", said="fail")[0] == 1
    assert launch(place, "apply", said="three") == (0, "took three\n")


def test_nobody_else_may_use_it(place: Path, waiting: None):
    assert stat.S_IMODE((place / "s").stat().st_mode) == 0o600


def test_the_program_does_it_where_nobody_waits(place: Path):
    assert launch(place, "apply", said="four") == (0, "program apply\nfour")


def test_all_else_is_for_the_program(place: Path, waiting: None):
    assert launch(place, "boot") == (0, "program boot\n")
    assert launch(place, "apply", "now") == (0, "program apply now\n")
