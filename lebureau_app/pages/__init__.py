"""The pages: what is seen. Each module has a `page()`; `register` gives them to the app."""

import reflex as rx

from lebureau_app.pages import desktop, login, mission_control, not_found, settings, setup
from lebureau_app.state import presence
from lebureau_app.state.desktop import DesktopState
from lebureau_app.state.fleet import FleetState
from lebureau_app.state.settings import SettingsState
from lebureau_app.state.sign_in import SignInState


def register(app: rx.App) -> None:
    """Add every page with its route, title and what happens when it opens."""
    presence.provide(lambda sid: _is_open(app, sid))
    app.add_page(
        mission_control.page,
        route="/",
        title="Mission Control · Le Bureau",
        on_load=FleetState.watch,
    )
    app.add_page(
        desktop.page,
        route="/desktop/[desktop_id]",
        title=DesktopState.title,
        on_load=DesktopState.watch,
    )
    app.add_page(
        settings.page, route="/settings", title="Settings · Le Bureau", on_load=SettingsState.watch
    )
    app.add_page(login.page, route="/login", title="Sign in · Le Bureau", on_load=SignInState.open)
    app.add_page(setup.page, route="/setup", title="Set-up · Le Bureau")
    app.add_page(not_found.page, route="404", title="Nothing here · Le Bureau")


def _is_open(app: rx.App, sid: str) -> bool:
    return app.event_namespace is not None and sid in app.event_namespace.sid_to_token
