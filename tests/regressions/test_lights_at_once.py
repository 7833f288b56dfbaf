"""Lights that were set at the same moment: on PostgreSQL one of them was lost."""

import asyncio

from lebureau_app.models import CHANNELS, Light
from lebureau_app.services import desktop_state
from tests.conftest import make_desktop, make_people


async def test_no_light_is_lost(any_database: str, living: object) -> None:
    desktop = await make_desktop((await make_people()).workspace_id)
    for _ in range(5):
        for state in (Light.READY, Light.OFF):
            await asyncio.gather(
                *(desktop_state.set_lights(desktop.id, [channel], state) for channel in CHANNELS)
            )
            found = await desktop_state.load(desktop.id)
            assert found
            assert {light["state"] for light in found.readiness.values()} == {state}
