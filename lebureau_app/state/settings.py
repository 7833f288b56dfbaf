"""Settings: model keys, API keys, workspace, profile, sessions, image and host."""

from datetime import timedelta
from typing import Any

import reflex as rx

from lebureau_app.models import utc_now
from lebureau_app.services import (
    api_keys,
    hosts,
    images,
    present,
    provider_keys,
    sessions,
    users,
    workspaces,
)
from lebureau_app.services.access import SCOPES, Scope
from lebureau_app.state import hibernation_views, snapshot_views, steps, views
from lebureau_app.state.app import AppState
from lebureau_app.state.hibernation_views import WorkspaceView
from lebureau_app.state.snapshot_views import GoldenView
from lebureau_app.state.views import ApiKeyView, HostView, ImageView, ModelKeyView, SessionView

SECTIONS = ("models", "api", "workspace", "profile", "sessions", "host")
_LONGEST_LIST = 200


class SettingsState(AppState):
    """The section that is open, and what it shows."""

    section: str = "models"
    model_keys: list[ModelKeyView] = []
    provider: str = "anthropic"
    adding: bool = False
    rotating: str = ""
    testing: str = ""
    api_keys: list[ApiKeyView] = []
    new_secret: str = ""
    sessions: list[SessionView] = []
    workspaces: list[WorkspaceView] = []
    images: list[ImageView] = []
    goldens: list[GoldenView] = []
    hosts: list[HostView] = []

    @rx.event(background=True)
    async def watch(self):
        """Show the section of the address, and the image's progress as it is made."""
        async with self:
            asked = self.router.url.query_parameters.get("section", "")
            self.section = asked if asked in SECTIONS else "models"
            self.problem, self.new_secret, self.adding = views.ProblemView(), "", False
        async for happened in self.changes():
            async with self:
                if not happened or any(told.type == "image.progress" for told in happened):
                    await self._read()

    @rx.event
    async def show(self, section: str):
        """Open a section."""
        self.section, self.problem = section, views.ProblemView()
        self.new_secret, self.adding, self.rotating = "", False, ""
        await self._read()

    # Model keys

    @rx.event
    def add(self, adding: bool):
        """Open or close the form for a new model key."""
        self.adding, self.rotating, self.problem = adding, "", views.ProblemView()

    @rx.event
    def choose_provider(self, provider: str):
        """Choose whose key it is."""
        self.provider = provider

    @rx.event
    async def add_model_key(self, form: dict[str, Any]):
        """Keep a new model key, and test it at once."""
        with self.in_place():
            row = await provider_keys.create(
                self.caller,
                name=form.get("name", "").strip() or self.provider,
                provider=self.provider,
                key=form.get("key", ""),
                base_url=form.get("base_url"),
                model=form.get("model"),
            )
            self.adding = False
            await self._read()
            return SettingsState.test_model_key(row.id)

    @rx.event
    def rotate(self, key_id: str):
        """Open or close the form for the new value of a model key."""
        self.rotating = "" if self.rotating == key_id else key_id
        self.problem = views.ProblemView()

    @rx.event
    async def rotate_model_key(self, form: dict[str, Any]):
        """Give a model key a new value; running desktops take it over."""
        with self.in_place():
            key_id, self.rotating = self.rotating, ""
            await provider_keys.rotate(self.caller, key_id, form.get("key", "").strip())
            self.say("The new key is on its way into your running desktops.")
            await self._read()
            return SettingsState.test_model_key(key_id)

    @rx.event
    async def test_model_key(self, key_id: str):
        """Ask the model provider whether a key works."""
        self.testing = key_id
        yield
        with self.in_place():
            probe = await provider_keys.test(self.caller, key_id)
            if probe.error:
                self.problem = views.ProblemView(
                    probe.error, "Replace the key, or check its base URL."
                )
            await self._read()
        self.testing = ""

    @rx.event
    async def remove_model_key(self, key_id: str):
        """Remove a model key, from running desktops too."""
        with self.in_place():
            await provider_keys.delete(self.caller, key_id)
            self.say("The model key is gone, from your running desktops too.")
            await self._read()

    # API keys

    @rx.event
    async def add_api_key(self, form: dict[str, Any]):
        """Make an API key and show its secret this once."""
        days = {"30": 30, "90": 90, "365": 365}.get(form.get("expires", ""))
        with self.in_place():
            expires_at = utc_now() + timedelta(days=days) if days else None
            scopes: list[Scope] = [scope for scope in SCOPES if form.get(scope)]
            _, self.new_secret = await api_keys.create(
                self.caller, form.get("name", ""), scopes, expires_at
            )
            await self._read()

    @rx.event
    def hide_secret(self):
        """Forget the secret that was shown."""
        self.new_secret = ""

    @rx.event
    async def revoke_api_key(self, key_id: str):
        """Make an API key useless at once."""
        with self.in_place():
            await api_keys.revoke(self.caller, key_id)
            self.say("The API key no longer works.")
            await self._read()

    # Workspace

    @rx.event
    async def choose_rule(self, workspace_id: str, seconds: int):
        """Have the desktops of a workspace hibernate after so many idle seconds; 0 is never."""
        await self._rule(workspace_id, seconds)

    @rx.event
    async def choose_minutes(self, workspace_id: str, form: dict[str, Any]):
        """The same with any number of minutes."""
        await self._rule(workspace_id, hibernation_views.seconds(form.get("minutes", "")))

    # Profile and sessions

    @rx.event
    async def change_password(self, form: dict[str, Any]):
        """Change the password and sign out every other browser."""
        with self.in_place():
            await users.change_password(self.caller, form.get("current", ""), form.get("new", ""))
            await sessions.revoke_others(self.caller)
            self.say("Your password is changed. Other browsers have been signed out.")

    @rx.event
    async def revoke_session(self, session_id: str):
        """Sign another browser out."""
        with self.in_place():
            await sessions.revoke(self.caller, session_id)
            self.say("That browser is signed out.")
            await self._read()

    @rx.event
    async def revoke_others(self):
        """Sign every other browser out."""
        with self.in_place():
            await sessions.revoke_others(self.caller)
            self.say("Every other browser is signed out.")
            await self._read()

    # Image and host

    @rx.event
    async def build_image(self):
        """Build the golden image in the background."""
        with self.in_place():
            await images.request_build(self.caller)
            await self._read()

    async def _rule(self, workspace_id: str, seconds: int) -> None:
        with self.in_place():
            await workspaces.change(self.caller, workspace_id, hibernate_after=seconds)
            self.say("The rule counts from now on, for every desktop without one of its own.")
            await self._read()

    async def _read(self) -> None:
        with self.in_place(keep=True):
            await {
                "models": self._read_model_keys,
                "api": self._read_api_keys,
                "workspace": self._read_workspaces,
                "profile": _nothing,
                "sessions": self._read_sessions,
                "host": self._read_host,
            }[self.section]()

    async def _read_model_keys(self) -> None:
        page = await provider_keys.list_provider_keys(self.caller, limit=_LONGEST_LIST)
        self.model_keys = [views.model_key(present.provider_key(row)) for row in page.rows]

    async def _read_api_keys(self) -> None:
        page = await api_keys.list_api_keys(self.caller, limit=_LONGEST_LIST)
        self.api_keys = [views.api_key(present.api_key(row)) for row in page.rows]

    async def _read_sessions(self) -> None:
        rows = await sessions.list_sessions(self.caller)
        current = self.caller.session_id
        self.sessions = [views.session(present.session(row, row.id == current)) for row in rows]

    async def _read_workspaces(self) -> None:
        page = await workspaces.list_workspaces(self.caller, limit=_LONGEST_LIST)
        self.workspaces = [
            hibernation_views.workspace(present.workspace(row, self.caller.roles[row.id]))
            for row in page.rows
        ]

    async def _read_host(self) -> None:
        self.images = [views.image(row.json()) for row in await images.list_images(self.caller)]
        self.goldens = [snapshot_views.golden(each) for each in await steps.goldens(self.caller)]
        self.hosts = [views.host(present.host(row)) for row in await hosts.list_hosts(self.caller)]


async def _nothing() -> None:
    pass
