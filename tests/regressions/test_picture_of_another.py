"""A newborn that was started anew kept the golden machine's picture, and showed it once stopped."""

from dataclasses import replace

import pytest

from lebureau_app.models import Desktop, Status
from lebureau_app.providers.base import Origin
from lebureau_app.providers.fake import FakeBehaviour, FakeProvider
from lebureau_app.services import desktops, snapshot_state
from lebureau_app.services.desktops import NewDesktop
from tests.engine.conftest import Fleet, fleet

__all__ = ["fleet"]

GOLDEN = FakeBehaviour(golden=True)
PICTURE = b"the golden machine's screen"


@pytest.mark.parametrize("fleet", [GOLDEN], indirect=True)
@pytest.mark.parametrize("resume_fails", [False, True])
async def test_it_has_none_but_its_own(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, resume_fails: bool
) -> None:
    async def picture(*_: object) -> bytes:
        return PICTURE

    monkeypatch.setattr(FakeProvider, "golden_picture", picture)
    fleet.provider.behaviour = replace(GOLDEN, never=frozenset({"start"}))
    async with fleet.working():
        made = await desktops.create(fleet.caller, NewDesktop(name="one"))
        await fleet.until(made.id, lambda row: row.origin == Origin.GOLDEN)
        assert await snapshot_state.picture_of(made.id) == PICTURE
        await desktops.stop(fleet.caller, made.id)
        await fleet.until(made.id, lambda row: _rests(row, Status.STOPPED))
        fleet.provider.behaviour = replace(GOLDEN, resume_fails=resume_fails)
        await desktops.start(fleet.caller, made.id)
        await fleet.until(made.id, lambda row: _rests(row, Status.RUNNING))
    assert await snapshot_state.picture_of(made.id) is None


def _rests(desktop: Desktop, status: Status) -> bool:
    return desktop.status == status and desktop.task is None
