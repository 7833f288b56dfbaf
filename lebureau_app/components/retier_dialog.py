"""The dialog that changes a desktop's tier."""

import reflex as rx

from lebureau_app.components import parts
from lebureau_app.components.expressions import negated
from lebureau_app.components.tier_cards import tier_cards
from lebureau_app.state.retier import RetierState


def retier_dialog() -> rx.Component:
    """The tiers, and the snapshot that is the way back."""
    return rx.dialog.root(
        rx.dialog.content(
            rx.dialog.title("Change the tier of ", RetierState.desktop.name),
            rx.dialog.description("It is stopped: its new size counts from the next start."),
            rx.el.form(
                tier_cards(RetierState.offered, RetierState.wanted, RetierState.choose_wanted),
                rx.el.label(
                    rx.el.input(
                        type="checkbox",
                        id="snapshot-first",
                        checked=RetierState.snapshot_first,
                        on_change=RetierState.choose_snapshot(negated(RetierState.snapshot_first)),
                    ),
                    "Take a snapshot first, so that this can be undone",
                    class_name="lb-check",
                ),
                parts.problem(RetierState.problem, RetierState.dismiss),
                rx.el.div(
                    parts.curl(
                        "PATCH",
                        "/api/desktops/" + RetierState.desktop.id,
                        '{"tier": "pro", "snapshot": true}',
                    ),
                    rx.el.span(class_name="lb-grow"),
                    rx.dialog.close(parts.button("Cancel", look="ghost", type="button")),
                    parts.button(
                        "Change",
                        look="solid",
                        type="submit",
                        id="retier-confirm",
                        disabled=RetierState.wanted == RetierState.desktop.tier_id,
                    ),
                    class_name="lb-actions",
                ),
                on_submit=RetierState.retier,
                class_name="lb-form",
            ),
            class_name="lb-dialog",
        ),
        open=RetierState.retiering,
        on_open_change=RetierState.ask_to_retier,
    )
