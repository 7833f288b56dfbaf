"""The dialog that changes a desktop's tier."""

import reflex as rx

from lebureau_app.components.reconfigure_dialog import reconfigure_dialog
from lebureau_app.components.tier_cards import tier_cards
from lebureau_app.state.retier import RetierState


def retier_dialog() -> rx.Component:
    """The tiers, and the snapshot that is the way back."""
    return reconfigure_dialog(
        tier_cards(RetierState.offered, RetierState.wanted, RetierState.choose_wanted),
        name="retier",
        title="Change the tier",
        description="It is stopped: its new size counts from the next start.",
        asking=RetierState.retiering,
        on_ask=RetierState.ask_to_retier,
        on_change=RetierState.retier,
        verb="Change",
        changes='"tier": "' + RetierState.wanted + '"',
        unchanged=RetierState.wanted == RetierState.desktop.tier_id,
    )
