"""One desktop: what is it doing, and do I want to step in?"""

from typing import Any

import reflex as rx

from lebureau_app.errors import DesktopNotFound
from lebureau_app.models import Desktop
from lebureau_app.services import desktops, images, present, snapshots, workspaces
from lebureau_app.state import hibernation_views, parents, snapshot_views, views
from lebureau_app.state.app import AppState
from lebureau_app.state.hibernation_views import HibernationView
from lebureau_app.state.snapshot_views import SnapshotView
from lebureau_app.state.views import DesktopView, LightView

AN_HOUR = 3600


class DesktopState(AppState):
    """The desktop of the address, kept up to date."""

    desktop: DesktopView = DesktopView()
    lights: list[LightView] = []
    hibernation: HibernationView = HibernationView()
    snapshots: list[SnapshotView] = []
    doing_since: str = ""
    newest_image: str = ""
    slow_road_seen: bool = False
    found: bool = True
    control: bool = False
    destroying: bool = False
    typed_name: str = ""

    @rx.var
    def title(self) -> str:
        """What the browser's tab is called."""
        return f"{self.desktop.name or 'Desktop'} · Le Bureau"

    @rx.var
    def name_matches(self) -> bool:
        """Whether the name typed into the destroy dialog is the desktop's."""
        return bool(self.typed_name) and self.typed_name.strip() == self.desktop.name

    @rx.event(background=True)
    async def watch(self):
        """Show the desktop, and show it again whenever it changes."""
        async with self:
            self._open(self.router.url.path.rstrip("/").rsplit("/", 1)[-1])
        async for happened in self.changes():
            async with self:
                if not happened or any(told.desktop_id == self.desktop.id for told in happened):
                    await self._read()

    @rx.event
    async def opened(self):
        """Wake a hibernated desktop because somebody has come to see it."""
        if self.desktop.hibernated and not self.desktop.busy and not self.desktop.refused:
            with self.in_place(keep=True):
                await desktops.start(self.caller, self.desktop.id)

    @rx.event
    async def start_cold(self):
        """Boot a hibernated desktop from its disk, and give up what was open."""
        with self.in_place():
            await desktops.start(self.caller, self.desktop.id, cold=True)
            self.say(f"{self.desktop.name} boots from its disk.", self.desktop.id)

    @rx.event
    def put_slow_road_away(self):
        """Take note that somebody has read why the desktop was booted."""
        self.slow_road_seen = True

    @rx.event
    async def keep_awake(self):
        """Do not let the desktop hibernate for the next hour."""
        with self.in_place():
            await desktops.keep_awake(self.caller, self.desktop.id, AN_HOUR)
            await self._read()

    @rx.event
    async def choose_rule(self, seconds: int):
        """Have the desktop hibernate after so many idle seconds, or as its workspace says."""
        await self._rule(None if seconds == hibernation_views.AS_THE_WORKSPACE else seconds)

    @rx.event
    async def choose_minutes(self, form: dict[str, Any]):
        """The same with any number of minutes."""
        await self._rule(hibernation_views.seconds(form.get("minutes", "")))

    @rx.event
    def take_control(self, control: bool):
        """Hold mouse and keyboard, or only look."""
        self.control = control and self.may_operate

    @rx.event
    def ask_to_destroy(self, asking: bool):
        """Open or close the dialog that asks for the name."""
        self.destroying, self.typed_name = asking, ""

    @rx.event
    def type_name(self, name: str):
        """Take down what is typed into the destroy dialog."""
        self.typed_name = name

    @rx.event
    async def destroy(self):
        """Destroy the desktop with its disk, once its name has been typed."""
        if not self.name_matches:
            return None
        name = self.desktop.name
        self.destroying, self.typed_name = False, ""
        with self.in_place():
            await desktops.destroy(self.caller, self.desktop.id)
            self.say(f"{name} is being destroyed. Its conversation is kept.")
            return rx.redirect("/")

    async def _rule(self, seconds: int | None) -> None:
        with self.in_place():
            changes = desktops.Changes(hibernate_after=seconds)
            await desktops.change(self.caller, self.desktop.id, changes)
            await self._read()

    def _open(self, desktop_id: str) -> None:
        if desktop_id != self.desktop.id:
            self.desktop = DesktopView(id=desktop_id)
            self.lights, self.snapshots, self.hibernation = [], [], HibernationView()
            self.found, self.control, self.destroying, self.doing_since = True, False, False, ""
            self.slow_road_seen = False

    async def _read(self) -> None:
        with self.in_place(keep=True):
            try:
                row = await desktops.get(self.caller, self.desktop.id)
                explanation = await desktops.explain(self.caller, self.desktop.id)
            except DesktopNotFound:
                self.found = False
                return
            await self._show(row)
            self.lights = views.explained(explanation)
            self.doing_since = (explanation["operation"] or {}).get("createdAt") or ""

    async def _show(self, row: Desktop) -> None:
        shown = present.desktop(row)
        names = await parents.names(self.caller, [row])
        workspace = await workspaces.get(self.caller, row.workspace_id)
        kept = await snapshots.list_snapshots(self.caller, row.id)
        self.newest_image = await images.newest() or ""
        self.desktop = views.desktop(
            shown, names.get(row.parent_id or "", ""), newest_image=self.newest_image
        )
        self.hibernation = hibernation_views.hibernation(shown, workspace.hibernate_after)
        self.snapshots = [snapshot_views.snapshot(present.snapshot(each)) for each in kept.rows]
