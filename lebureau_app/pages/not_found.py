"""The page for an address that leads nowhere."""

import reflex as rx

from lebureau_app.components.shell import bare


def page() -> rx.Component:
    """Says so, and leads back."""
    return bare(
        rx.el.h1("There is nothing here"),
        rx.el.p("The address is wrong, or what was here is gone.", class_name="lb-quiet"),
        rx.el.a("Go to Mission Control", href="/", class_name="lb-primary lb-link-button"),
    )
