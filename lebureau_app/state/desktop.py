"""One desktop: what is it doing, and do I want to step in?"""

import reflex as rx

from lebureau_app.errors import DesktopNotFound
from lebureau_app.services import desktops, present
from lebureau_app.state import views
from lebureau_app.state.app import AppState
from lebureau_app.state.views import DesktopView, LightView


class DesktopState(AppState):
    """The desktop of the address, kept up to date."""

    desktop: DesktopView = DesktopView()
    lights: list[LightView] = []
    found: bool = True
    control: bool = False
    destroying: bool = False
    typed_name: str = ""

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

    def _open(self, desktop_id: str) -> None:
        if desktop_id != self.desktop.id:
            self.desktop = DesktopView(id=desktop_id)
            self.lights, self.found, self.control = [], True, False
            self.destroying = False

    async def _read(self) -> None:
        with self.in_place(keep=True):
            try:
                row = await desktops.get(self.caller, self.desktop.id)
                explanation = await desktops.explain(self.caller, self.desktop.id)
            except DesktopNotFound:
                self.found = False
                return
            self.desktop = views.desktop(present.desktop(row))
            self.lights = views.explained(explanation)
