"""The set-up page: the owner account, by the one-time link."""

import reflex as rx

from lebureau_app.components.shell import bare
from lebureau_app.components.streams import setup_form


def page() -> rx.Component:
    """The form that makes the owner account and the first workspace."""
    return bare(
        rx.el.h1("Welcome"),
        rx.el.p(
            "Make the owner account. It has the first workspace, and can do everything.",
            class_name="lb-quiet",
        ),
        setup_form(),
    )
