"""Reflex's settings. Read from the working directory: see `lebureau_app.frontend`."""

import reflex as rx

from lebureau_app.components.theme import LookPlugin
from lebureau_app.frontend import PLACEHOLDER_ORIGIN, SameOriginPlugin

config = rx.Config(
    app_name="lebureau_app",
    api_url=PLACEHOLDER_ORIGIN,
    backend_port=8000,
    frontend_port=8000,
    db_url=None,
    telemetry_enabled=False,
    show_built_with_reflex=False,
    state_manager_mode=rx.constants.StateManagerMode.MEMORY,
    cors_allowed_origins=["https://none.invalid"],
    frontend_compression_formats=["brotli", "gzip"],
    frontend_lazy_bundled_libraries=True,
    react_strict_mode=False,
    plugins=[LookPlugin(), SameOriginPlugin()],
    disable_plugins=[rx.plugins.SitemapPlugin],
)
