"""The frame of every page: navigation, New Computer, the account, notices, the connection."""

import reflex as rx
from reflex.style import set_color_mode

from lebureau_app.components import parts
from lebureau_app.components.expressions import text_of
from lebureau_app.components.native_form import native_form
from lebureau_app.components.new_computer import new_computer
from lebureau_app.components.streams import palette
from lebureau_app.state.app import AppState

_PRESS_SIGN_OUT = rx.vars.FunctionStringVar.create(
    "(() => document.getElementById('sign-out').click())"
)


def logo() -> rx.Component:
    """The mark and the name: a house with one window lit."""
    return rx.el.span(
        rx.el.img(src="/favicon.svg", alt="", width="20", height="20"),
        rx.el.span("Le Bureau"),
        class_name="lb-logo",
    )


def shell(title: str, *children: rx.Component, wide: bool = False) -> rx.Component:
    """A page of somebody who is signed in.

    Args:
        title: What the page is, for screen readers and the navigation.
        children: The page.
        wide: Whether it takes the whole window, as the desktop page does.
    """
    return rx.el.div(
        rx.el.a("Skip to the page", href="#page", class_name="lb-skip"),
        rx.el.header(
            rx.link(logo(), href="/", class_name="lb-home", aria_label="Mission Control"),
            rx.el.nav(
                _place("Mission Control", "/", title),
                _place("Settings", "/settings/", title),
                aria_label="Pages",
            ),
            rx.el.div(palette(), new_computer(), _account(), class_name="lb-bar-end"),
            class_name="lb-bar",
        ),
        rx.el.main(
            *children,
            id="page",
            tab_index=-1,
            aria_label=title,
            class_name="lb-page lb-page-wide" if wide else "lb-page",
        ),
        _notice(),
        class_name="lb-shell",
    )


def bare(*children: rx.Component) -> rx.Component:
    """A page for somebody who is not signed in yet."""
    return rx.el.main(
        rx.el.div(logo(), *children, class_name="lb-bare-card"), class_name="lb-bare", id="page"
    )


def _place(label: str, href: str, current: str) -> rx.Component:
    here = {"aria-current": "page"} if label == current else {}
    return rx.link(label, href=href, custom_attrs=here, class_name="lb-place")


def _account() -> rx.Component:
    return rx.el.div(
        rx.dropdown_menu.root(
            rx.dropdown_menu.trigger(
                rx.el.button(
                    rx.icon("user-round", size=16),
                    type="button",
                    class_name="lb-icon",
                    aria_label="Account",
                    id="account",
                )
            ),
            rx.dropdown_menu.content(
                parts.menu_label(AppState.email),
                rx.dropdown_menu.separator(),
                parts.menu_label("Look"),
                rx.dropdown_menu.item("Dark", on_select=set_color_mode("dark")),
                rx.dropdown_menu.item("Light", on_select=set_color_mode("light")),
                rx.dropdown_menu.item("As the system", on_select=set_color_mode("system")),
                rx.dropdown_menu.separator(),
                rx.dropdown_menu.item("Settings", on_select=rx.redirect("/settings/")),
                rx.dropdown_menu.item("Sign out", on_select=rx.call_function(_PRESS_SIGN_OUT)),
                size="1",
            ),
        ),
        native_form(
            rx.el.button("Sign out", id="sign-out", type="submit"),
            action="/auth/logout",
            method="post",
            class_name="lb-hidden",
        ),
    )


def _notice() -> rx.Component:
    shown = AppState.notice
    return rx.el.div(
        rx.cond(
            shown.text != "",
            rx.el.div(
                rx.el.span(shown.text),
                rx.cond(
                    shown.undo != "",
                    rx.el.button(
                        "Undo", type="button", class_name="lb-mini", on_click=AppState.undo
                    ),
                ),
                class_name="lb-notice",
                key=text_of(shown.id),
            ),
        ),
        class_name="lb-notices",
        role="status",
        aria_live="polite",
    )
