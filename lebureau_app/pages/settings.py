"""Settings, in six sections."""

from typing import Any

import reflex as rx

from lebureau_app.components import parts
from lebureau_app.components.expressions import count, negated, text_of
from lebureau_app.components.hibernation import rule
from lebureau_app.components.shell import shell
from lebureau_app.components.streams import copy_button
from lebureau_app.state.hibernation_views import WorkspaceView
from lebureau_app.state.settings import SettingsState
from lebureau_app.state.snapshot_views import GoldenView
from lebureau_app.state.views import ApiKeyView, HostView, ImageView, ModelKeyView, SessionView

_PLACES = (
    ("models", "Model keys", "key-round"),
    ("api", "API keys", "terminal"),
    ("workspace", "Workspace", "moon"),
    ("profile", "Profile", "user-round"),
    ("sessions", "Sessions", "monitor-smartphone"),
    ("host", "Image and host", "server"),
)


def page() -> rx.Component:
    """The sections at the side, the open one beside them."""
    return shell(
        "Settings",
        rx.el.h1("Settings"),
        rx.el.div(
            rx.el.nav(
                *(_place(*place) for place in _PLACES),
                class_name="lb-sections",
                aria_label="Sections",
            ),
            rx.el.div(
                parts.problem(SettingsState.problem, SettingsState.dismiss),
                rx.match(
                    SettingsState.section,
                    ("api", _api_keys()),
                    ("workspace", _workspaces()),
                    ("profile", _profile()),
                    ("sessions", _sessions()),
                    ("host", _host()),
                    _model_keys(),
                ),
                class_name="lb-section",
            ),
            class_name="lb-settings",
        ),
    )


def _place(section: str, label: str, icon: str) -> rx.Component:
    return rx.el.button(
        rx.icon(icon, size=16, aria_hidden="true"),
        label,
        type="button",
        on_click=SettingsState.show(section),
        custom_attrs={
            "aria-current": rx.cond(SettingsState.section == section, "true", "false"),
            "data-section": section,
        },
    )


def _head(title: str, text: str, *actions: rx.Component) -> rx.Component:
    return rx.el.div(
        rx.el.div(rx.el.h2(title), rx.el.p(text, class_name="lb-quiet")),
        rx.el.span(class_name="lb-grow"),
        *actions,
        class_name="lb-head",
    )


def _rows(rows: Any, row: Any, nothing: rx.Component) -> rx.Component:
    return rx.cond(count(rows) > 0, rx.el.ul(rx.foreach(rows, row), class_name="lb-rows"), nothing)


def _tail(*children: rx.Component) -> rx.Component:
    return rx.el.div(*children, class_name="lb-actions")


# Model keys


def _model_keys() -> rx.Component:
    return rx.el.section(
        _head(
            "Model keys",
            "Your agents think with your own keys. They are encrypted, and never shown again.",
            rx.cond(
                SettingsState.may_operate & negated(SettingsState.adding),
                parts.button(
                    "Add a key",
                    icon="plus",
                    look="solid",
                    id="add-model-key",
                    on_click=SettingsState.add(True),
                ),
            ),
        ),
        rx.cond(SettingsState.adding, _model_key_form()),
        _rows(
            SettingsState.model_keys,
            _model_key,
            parts.empty("There is no model key yet.", "Without one, no agent can think."),
        ),
    )


def _model_key_form() -> rx.Component:
    compatible = SettingsState.provider == "openai-compatible"
    return rx.el.form(
        rx.el.div(
            parts.field(
                "Provider",
                rx.el.select(
                    *(
                        rx.el.option(label, value=value)
                        for value, label in (
                            ("anthropic", "Anthropic"),
                            ("openai", "OpenAI"),
                            ("openrouter", "OpenRouter"),
                            ("openai-compatible", "OpenAI-compatible"),
                        )
                    ),
                    name="provider",
                    value=SettingsState.provider,
                    on_change=SettingsState.choose_provider,
                ),
            ),
            parts.field(
                "Name", parts.text_input("name", placeholder="What you call it", max_length=100)
            ),
            class_name="lb-columns",
        ),
        rx.cond(
            compatible,
            rx.el.div(
                parts.field(
                    "Base URL",
                    parts.text_input(
                        "base_url",
                        type="url",
                        required=True,
                        placeholder="http://localhost:11434/v1",
                    ),
                    "`localhost` is the machine that Le Bureau runs on.",
                ),
                parts.field("Model", parts.text_input("model", required=True)),
                class_name="lb-columns",
            ),
            parts.field(
                "Model",
                parts.text_input("model", placeholder="The provider's usual one"),
            ),
        ),
        parts.field(
            "Key",
            parts.text_input(
                "key",
                type="password",
                required=negated(compatible),
                auto_complete="off",
                id="model-key",
            ),
            rx.cond(compatible, "May be left empty where the server wants none.", ""),
        ),
        rx.el.div(
            parts.button("Keep and test", look="solid", type="submit", id="keep-model-key"),
            parts.button("Cancel", look="ghost", type="button", on_click=SettingsState.add(False)),
            class_name="lb-actions",
        ),
        on_submit=SettingsState.add_model_key,
        class_name="lb-card lb-form",
    )


def _model_key(key: ModelKeyView) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.strong(key.name),
            rx.el.small(key.provider, " ", rx.el.code(key.ending), " ", key.detail),
            class_name="lb-row-text",
        ),
        rx.cond(
            SettingsState.testing == key.id,
            parts.status("working", "Testing"),
            parts.status(key.tone, key.word),
        ),
        rx.el.small(key.used, class_name="lb-row-when"),
        rx.cond(
            SettingsState.may_operate,
            _tail(
                parts.button("Test", on_click=SettingsState.test_model_key(key.id)),
                parts.button("Replace", on_click=SettingsState.rotate(key.id)),
                parts.button(
                    "Remove", look="danger", on_click=SettingsState.remove_model_key(key.id)
                ),
            ),
        ),
        rx.cond(SettingsState.rotating == key.id, _rotate_form()),
        key=key.id,
    )


def _rotate_form() -> rx.Component:
    return rx.el.form(
        parts.text_input(
            "key",
            type="password",
            required=True,
            auto_complete="off",
            auto_focus=True,
            placeholder="The new key",
            aria_label="The new key",
        ),
        parts.button("Replace", look="solid", type="submit"),
        on_submit=SettingsState.rotate_model_key,
        class_name="lb-inline-form",
    )


# API keys


def _api_keys() -> rx.Component:
    return rx.el.section(
        _head("API keys", "For programs that use Le Bureau. What they can do is in /api/docs."),
        rx.cond(SettingsState.new_secret != "", _new_secret()),
        rx.el.form(
            rx.el.div(
                parts.field(
                    "Name",
                    parts.text_input(
                        "name",
                        required=True,
                        max_length=100,
                        placeholder="What it is for",
                        id="api-key-name",
                    ),
                ),
                parts.field(
                    "Expires",
                    rx.el.select(
                        rx.el.option("never", value=""),
                        rx.el.option("in 30 days", value="30"),
                        rx.el.option("in 90 days", value="90"),
                        rx.el.option("in a year", value="365"),
                        name="expires",
                    ),
                ),
                class_name="lb-columns",
            ),
            rx.el.div(
                *(
                    rx.el.label(
                        rx.el.input(type="checkbox", name=scope, default_checked=True),
                        scope,
                        class_name="lb-check",
                    )
                    for scope in ("read", "write", "admin")
                ),
                rx.el.span(class_name="lb-grow"),
                parts.curl("POST", "/api/api-keys", '{"name": "ci"}'),
                parts.button("Create", look="solid", type="submit", id="create-api-key"),
                class_name="lb-actions",
            ),
            on_submit=SettingsState.add_api_key,
            reset_on_submit=True,
            class_name="lb-card lb-form",
        ),
        _rows(SettingsState.api_keys, _api_key, parts.empty("There is no API key yet.", "")),
    )


def _new_secret() -> rx.Component:
    return rx.el.div(
        rx.el.p(
            rx.el.strong("This is shown once."), " Copy it now, and keep it as you keep passwords."
        ),
        rx.el.div(
            rx.el.code(SettingsState.new_secret, id="new-secret"),
            copy_button(text=SettingsState.new_secret, label="Copy"),
            rx.el.button(
                "I have it", type="button", class_name="lb-mini", on_click=SettingsState.hide_secret
            ),
            class_name="lb-actions",
        ),
        class_name="lb-card lb-secret",
        role="status",
    )


def _api_key(key: ApiKeyView) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.strong(key.name),
            rx.el.small(rx.el.code(key.ending), " ", key.scopes),
            class_name="lb-row-text",
        ),
        rx.el.small(
            "made ",
            key.created,
            " · used ",
            key.used,
            " · expires ",
            key.expires,
            class_name="lb-row-when",
        ),
        _tail(parts.button("Revoke", look="danger", on_click=SettingsState.revoke_api_key(key.id))),
        key=key.id,
    )


# Workspace


def _workspaces() -> rx.Component:
    return rx.el.section(
        _head(
            "Workspace",
            "An idle desktop hibernates: its memory goes to disk, and a message, a click or a "
            "call wakes it where it was.",
        ),
        _rows(SettingsState.workspaces, _workspace, parts.empty("Nothing to show.", "")),
    )


def _workspace(workspace: WorkspaceView) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.strong(workspace.name),
            rx.el.small("Hibernate when idle for"),
            class_name="lb-row-text",
        ),
        rule(
            workspace.rule,
            workspace.minutes,
            on_choose=lambda seconds: SettingsState.choose_rule(workspace.id, seconds),
            on_minutes=SettingsState.choose_minutes(workspace.id),
            disabled=negated(workspace.owned),
        ),
        parts.curl("PATCH", "/api/workspaces/" + workspace.id, '{"hibernateAfter": 3600}'),
        key=workspace.id,
        custom_attrs={"data-workspace": workspace.id},
    )


# Profile and sessions


def _profile() -> rx.Component:
    return rx.el.section(
        _head("Profile", "Changing the password signs out every other browser."),
        rx.el.form(
            parts.field(
                "Email",
                rx.el.input(value=SettingsState.email, read_only=True, auto_complete="username"),
            ),
            parts.field(
                "Current password",
                parts.text_input(
                    "current", type="password", required=True, auto_complete="current-password"
                ),
            ),
            parts.field(
                "New password",
                parts.text_input(
                    "new",
                    type="password",
                    required=True,
                    min_length=10,
                    auto_complete="new-password",
                ),
                "At least 10 characters.",
            ),
            rx.el.div(
                parts.button("Change the password", look="solid", type="submit"),
                class_name="lb-actions",
            ),
            on_submit=SettingsState.change_password,
            reset_on_submit=True,
            class_name="lb-card lb-form lb-narrow",
        ),
    )


def _sessions() -> rx.Component:
    return rx.el.section(
        _head(
            "Sessions",
            "The browsers in which you are signed in.",
            rx.cond(
                count(SettingsState.sessions) > 1,
                parts.button(
                    "Sign out all others", look="danger", on_click=SettingsState.revoke_others
                ),
            ),
        ),
        _rows(SettingsState.sessions, _session, parts.empty("Nothing to show.", "")),
    )


def _session(session: SessionView) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.strong(session.browser), rx.el.small(session.address), class_name="lb-row-text"
        ),
        rx.el.small("seen ", session.seen, class_name="lb-row-when"),
        rx.cond(
            session.current,
            parts.status("ready", "This browser"),
            _tail(
                parts.button(
                    "Sign out", look="danger", on_click=SettingsState.revoke_session(session.id)
                )
            ),
        ),
        key=session.id,
    )


# Image and host


def _host() -> rx.Component:
    return rx.el.section(
        _head(
            "Golden image",
            "What every desktop starts from. One in use is never changed.",
            rx.cond(
                SettingsState.is_owner,
                parts.button(
                    "Build", icon="hammer", on_click=SettingsState.build_image, id="build-image"
                ),
            ),
        ),
        _rows(
            SettingsState.images,
            _image,
            parts.empty("There is no golden image yet.", "Desktops wait until one is built."),
        ),
        _head(
            "Golden machines",
            "Booted once from the golden image and kept with their memory; new desktops resume "
            "them in seconds.",
        ),
        _rows(
            SettingsState.goldens,
            _golden,
            parts.empty("There is no golden machine.", "Desktops boot from the golden image."),
        ),
        _head("Host", "The machine that carries your desktops."),
        _rows(
            SettingsState.hosts,
            _host_row,
            parts.empty("No host answers.", "Look at `lebureau doctor`."),
        ),
    )


def _image(image: ImageView) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.strong(image.title), rx.el.small(rx.el.code(image.id)), class_name="lb-row-text"
        ),
        parts.status(image.tone, image.word),
        rx.el.small(image.detail, " ", image.created, class_name="lb-row-when"),
        parts.progress(image.percent),
        key=image.id,
    )


def _golden(golden: GoldenView) -> rx.Component:
    return rx.el.li(
        rx.el.div(rx.el.strong(golden.tier), class_name="lb-row-text"),
        parts.status(golden.tone, golden.word),
        rx.el.small(golden.detail, class_name="lb-row-when"),
        parts.progress(golden.percent),
        key=golden.tier,
        custom_attrs={"data-golden": golden.tier},
    )


def _host_row(host: HostView) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.strong(host.name),
            rx.el.small(host.accelerator),
            rx.cond(host.note != "", rx.el.small(host.note)),
            class_name="lb-row-text",
        ),
        parts.status(host.tone, host.word),
        rx.el.dl(
            _gauge("Memory", host.memory, host.memory_percent),
            _gauge("Disk", host.disk, host.disk_percent),
            class_name="lb-gauges",
        ),
        rx.el.small(host.desktops, class_name="lb-row-when"),
        key=host.name,
    )


def _gauge(title: str, text: Any, percent: Any) -> rx.Component:
    return rx.el.div(
        rx.el.dt(title),
        rx.el.dd(rx.el.progress(value=text_of(percent), max="100", aria_label=title), text),
    )
