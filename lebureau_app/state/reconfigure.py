"""What the dialogs have in common that change a stopped desktop."""

import reflex as rx

from lebureau_app.services import desktops, snapshots
from lebureau_app.services.desktops import Changes
from lebureau_app.state.desktop import DesktopState


class ReconfigureState(DesktopState):
    """Whether the way back is kept."""

    snapshot_first: bool = True

    @rx.event
    def choose_snapshot(self, first: bool):
        """Choose whether a snapshot is taken first."""
        self.snapshot_first = first

    async def _reconfigure(self, changes: Changes, told: str) -> None:
        """Change the desktop; with a snapshot taken first, it can be undone.

        Args:
            changes: What is to be different.
            told: What happens now, for a person.
        """
        await desktops.change(self.caller, self.desktop.id, changes)
        newest = (await snapshots.list_snapshots(self.caller, self.desktop.id, limit=1)).rows
        undo = newest[0].id if changes.snapshot and newest else ""
        self.say(told, self.desktop.id, "restore" if undo else "", undo)
        await self._read()
