"""Which accelerator QEMU can use here: found out by running a guest, not by looking at /dev/kvm.

On some machines /dev/kvm is there and aborts, or crawls. So a boot sector runs a loop of fifty
million steps and reports through QEMU's `isa-debug-exit` device; only a KVM that gets there in
time is used.
"""

import asyncio
import json
import os
import platform
import re
import subprocess
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from lebureau_app.errors import ProviderError

KVM_DEVICE = Path("/dev/kvm")
PROBE_SECONDS = 5.0
STUB_EXIT_STATUS = 33
"""`isa-debug-exit` ends QEMU with `(value << 1) | 1`; the stub writes 16."""

_STUB = bytes.fromhex(
    "66b980f0fa02"  # mov ecx, 50_000_000
    "6649"  # dec ecx
    "75fc"  # jnz back to dec
    "b010"  # mov al, 16
    "e6f4"  # out 0xf4, al
    "f4"  # hlt
)
_TRANSLATED = 1024
"""MiB of translated guest code that software emulation keeps. An agent at work goes through more
than 256: with those it translates over and over, and its turns take ten times as long."""

_EMULATED_CPU = "max,la57=off,erms=off,fsrm=off,fzrm=off,fsrs=off,fsrc=off"
"""Without five-level page tables, and without the promises that copying byte by byte is fast: each
byte is a step here, and a guest that is not told so clears memory nine times as fast. These are hints
and no instructions: a memory that was kept with them goes on."""

_KVM = ("-accel", "kvm", "-cpu", "host")
_TCG = ("-accel", f"tcg,thread=multi,tb-size={_TRANSLATED}", "-cpu", _EMULATED_CPU)
_OWN = 192 << 20


@dataclass(frozen=True, slots=True)
class Accelerator:
    """How QEMU runs guests on this machine.

    Attributes:
        name: `kvm` or `tcg`.
        version: Major and minor version of QEMU.
        note: For a person: why there is no KVM, or what is wrong with this QEMU; may be empty.
        release: The whole version, as QEMU and its packager tell it.
    """

    name: Literal["kvm", "tcg"]
    version: tuple[int, int]
    note: str = ""
    release: str = ""

    @property
    def arguments(self) -> tuple[str, ...]:
        """The accelerator and CPU options of QEMU."""
        return _KVM if self.name == "kvm" else _TCG

    @property
    def overhead(self) -> int:
        """Bytes that QEMU itself may come to use beyond the guest's memory."""
        return _OWN if self.name == "kvm" else _OWN + (_TRANSLATED << 20)

    @property
    def machine_type(self) -> str:
        """The versioned machine type, so that a guest keeps its hardware when QEMU is upgraded."""
        major, minor = min(self.version, (10, 0))
        return f"pc-q35-{major}.{minor}"


async def detect(binary: str, cache: Path) -> Accelerator:
    """Find out which accelerator works; a few seconds at most, the first time only.

    Args:
        binary: QEMU's system emulator.
        cache: File that keeps the answer for this QEMU, this kernel and these access rights.

    Returns:
        What to run guests with.

    Raises:
        ProviderError: There is no QEMU.
    """
    return await asyncio.to_thread(_detect, binary, cache)


def _detect(binary: str, cache: Path) -> Accelerator:
    release = qemu_release(binary)
    usable = os.access(KVM_DEVICE, os.R_OK | os.W_OK)
    key = f"QEMU {release}, Linux {platform.release()}, kvm {KVM_DEVICE.exists()} {usable}"
    known = _read(cache, key)
    if known is None:
        known = replace(probe(binary, _numbers(release)), release=release)
        cache.write_text(json.dumps({"key": key, **asdict(known)}))
    return known


def _read(cache: Path, key: str) -> Accelerator | None:
    try:
        kept = json.loads(cache.read_text())
        if kept["key"] != key:
            return None
        major, minor = kept["version"]
        return Accelerator(kept["name"], (major, minor), kept["note"], kept["release"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def qemu_version(binary: str) -> tuple[int, int]:
    """Major and minor version of QEMU.

    Raises:
        ProviderError: There is no QEMU by this name, or it does not say its version.
    """
    return _numbers(qemu_release(binary))


def qemu_release(binary: str) -> str:
    """The whole version of QEMU, such as `10.0.2 (Debian 1:10.0.2+ds-2)`.

    Raises:
        ProviderError: There is no QEMU by this name, or it does not say its version.
    """
    hint = "Run `lebureau doctor`: it names the packages that are missing."
    try:
        answer = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProviderError(f"QEMU cannot be run: {error}.", hint=hint) from error
    found = re.search(r"version (\d+\.\d+.*)", answer.stdout)
    if not found:
        raise ProviderError(f"{binary} does not tell its version.", hint=hint)
    return found[1].strip()


def _numbers(release: str) -> tuple[int, int]:
    major, minor, *_ = re.findall(r"\d+", release)
    return int(major), int(minor)


def probe(binary: str, version: tuple[int, int], timeout: float = PROBE_SECONDS) -> Accelerator:
    """Decide by running.

    Args:
        binary: QEMU's system emulator.
        version: Its version, for the answer.
        timeout: Seconds that KVM gets to run the stub.
    """
    problem = _kvm_problem(binary, timeout)
    if problem is None:
        return Accelerator("kvm", version)
    note = f"No KVM: {problem} Desktops run in software (TCG), several times slower."
    if version < (10, 0):
        note += " QEMU before 10 is not reliable at that: install QEMU 10 or newer."
    return Accelerator("tcg", version, note)


def _kvm_problem(binary: str, timeout: float) -> str | None:
    """Why KVM cannot be used, as a sentence, or None."""
    if not KVM_DEVICE.exists():
        return f"{KVM_DEVICE} is not there (virtualisation may be off in the firmware)."
    if not os.access(KVM_DEVICE, os.R_OK | os.W_OK):
        return f"this user may not open {KVM_DEVICE} (add it to the group kvm)."
    return run_stub(binary, _KVM, timeout)


def run_stub(binary: str, accelerator: tuple[str, ...], timeout: float) -> str | None:
    """Run the stub guest.

    Args:
        binary: QEMU's system emulator.
        accelerator: Its accelerator and CPU options.
        timeout: Seconds after which the guest counts as crawling.

    Returns:
        None if guest code ran at a usable speed, else a sentence about what went wrong.
    """
    with tempfile.NamedTemporaryFile(suffix=".img") as disk:
        disk.write(_STUB.ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))
        disk.flush()
        command = [
            *(binary, *accelerator, "-machine", "q35", "-m", "32"),
            *("-nodefaults", "-no-user-config", "-display", "none", "-vga", "none"),
            *("-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-no-reboot"),
            *("-drive", f"if=virtio,format=raw,snapshot=on,file={disk.name}"),
        ]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
            )
        except subprocess.TimeoutExpired:
            return f"a test guest did not get through its first instructions in {timeout:.0f} s."
    if done.returncode == STUB_EXIT_STATUS:
        return None
    said = done.stderr.strip().splitlines()
    return f"a test guest did not run ({said[-1] if said else f'exit status {done.returncode}'})."
