"""The look: Radix Themes with our colours, our type and our stylesheet, and nothing else of it."""

from typing import Any

import reflex as rx

from lebureau_app.components.connection import connection

_HEAD: list[rx.Component] = [
    rx.el.link(rel="icon", href="/favicon.svg", type="image/svg+xml"),
    rx.el.meta(name="color-scheme", content="dark light"),
    rx.el.meta(name="robots", content="noindex"),
]

_TOKENS = "@radix-ui/themes/tokens"
_COLORS = ("slate", "indigo", "green", "amber", "red", "violet")


LOOK: dict[str, Any] = {
    "stylesheets": ["/lebureau.css"],
    "head_components": _HEAD,
    "html_lang": "en",
    "toaster": None,
    "extra_app_wraps": {(5, "Overlay"): lambda stateful: connection() if stateful else None},
}
"""What `rx.App` takes for our look."""


class LookPlugin(rx.plugins.RadixThemesPlugin):
    """Radix Themes without the colours and layout utilities that no page uses; our typefaces."""

    def __init__(self) -> None:
        super().__init__(
            theme=rx.theme(
                accent_color="indigo",
                gray_color="slate",
                radius="large",
                has_background=False,
            )
        )

    def get_stylesheet_paths(self, **context: Any) -> tuple[str, ...]:
        """The stylesheets in the order in which they override each other."""
        colors = (f"{_TOKENS}/colors/{color}.css" for color in _COLORS)
        return (
            f"{_TOKENS}/base.css",
            *colors,
            "@radix-ui/themes/components.css",
        )

    def get_frontend_dependencies(self, **context: Any) -> tuple[str, ...]:
        """The npm packages of the look, each at one version."""
        return (
            *super().get_frontend_dependencies(**context),
            "@fontsource-variable/inter@5.3.0",
            "@fontsource-variable/jetbrains-mono@5.3.0",
        )
