"""What a page says while it has lost the server."""

import reflex as rx
from reflex_components_core.core.banner import has_connection_errors


def connection() -> rx.Component:
    """Says so when the page has lost the server, and that it tries again."""
    return rx.cond(
        has_connection_errors,
        rx.el.p(
            "The connection to Le Bureau is lost. Trying again …",
            class_name="lb-lost",
            role="status",
        ),
    )
