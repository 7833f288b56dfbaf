"""Clones of one warm Node process share nothing after the identity step.

On real copies of a resumed machine whose kernel, Node.js, addon and guest tools are the image's own.
What draws there is not OpenClaw but a process that starts as OpenClaw's do and tells what it draws.
"""

import itertools
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from image.recipe import PROFILES, image_id
from lebureau_app.engine.identity import APPLY, host_key
from lebureau_app.guest import inject, ssh
from lebureau_app.providers.base import MachineSpec, Origin, Power
from lebureau_app.providers.qemu.provider import QemuProvider
from lebureau_app.services import tiers
from lebureau_app.settings import Settings

pytestmark = [pytest.mark.e2e, pytest.mark.vm, pytest.mark.timeout(900)]

CLONES = 3
PROGRAM = (Path(__file__).parent / "drawing.cjs").read_bytes()
PRELOAD = "/usr/local/lib/lebureau/reseed/preload.cjs"
SNAPSHOT = "snp_warm"
SOCKET = "/tmp/drawing"
START = f"""
cat > /tmp/drawing.cjs
sudo systemd-run --quiet --unit drawing --uid agent \
    --setenv NODE_OPTIONS=--require={PRELOAD} node /tmp/drawing.cjs {SOCKET}
until [ -S {SOCKET} ]; do sleep 0.2; done
"""
DRAW = ("/bin/nc", "-U", "-N", SOCKET)

Draws = dict[str, list[Any]]


class Lab:
    """A provider with a home of its own, and machines that resume."""

    def __init__(self, home: Path, images: Path) -> None:
        (home / "images").symlink_to(images)
        (home / "goldens").symlink_to(images.parent / "goldens")
        self.settings = Settings(home=home)
        self.provider = QemuProvider(self.settings)
        self.refs: dict[str, str] = {}

    async def start(self, name: str, snapshot: str = "") -> Origin:
        """Make a machine, of the golden one or of another's snapshot, and tell what it came from."""
        tier = tiers.tiers()[0]
        spec = MachineSpec(
            desktop_id=name,
            name=name,
            image=image_id(PROFILES["standard"]),
            vcpus=tier.vcpus,
            memory=tier.memory,
            disk=tier.disk,
            authorized_key=ssh.authorized_key(self.settings),
            snapshot=snapshot,
        )
        self.refs[name] = await self.provider.create(spec)
        await self.provider.start(name, self.refs[name])
        machine = await self.provider.inspect(name, self.refs[name])
        assert machine
        assert machine.power is Power.RUNNING
        return machine.origin

    async def connect(self, name: str, applied: inject.Applied) -> asyncssh.SSHClientConnection:
        """Sign in to a machine that has its identity."""
        endpoint = await self.provider.endpoint(name, self.refs[name], 22)
        key = ssh.client_key(self.settings)
        return await ssh.connect(endpoint.host, endpoint.port, host_key(applied.host_key), key=key)

    async def draw(self, name: str) -> Draws:
        """What the long-lived process of a machine draws now."""
        answer = await self.provider.run_in_guest(name, self.refs[name], DRAW, timeout=120)
        return json.loads(answer.stdout)

    async def identify(self, name: str) -> inject.Applied:
        """The identity step, as the engine does it."""
        document = inject.compose(
            desktop_id=name,
            hostname=name,
            authorized_key=ssh.authorized_key(self.settings),
            door_secret="ab" * 32,
            fresh=True,
        )
        answer = await self.provider.run_in_guest(
            name, self.refs[name], APPLY, stdin=json.dumps(document).encode()
        )
        await self.provider.settle(name, self.refs[name])
        return inject.understood(answer.stdout, answer.exit_code)

    async def end(self, name: str) -> None:
        await self.provider.destroy(name, self.refs.pop(name))

    async def close(self) -> None:
        for name in list(self.refs):
            await self.end(name)
        await self.provider.close()


@asynccontextmanager
async def lab(images: Path) -> AsyncIterator[Lab]:
    # On the images' file system, and short for the sake of Unix sockets.
    home = Path(tempfile.mkdtemp(prefix="lb-", dir=images.parent))
    made = Lab(home, images)
    try:
        await made.provider.open()
        yield made
    finally:
        await made.close()
        shutil.rmtree(home)


def shared(draws: list[Draws], kind: str) -> set[Any]:
    """What more than one of these have drawn."""
    return {
        value
        for one, other in itertools.combinations(draws, 2)
        for value in set(one[kind]) & set(other[kind])
    }


async def test_clones_share_nothing_after_the_identity_step(golden_machines: Path) -> None:
    async with lab(golden_machines) as here:
        assert await here.start("original") is Origin.GOLDEN
        original = await here.identify("original")
        async with await here.connect("original", original) as connection:
            await ssh.call(connection, START, stdin=PROGRAM, timeout=120)
        before = await here.draw("original")
        await here.provider.take_snapshot("original", here.refs["original"], SNAPSHOT)
        await here.end("original")
        names = [f"clone{number}" for number in range(CLONES)]
        assert {await here.start(name, SNAPSHOT) for name in names} == {Origin.FORK}

        as_copies = [await here.draw(name) for name in names]
        assert shared(as_copies, "randomBytes"), "without the step, clones draw the same"

        applied = [await here.identify(name) for name in names]
        drawn = [before, *[await here.draw(name) for name in names]]
        for kind in before:
            assert not shared([*as_copies[:1], *drawn], kind), kind
            assert all(len(set(draws[kind])) == len(draws[kind]) for draws in drawn), kind
        identities = [original, *applied]
        assert len({one.host_key for one in identities}) == len(identities)
        assert len({one.machine_id for one in identities}) == len(identities)
