"""The dialog that puts a desktop on the newest image."""

import reflex as rx

from lebureau_app.components.reconfigure_dialog import reconfigure_dialog
from lebureau_app.state.upgrade import UpgradeState


def upgrade_dialog() -> rx.Component:
    """What is carried over and what is not, and the snapshot that is the way back."""
    return reconfigure_dialog(
        rx.el.p("The newest image is ", rx.el.code(UpgradeState.newest_image)),
        rx.el.p(
            "Its home folder is carried over, with the agent's memory and all files in it. Software "
            "that was installed outside of the home folder must be installed again."
        ),
        name="upgrade",
        title="Upgrade the image",
        description="It is started once on its new image, without a screen, and stopped again.",
        asking=UpgradeState.upgrading,
        on_ask=UpgradeState.ask_to_upgrade,
        on_change=UpgradeState.upgrade,
        verb="Upgrade",
        changes='"image": "' + UpgradeState.newest_image + '"',
    )
