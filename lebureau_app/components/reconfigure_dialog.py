"""The frame of a dialog that changes a stopped desktop: the snapshot first, then the change."""

from typing import Any

import reflex as rx

from lebureau_app.components import parts
from lebureau_app.components.expressions import negated
from lebureau_app.state.reconfigure import ReconfigureState


def reconfigure_dialog(
    *content: rx.Component,
    name: str,
    title: str,
    description: str,
    asking: Any,
    on_ask: Any,
    on_change: Any,
    verb: str,
    changes: Any,
    unchanged: Any = False,
) -> rx.Component:
    """Asks what is to be different, and offers the snapshot that is the way back.

    Args:
        content: What there is to choose and to know.
        name: Begins the ids of its controls.
        title: What is changed; the desktop's name follows.
        description: When it counts, or what it does.
        asking: Whether the dialog is open.
        on_ask: Opens and closes it.
        on_change: Carries the change out.
        verb: What its button says.
        changes: The same as members of a JSON object, for the interface.
        unchanged: Whether nothing would be different.
    """
    desktop = ReconfigureState.desktop
    snapshot = rx.cond(ReconfigureState.snapshot_first, "true", "false")
    body = "{" + changes + ', "snapshot": ' + snapshot + "}"
    return rx.dialog.root(
        rx.dialog.content(
            rx.dialog.title(title, " of ", desktop.name),
            rx.dialog.description(description),
            rx.el.form(
                *content,
                rx.el.label(
                    rx.el.input(
                        type="checkbox",
                        id=f"{name}-snapshot-first",
                        checked=ReconfigureState.snapshot_first,
                        on_change=ReconfigureState.choose_snapshot(
                            negated(ReconfigureState.snapshot_first)
                        ),
                    ),
                    "Take a snapshot first, so that this can be undone",
                    class_name="lb-check",
                ),
                parts.problem(ReconfigureState.problem, ReconfigureState.dismiss),
                rx.el.div(
                    parts.curl("PATCH", "/api/desktops/" + desktop.id, body),
                    rx.el.span(class_name="lb-grow"),
                    rx.dialog.close(parts.button("Cancel", look="ghost", type="button")),
                    parts.button(
                        verb,
                        look="solid",
                        type="submit",
                        id=f"{name}-confirm",
                        disabled=unchanged,
                    ),
                    class_name="lb-actions",
                ),
                on_submit=on_change,
                class_name="lb-form",
            ),
            class_name="lb-dialog",
        ),
        open=asking,
        on_open_change=on_ask,
    )
