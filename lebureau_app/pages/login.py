"""The sign-in page."""

import reflex as rx

from lebureau_app.components import parts
from lebureau_app.components.native_form import native_form
from lebureau_app.components.shell import bare
from lebureau_app.state.sign_in import SignInState


def page() -> rx.Component:
    """Email, password, and why the last try failed."""
    return bare(
        rx.el.h1("Sign in"),
        rx.cond(SignInState.needs_setup, _needs_setup()),
        native_form(
            rx.el.input(type="hidden", name="next", value=SignInState.next_path, read_only=True),
            parts.field(
                "Email",
                parts.text_input(
                    "email",
                    id="email",
                    type="email",
                    required=True,
                    auto_complete="username",
                    auto_focus=True,
                ),
            ),
            parts.field(
                "Password",
                parts.text_input(
                    "password",
                    id="password",
                    type="password",
                    required=True,
                    auto_complete="current-password",
                ),
            ),
            rx.cond(
                SignInState.reason != "",
                rx.el.div(rx.el.p(SignInState.reason), class_name="lb-problem", role="alert"),
            ),
            rx.el.button("Sign in", type="submit", id="sign-in", class_name="lb-primary"),
            action="/auth/login",
            method="post",
            class_name="lb-sign",
        ),
    )


def _needs_setup() -> rx.Component:
    return rx.el.p(
        "Nobody has an account here yet. Open the set-up link that the server printed in its "
        "terminal to make the owner's.",
        class_name="lb-quiet",
    )
