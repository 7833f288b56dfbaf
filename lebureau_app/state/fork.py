"""The dialog that forks a desktop."""

from typing import Any

import reflex as rx

from lebureau_app.errors import LeBureauError
from lebureau_app.services import desktop_state, desktops, forks, hosts
from lebureau_app.state.desktop import DesktopState

MOST = forks.MOST


class ForkState(DesktopState):
    """How many forks somebody wants, and whether the host can carry them."""

    forking: bool = False
    count: int = 1
    why_not: str = ""

    @rx.event
    async def ask_to_fork(self, asking: bool):
        """Open or close the dialog."""
        self.forking = asking
        if asking:
            await self._count(1)

    @rx.event
    async def choose_count(self, count: int):
        """Choose how many, and see whether the host can carry so many."""
        await self._count(count)

    @rx.event
    async def fork(self, form: dict[str, Any]):
        """Make the forks, and go where they are."""
        with self.in_place():
            prefix = form.get("prefix", "").strip() or None
            made = await forks.fork(self.caller, self.desktop.id, self.count, prefix)
            self.forking = False
            names = made[0].name if len(made) == 1 else f"{made[0].name} to {made[-1].name}"
            self.say(f"{self.desktop.name} is being forked: {names}.")
            return rx.redirect(f"/desktop/{made[0].id}" if len(made) == 1 else "/")

    async def _count(self, count: int) -> None:
        self.count = min(max(count, 1), MOST)
        with self.in_place():
            self.why_not = await self._why_not()

    async def _why_not(self) -> str:
        try:
            row = await desktops.get(self.caller, self.desktop.id)
            await hosts.check(desktop_state.spec_of(row, ""), self.count)
        except LeBureauError as error:
            return error.message
        return ""
