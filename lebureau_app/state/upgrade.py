"""The dialog that puts a desktop on the newest image."""

import reflex as rx

from lebureau_app.services.desktops import Changes
from lebureau_app.state.reconfigure import ReconfigureState


class UpgradeState(ReconfigureState):
    """Whether somebody wants the newest image."""

    upgrading: bool = False

    @rx.event
    def ask_to_upgrade(self, asking: bool):
        """Open or close the dialog."""
        self.upgrading, self.snapshot_first = asking, True

    @rx.event
    async def upgrade(self):
        """Change the image; with a snapshot taken first, it can be undone."""
        with self.in_place():
            changes = Changes(image=self.newest_image, snapshot=self.snapshot_first)
            await self._reconfigure(changes, f"{self.desktop.name} gets the newest image.")
            self.upgrading = False
