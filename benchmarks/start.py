"""Times how desktops start: by a cold boot, by resuming the golden machine, by waking.

    python -m benchmarks.start [--rounds 10] [--cold-turns 10] [--together 5] [--cache DIR]

Two servers of its own take turns on this machine, one that resumes and one that boots. In every
round there is one desktop at a time, cold boot, resume, hibernation and wake, then a fork of that,
and then as many as asked for are created at once. Medians and their ratios to the cold boot are
printed at the end, with what a desktop costs in memory and disk. Run it on an otherwise idle
machine; the golden machine is made first where there is none.
"""

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from benchmarks.server import CACHE, LOOK_EVERY, PICTURE, ROOT, Bench, report, serving

HELD = "Free desktops that may run here"
PROMISED = "promised to a Free desktop, MB"
FAST = ("machine", "ssh", "screen", "terminal")
ENDED = ("done", "failed", "aborted")
IDLE_SECONDS = 5.0
WAIT_SECONDS = 300


@contextmanager
def scripted_model() -> Iterator[dict[str, str]]:
    """A model that answers at once; yields what a provider key for it takes."""
    port = "18951"
    command = [sys.executable, "-m", "tests.support.scripted_model", "--port", port]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL)
    try:
        yield {
            "name": "Scripted",
            "provider": "openai-compatible",
            "key": "sk-bench",
            "baseUrl": f"http://localhost:{port}/v1",
            "model": "scripted-1",
        }
    finally:
        process.terminate()
        process.wait(10)


def create(bench: Bench, kind: str, number: int) -> str:
    """Create a desktop and note when its channels can be used and when its agent replies."""
    print(f"{kind} {number}", flush=True)
    began = time.perf_counter()
    desktop_id = bench.call("POST", "/api/desktops", json={"name": f"{kind}-{number}"})["id"]
    bench.watch_lights(desktop_id, kind, began, (*FAST, PICTURE))
    bench.until(lambda: bench.is_at_rest(desktop_id, "running"))
    origin = bench.desktop(desktop_id)["origin"]
    if (origin == "golden") != (kind == "resume"):
        raise RuntimeError(f"a {kind} began from {origin}")
    return desktop_id


def talk(bench: Bench, kind: str, desktop_id: str, began: float) -> None:
    """Note the agent's first reply since `began`, and how long its second one takes."""
    for turn in ("first reply", "second reply"):
        asked = time.perf_counter()
        message = {"message": f"the {turn}", "wait": WAIT_SECONDS}
        run_id = bench.call("POST", f"/api/desktops/{desktop_id}/chat", json=message)["runId"]
        while (run := bench.call("GET", f"/api/runs/{run_id}"))["status"] not in ENDED:
            time.sleep(LOOK_EVERY)
        if run["reply"] != f"ECHO: the {turn}":
            raise RuntimeError(f"{turn}: {run}")
        ended = time.perf_counter()
        bench.note(f"{kind}: {turn}", ended - (began if turn == "first reply" else asked))


def round_of(booting: Bench, resuming: Bench, number: int, *, cold_turns: bool, many: int) -> None:
    """One cold boot, one resume, one hibernation and wake, one fork, and many resumes at once."""
    began = time.perf_counter()
    desktop_id = create(booting, "cold", number)
    if cold_turns:
        talk(booting, "cold", desktop_id, began)
    booting.destroy(desktop_id)
    began = time.perf_counter()
    desktop_id = create(resuming, "resume", number)
    talk(resuming, "resume", desktop_id, began)
    weigh(resuming, desktop_id, "after two turns")
    resuming.call("POST", f"/api/desktops/{desktop_id}/hibernate")
    asleep = resuming.until(lambda: resuming.is_at_rest(desktop_id, "hibernated"))
    resuming.note("hibernate", asleep)
    began = time.perf_counter()
    resuming.call("POST", f"/api/desktops/{desktop_id}/start")
    resuming.watch_lights(desktop_id, "wake", began, (*FAST, PICTURE))
    resuming.until(lambda: resuming.is_at_rest(desktop_id, "running"))
    talk(resuming, "wake", desktop_id, began)
    fork(resuming, desktop_id)
    resuming.destroy(desktop_id)
    together(resuming, many)


def fork(bench: Bench, desktop_id: str) -> None:
    """Fork a desktop; note when the fork can be used, and for how long the original halted."""
    began = time.perf_counter()
    forked = bench.call("POST", f"/api/desktops/{desktop_id}/fork", json={"count": 1})
    (fork_id,) = (each["id"] for each in forked["items"])
    bench.watch_lights(fork_id, "fork", began, (*FAST, PICTURE))
    bench.until(lambda: bench.is_at_rest(fork_id, "running"))
    *_, paused = re.findall(rf"{desktop_id} was paused for ([\d.]+) s", bench.log.read_text())
    bench.note("fork: pause of the original", float(paused))
    bench.destroy(fork_id)


def weigh(bench: Bench, desktop_id: str, when: str) -> None:
    """Note what a desktop's process and disk take, in MB.

    Private is what it alone makes the host keep; shared is the host's cache of files, those of the
    golden machine above all, which it would have for one more desktop too.
    """
    time.sleep(IDLE_SECONDS)
    rollup = _memory_of(desktop_id)
    private = rollup["Anonymous"]
    bench.note(f"PSS {when}, MB", rollup["Pss"] / 1000)
    bench.note(f"private {when}, MB", private / 1000)
    bench.note(f"shared {when}, MB", (rollup["Rss"] - private) / 1000)
    bench.note(f"disk {when}, MB", bench.desktop(desktop_id)["storage"]["disk"] / 1e6)


def _memory_of(desktop_id: str) -> dict[str, int]:
    """The kilobytes of /proc/PID/smaps_rollup (proc(5)) of a desktop's QEMU."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (entry / "cmdline").read_bytes()
            if b"qemu-system" in command and f"guest={desktop_id}".encode() in command:
                lines = (entry / "smaps_rollup").read_text().splitlines()[1:]
                return {line.split(":")[0]: int(line.split()[1]) for line in lines}
    raise RuntimeError(f"{desktop_id} has no process")


def density(bench: Bench) -> None:
    """Weigh an idle desktop before its agent has worked, and count how many this machine holds."""
    free = memory_free(bench)
    desktop_id = create(bench, "resume", 0)
    weigh(bench, desktop_id, "before a turn")
    promised = free - memory_free(bench)
    bench.note(PROMISED, promised / 1e6)
    bench.note(HELD, free // promised)
    bench.destroy(desktop_id)


def memory_free(bench: Bench) -> int:
    """Bytes of memory that the host has left for desktops."""
    (host,) = bench.call("GET", "/api/hosts")["items"]
    return host["memoryFree"]


def together(bench: Bench, count: int) -> None:
    """Create several at once, as many as this machine holds, and note when the last can be used:
    also as a multiple of the one that was created alone before.

    They begin when the host has got back what those before them had.
    """
    count = min(count, int(bench.figures[HELD][-1]))
    needed = count * bench.figures[PROMISED][-1] * 1e6
    bench.until(lambda: memory_free(bench) >= needed)
    print(f"{count} at once", flush=True)
    began = time.perf_counter()
    created = {
        bench.call("POST", "/api/desktops", json={"name": f"many-{number}"})["id"]
        for number in range(count)
    }
    took = max(moment for _, moment in bench.lights(created, FAST)) - began
    bench.note(f"{count} at once: all usable", took)
    single = max(bench.figures[f"resume: {light}"][-1] for light in FAST)
    bench.note(f"{count} at once: x {count} single ones", took / (count * single))
    bench.destroy_all()


def wait_for_golden(bench: Bench) -> None:
    """Wait until new desktops resume."""

    def made() -> bool:
        images = bench.call("GET", "/api/images")["items"]
        goldens = [golden for image in images for golden in image["goldens"]]
        return any(each["tier"] == "free" and each["status"] == "ready" for each in goldens)

    if (seconds := bench.until(made, every=1)) > 1:
        bench.note("making the golden machine", seconds)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument(
        "--cold-turns", type=int, default=10, help="rounds that await a booted agent, up to 10 min"
    )
    parser.add_argument("--together", type=int, default=5)
    chosen = parser.parse_args()
    figures: dict[str, list[float]] = {}
    with (
        scripted_model() as key,
        serving(chosen.cache, figures) as resuming,
        serving(chosen.cache, figures, LEBUREAU_RESUME="false") as booting,
    ):
        for bench in (resuming, booting):
            bench.call("POST", "/api/provider-keys", json=key)
        wait_for_golden(resuming)
        (host,) = resuming.call("GET", "/api/hosts")["items"]
        print(f"accelerator {host['accelerator']}, {host['vcpus']} CPUs", flush=True)
        try:
            density(resuming)
            for number in range(1, chosen.rounds + 1):
                round_of(
                    booting,
                    resuming,
                    number,
                    cold_turns=number <= chosen.cold_turns,
                    many=chosen.together,
                )
        except (httpx.HTTPError, RuntimeError, TimeoutError, KeyboardInterrupt) as error:
            print(f"\nended early: {error!r}")
        report(figures, base="cold")


if __name__ == "__main__":
    main()
