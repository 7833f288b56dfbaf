"""The timeline of a desktop's snapshots: take, restore, delete."""

from typing import Any

import reflex as rx

from lebureau_app.services import snapshots
from lebureau_app.state.desktop import DesktopState


class TimelineState(DesktopState):
    """What is done to the snapshots of the desktop of the address."""

    @rx.event
    async def take(self, form: dict[str, Any]):
        """Keep the desktop as it is now."""
        with self.in_place():
            name = form.get("name", "").strip() or None
            taken = await snapshots.take(self.caller, self.desktop.id, name)
            self.say(f"“{taken.name}” is being taken.", self.desktop.id)
            await self._read()

    @rx.event
    async def restore(self, snapshot_id: str, name: str):
        """Make the desktop what it was, with what it is now as the way back."""
        with self.in_place():
            await snapshots.restore(self.caller, self.desktop.id, snapshot_id)
            await self._read()
            undo = self.way_back()
            self.say(
                f"Restoring “{name}”.",
                self.desktop.id,
                "restore" if undo else "",
                undo,
            )

    @rx.event
    async def drop(self, snapshot_id: str, name: str):
        """Delete a snapshot."""
        with self.in_place():
            await snapshots.delete(self.caller, self.desktop.id, snapshot_id)
            self.say(f"“{name}” is deleted.", self.desktop.id)
            await self._read()

    def way_back(self) -> str:
        """The automatic snapshot that has just been asked for, or none."""
        newest = next((each for each in self.snapshots), None)
        return newest.id if newest and newest.automatic and not newest.can_restore else ""
