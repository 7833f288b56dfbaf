"""Mission Control: who needs me?"""

import reflex as rx

from lebureau_app.models import Desktop
from lebureau_app.services import desktops, present
from lebureau_app.state import parents, steps, views
from lebureau_app.state.app import AppState
from lebureau_app.state.views import DesktopView, StepView

ROWS = 50


class FleetState(AppState):
    """One window of the fleet, as the filters want it, kept up to date."""

    rows: list[DesktopView] = []
    needs: list[DesktopView] = []
    loaded: bool = False
    q: str = ""
    status: str = "all"
    label: str = ""
    as_list: bool = False
    steps: list[StepView] = []
    banner: str = ""
    host_note: str = ""
    cursors: list[str] = []
    next_cursor: str = ""

    @rx.var
    def filtered(self) -> bool:
        """Whether the window shows a part of the fleet only."""
        return bool(self.q or self.label or self.status != "all" or self.cursors)

    @rx.event(background=True)
    async def watch(self):
        """Show the window, and show it again whenever something happens."""
        async for _ in self.changes():
            async with self:
                await self._read()

    @rx.event
    async def search(self, text: str):
        """Show desktops whose name has this in it; `key:value` asks for a label."""
        self.label, self.q = (text.strip(), "") if ":" in text else ("", text.strip())
        await self._from_the_start()

    @rx.event
    async def show_status(self, status: str):
        """Show desktops of one status, or `all`."""
        self.status = status
        await self._from_the_start()

    @rx.event
    def show_as(self, shape: str):
        """Show a `wall` of pictures or a `list`."""
        self.as_list = shape == "list"

    @rx.event
    async def clear_filters(self):
        """Show everything again."""
        self.q, self.label, self.status = "", "", "all"
        await self._from_the_start()

    @rx.event
    async def next_page(self):
        """Show older desktops."""
        self.cursors = [*self.cursors, self.next_cursor]
        await self._read()

    @rx.event
    async def previous_page(self):
        """Show newer desktops."""
        self.cursors = self.cursors[:-1]
        await self._read()

    async def _from_the_start(self) -> None:
        self.cursors = []
        await self._read()

    async def _read(self) -> None:
        with self.in_place(keep=True):
            key, _, value = self.label.partition(":")
            page = await desktops.list_desktops(
                self.caller,
                status=None if self.status == "all" else self.status,
                q=self.q or None,
                labels={key: value} if key and value else None,
                limit=ROWS,
                cursor=self.cursors[-1] if self.cursors else None,
            )
            needing = await desktops.needing_a_person(self.caller)
            names = await parents.names(self.caller, [*page.rows, *needing])
            self.rows = [_view(row, names) for row in page.rows]
            self.needs = [_view(row, names) for row in needing]
            self.next_cursor = page.next_cursor or ""
            self.host_note = await steps.host_note(self.caller)
            self.banner = await steps.image_banner(self.caller)
            first_visit = not self.rows and not self.filtered
            self.steps = await steps.first_steps(self.caller) if first_visit else []
            self.loaded = True


def _view(row: Desktop, names: dict[str, str]) -> DesktopView:
    return views.desktop(present.desktop(row), names.get(row.parent_id or "", ""))
