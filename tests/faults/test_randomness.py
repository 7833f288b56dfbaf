"""Clones of one warm Node process share nothing after the identity step.

On real clones of a machine whose kernel, Node.js, addon and guest tools are the image's own. What
runs there is not OpenClaw but a process that starts as OpenClaw's do and tells what it draws.
"""

import asyncio
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
from lebureau_app.engine.identity import APPLY, HOST_KEY_FILE, host_key
from lebureau_app.errors import GuestError, NotYet
from lebureau_app.guest import inject, ssh
from lebureau_app.providers.base import MachineSpec, Origin, Power
from lebureau_app.providers.qemu.provider import QemuProvider
from lebureau_app.settings import Settings

pytestmark = [pytest.mark.e2e, pytest.mark.vm, pytest.mark.timeout(900)]

CLONES = 3
PROGRAM = (Path(__file__).parent / "drawing.cjs").read_bytes()
PRELOAD = "/usr/local/lib/lebureau/reseed/preload.cjs"
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
    """A provider with a home of its own, and machines of the golden image."""

    def __init__(self, home: Path, images: Path) -> None:
        (home / "images").symlink_to(images)
        self.settings = Settings(home=home)
        self.provider = QemuProvider(self.settings)
        self.refs: dict[str, str] = {}

    async def start(self, name: str, *, golden: bool = False) -> None:
        spec = MachineSpec(
            desktop_id=name,
            name=name,
            image=image_id(PROFILES["standard"]),
            vcpus=2,
            memory=2 << 30,
            disk=20 << 30,
            authorized_key=ssh.authorized_key(self.settings),
            golden=golden,
        )
        self.refs[name] = await self.provider.create(spec)
        await self.provider.start(name, self.refs[name])

    async def connect(self, name: str) -> asyncssh.SSHClientConnection:
        """Sign in as soon as it has booted."""
        endpoint = await self.provider.endpoint(name, self.refs[name], 22)
        while True:
            try:
                line = await self.provider.read_guest_file(name, self.refs[name], HOST_KEY_FILE)
                pinned = host_key(line.decode())
                key = ssh.client_key(self.settings)
                return await ssh.connect(endpoint.host, endpoint.port, pinned, key=key)
            except (NotYet, GuestError):
                await asyncio.sleep(0.2)

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
        return inject.understood(answer.stdout, answer.exit_code)

    async def close(self) -> None:
        for name, ref in self.refs.items():
            await self.provider.destroy(name, ref)
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


async def test_clones_share_nothing_after_the_identity_step(golden_images: Path) -> None:
    async with lab(golden_images) as here:
        await here.start("golden", golden=True)
        async with await here.connect("golden") as connection:
            await ssh.call(connection, START, stdin=PROGRAM, timeout=120)
        before = await here.draw("golden")
        await here.provider.keep_golden("golden", here.refs.pop("golden"))
        names = [f"clone{number}" for number in range(CLONES)]
        for name in names:
            await here.start(name)
        machines = [await here.provider.inspect(name, here.refs[name]) for name in names]
        assert [(m.power, m.origin) for m in machines if m] == [
            (Power.RUNNING, Origin.GOLDEN)
        ] * CLONES

        as_copies = [await here.draw(name) for name in names]
        assert shared(as_copies, "randomBytes"), "without the step, clones draw the same"

        applied = [await here.identify(name) for name in names]
        drawn = [before, *[await here.draw(name) for name in names]]
        for kind in before:
            assert not shared([*as_copies[:1], *drawn], kind), kind
            assert all(len(set(draws[kind])) == len(draws[kind]) for draws in drawn), kind
        assert len({one.host_key for one in applied}) == CLONES
        assert len({one.machine_id for one in applied}) == CLONES
