"""A server that carries out one verb of the qemu provider and kills itself at a chosen step.

Each is a fork of one process that has imported everything already.
"""

import asyncio
import functools
import inspect
import multiprocessing
import os
import pkgutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from lebureau_app.providers.base import MachineSpec
from lebureau_app.providers.qemu.provider import QemuProvider
from lebureau_app.settings import Settings
from tests.providers.qemu.conftest import DESKTOP, says
from tests.support.tiny_guest import NEWER_IMAGE

MIB = 1 << 20
SNAPSHOT = "snp_01J00000000000000000000000"
PACKAGE = "lebureau_app.providers.qemu"

_servers = multiprocessing.get_context("forkserver")
_servers.set_forkserver_preload([__name__])


async def killed(home: Path, verb: str, step: str, desktop_id: str = DESKTOP) -> None:
    """Let another server do it, and die at that step.

    Args:
        home: The server's home.
        verb: One of `VERBS`.
        step: The dotted name of a function of the provider with `+` (die after it) or `-` (before).
        desktop_id: Whose machine it is about.
    """
    server = _servers.Process(target=_serve, args=(home, verb, step, desktop_id))
    server.start()
    await asyncio.to_thread(server.join, 60)
    assert server.exitcode == -signal.SIGKILL, "it never came that far"


def spec(desktop_id: str, *, golden: bool = False) -> MachineSpec:
    """The machine that all verbs are about."""
    key = "ssh-ed25519 AAAA"
    return MachineSpec(
        desktop_id, "atlas", "filling", 1, 64 * MIB, 64 * MIB, authorized_key=key, golden=golden
    )


async def born(provider: QemuProvider, desktop_id: str) -> str:
    """Create the machine and start it."""
    ref = await provider.create(spec(desktop_id))
    await provider.start(desktop_id, ref)
    return ref


async def kept(provider: QemuProvider, desktop_id: str) -> None:
    """Make a golden machine."""
    ref = await provider.create(spec(desktop_id, golden=True))
    await provider.start(desktop_id, ref)
    await says(provider, desktop_id, ref, "U")
    await provider.keep_golden(desktop_id, ref)


async def booted(provider: QemuProvider, desktop_id: str) -> None:
    """Create the machine and boot it."""
    ref = await provider.create(spec(desktop_id))
    await provider.start(desktop_id, ref, cold=True)


async def settled(provider: QemuProvider, desktop_id: str) -> None:
    """Create the machine, start it and give it its identity."""
    await provider.settle(desktop_id, await born(provider, desktop_id))


async def woken(provider: QemuProvider, desktop_id: str) -> None:
    """Start the machine that is there."""
    await provider.start(desktop_id, await there(provider, desktop_id))


async def hibernated(provider: QemuProvider, desktop_id: str) -> None:
    """Hibernate the machine that is there."""
    await provider.hibernate(desktop_id, await there(provider, desktop_id))


async def snapped(provider: QemuProvider, desktop_id: str) -> None:
    """Take a snapshot of the machine that is there."""
    await provider.take_snapshot(desktop_id, await there(provider, desktop_id), SNAPSHOT)


async def restored(provider: QemuProvider, desktop_id: str) -> None:
    """Restore the machine that is there."""
    await provider.restore_snapshot(desktop_id, await there(provider, desktop_id), SNAPSHOT)


async def forked(provider: QemuProvider, desktop_id: str) -> None:
    """Make a machine out of the snapshot, and start it."""
    ref = await provider.create(replace(spec(desktop_id), snapshot=SNAPSHOT))
    await provider.start(desktop_id, ref)


async def changed(provider: QemuProvider, desktop_id: str) -> None:
    """Put the machine that is there on the newer image."""
    await provider.change_image(desktop_id, await there(provider, desktop_id), NEWER_IMAGE)


async def taken_back(provider: QemuProvider, desktop_id: str) -> None:
    """Put it on its former image again."""
    await provider.take_image_back(desktop_id, await there(provider, desktop_id))


async def upgraded(provider: QemuProvider, desktop_id: str) -> None:
    """Let go of its former disk."""
    await provider.keep_image(desktop_id, await there(provider, desktop_id))


async def there(provider: QemuProvider, desktop_id: str) -> str:
    """The identity of a machine."""
    every = await provider.inspect_all()
    return next(machine.ref for machine in every if machine.desktop_id == desktop_id)


VERBS = {
    verb.__name__: verb
    for verb in (
        *(born, kept, booted, settled),
        *(woken, hibernated, snapped, restored, forked),
        *(changed, taken_back, upgraded),
    )
}


def kill_at(step: str) -> None:
    """Let this process be killed right before or after a function is called."""
    name, when = step[:-1], step[-1]
    owner_name, _, function_name = name.rpartition(".")
    owner = pkgutil.resolve_name(f"{PACKAGE}.{owner_name}")
    setattr(owner, function_name, _deadly(getattr(owner, function_name), when))


def _deadly(function: Callable[..., Any], when: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def plain(*args: Any, **named: Any) -> Any:
        if when == "-":
            _die()
        function(*args, **named)
        _die()

    @functools.wraps(function)
    async def waiting(*args: Any, **named: Any) -> Any:
        if when == "-":
            _die()
        await function(*args, **named)
        _die()

    return waiting if inspect.iscoroutinefunction(function) else plain


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _serve(home: Path, verb: str, step: str, desktop_id: str) -> None:
    asyncio.run(_die_at_work(home, verb, step, desktop_id))


async def _die_at_work(home: Path, verb: str, step: str, desktop_id: str) -> None:
    """Open the provider, arm it, and do it."""
    provider = QemuProvider(Settings(home=home))
    await provider.open()
    kill_at(step)
    await VERBS[verb](provider, desktop_id)
