"""Reseeding with the real Node.js, the addon compiled from its source, and a process that is stuck."""

import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lebureau_guest import randomness
from lebureau_guest.machine import Machine

from image.recipe import FILES
from tests.support.node import NODE

SOURCES = FILES / "usr/local/lib/lebureau/reseed"
COMPILER = shutil.which("tcc") or shutil.which("cc")
STUCK = """
import socket, sys, time
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("listening", flush=True)
time.sleep(600)
"""
ODDITIES = """
const { randomUUID } = require("node:crypto");
const { Worker } = require("node:worker_threads");
const draw = "[Math.random.name, String(Math.random).includes('randomFillSync')]";
const source = `require("node:worker_threads").parentPort.postMessage(${draw})`;
const worker = new Worker(source, { eval: true });
worker.on("message", (inWorker) => {
  const uuids = Array.from({ length: 300 }, () => randomUUID());
  uuids.push(crypto.randomUUID(), require("node:crypto").webcrypto.randomUUID());
  const numbers = Array.from({ length: 1000 }, Math.random);
  console.log(JSON.stringify({ uuids, numbers, inMain: eval(draw), inWorker }));
  setInterval(() => {}, 1000);
});
"""
HOARDER = """
let garbage = Array.from({ length: 1e5 }, (_, n) => ({ n, text: `${n}` }));
const before = process.memoryUsage().heapUsed;
garbage = null;
console.log("full");
const timer = setInterval(() => {
  if (process.memoryUsage().heapUsed > before - 4e6) return;
  console.log("less");
  clearInterval(timer);
}, 10);
"""


@pytest.fixture(scope="module")
def preload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The preload with its addon, and its sockets beside it."""
    if COMPILER is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("reseed")
    (folder / "run").mkdir()
    script = (SOURCES / "preload.cjs").read_text()
    assert randomness.SOCKETS in script
    (folder / "preload.cjs").write_text(script.replace(randomness.SOCKETS, f"{folder}/run"))
    addon = [COMPILER, "-shared", "-fPIC", "-o", folder / "reseed.node"]
    subprocess.run([*addon, SOURCES / "reseed.c", "-lpthread"], check=True, timeout=60)
    return folder / "preload.cjs"


@contextmanager
def running(preload: Path, program: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [NODE, f"--require={preload}", "--eval", program], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def node(preload: Path) -> Iterator["subprocess.Popen[str]"]:
    with running(preload, ODDITIES) as process:
        yield process


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "dev").mkdir()
    (tmp_path / randomness.SOCKETS.lstrip("/")).mkdir(parents=True)
    return Machine(tmp_path)


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_node_draws_everything_at_the_moment_of_use(node: "subprocess.Popen[str]") -> None:
    drawn = json.loads(said(node))
    assert len(set(drawn["uuids"])) == 302
    assert len(set(drawn["numbers"])) == 1000
    assert all(0 <= number < 1 for number in drawn["numbers"])
    assert 0.4 < sum(drawn["numbers"]) / 1000 < 0.6
    assert drawn["inMain"] == drawn["inWorker"] == ["random", True]


def test_a_running_node_is_reseeded_from_outside(
    node: "subprocess.Popen[str]", preload: Path
) -> None:
    said(node)
    path = preload.parent / "run" / str(node.pid)
    assert randomness.reseed(path)
    assert randomness.reseed(path)
    node.send_signal(signal.SIGTERM)
    node.wait(10)
    assert not randomness.reseed(path)


@pytest.mark.timeout(60)
def test_a_running_node_collects_its_garbage_when_told(preload: Path) -> None:
    with running(preload, HOARDER) as process:
        assert said(process) == "full\n"
        process.send_signal(signal.SIGURG)
        assert said(process) == "less\n"
        assert process.wait(10) == 0


def test_half_a_seed_reseeds_nothing(node: "subprocess.Popen[str]", preload: Path) -> None:
    said(node)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(preload.parent / "run" / str(node.pid)))
        connection.sendall(b"short")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""
    assert randomness.reseed(preload.parent / "run" / str(node.pid))


def test_who_does_not_answer_is_ended(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(randomness, "PATIENCE_S", 0.2)
    path = machine.path(f"{randomness.SOCKETS}/1")
    with subprocess.Popen(
        [sys.executable, "-c", STUCK, path], stdout=subprocess.PIPE, text=True
    ) as stuck:
        assert said(stuck) == "listening\n"
        randomness.stir(machine, b"seed")
        assert stuck.wait(10) == -signal.SIGKILL
    assert not path.exists()
    assert machine.path("/dev/urandom").read_bytes() == b"seed"
