"""The timeline of a desktop's snapshots."""

from collections.abc import Callable
from typing import Any

import reflex as rx

from lebureau_app.components import parts
from lebureau_app.components.expressions import count, negated
from lebureau_app.components.streams import elapsed
from lebureau_app.state.snapshot_views import SnapshotView
from lebureau_app.state.views import DesktopView


def timeline(
    desktop: DesktopView,
    snapshots: Any,
    *,
    may_operate: Any,
    on_take: Any,
    on_fork: Any,
    on_restore: Callable[[Any, Any], Any],
    on_delete: Callable[[Any, Any], Any],
) -> rx.Component:
    """Now at the top, and what was before, newest first.

    Args:
        desktop: Whose snapshots they are.
        snapshots: The snapshots.
        may_operate: Whether one may do more than look.
        on_take: What happens with the form for a new one.
        on_fork: Asks how many forks it shall be.
        on_restore: Makes the event of a restore out of an id and a name.
        on_delete: Makes the event of a deletion out of an id and a name.
    """
    return rx.el.div(
        rx.cond(may_operate, _take(desktop, on_take)),
        rx.el.ol(
            rx.el.li(
                rx.el.span(class_name="lb-shape", aria_hidden="true"),
                rx.el.div(
                    rx.el.strong("Now"),
                    rx.el.small(desktop.stored, id="stored"),
                    rx.cond(may_operate, _from_now(desktop, on_fork)),
                    class_name="lb-moment",
                ),
                custom_attrs={"data-tone": desktop.tone},
            ),
            rx.foreach(
                snapshots,
                lambda each: _moment(each, desktop, may_operate, on_restore, on_delete),
            ),
            class_name="lb-moments",
            aria_label="Snapshots, newest first",
        ),
        rx.cond(
            count(snapshots) > 0,
            rx.fragment(),
            rx.el.p(
                "A snapshot keeps the desktop as it is: its disk, and while it runs, every open "
                "window. Take one before something daring; restoring it takes seconds.",
                class_name="lb-quiet",
            ),
        ),
        class_name="lb-timeline",
    )


def _take(desktop: DesktopView, on_take: Any) -> rx.Component:
    return rx.el.form(
        rx.el.input(
            name="name",
            id="snapshot-name",
            max_length=100,
            placeholder="Name, or none",
            aria_label="Name of the snapshot",
            auto_complete="off",
        ),
        parts.button(
            "Take a snapshot",
            icon="camera",
            type="submit",
            id="take-snapshot",
            disabled=negated(desktop.can_snapshot),
        ),
        on_submit=on_take,
        reset_on_submit=True,
        class_name="lb-inline-form",
    )


def _from_now(desktop: DesktopView, on_fork: Any) -> rx.Component:
    path = "/api/desktops/" + desktop.id
    return rx.el.span(
        rx.el.button(
            "Fork …",
            type="button",
            id="fork",
            title="Make new desktops from this one as it is now",
            on_click=on_fork,
            disabled=negated(desktop.can_snapshot),
            class_name="lb-mini",
        ),
        parts.curl("POST", path + "/snapshots", '{"name": "before"}'),
        class_name="lb-actions",
    )


def _moment(
    snapshot: SnapshotView,
    desktop: DesktopView,
    may_operate: Any,
    on_restore: Callable[[Any, Any], Any],
    on_delete: Callable[[Any, Any], Any],
) -> rx.Component:
    return rx.el.li(
        rx.el.span(class_name="lb-shape", aria_hidden="true"),
        rx.el.div(
            rx.cond(
                snapshot.picture != "",
                rx.el.img(src=snapshot.picture, alt="", loading="lazy", draggable=False),
            ),
            class_name="lb-moment-picture",
        ),
        rx.el.div(
            rx.el.span(
                rx.el.strong(snapshot.name, title=snapshot.name),
                rx.cond(
                    snapshot.automatic,
                    rx.el.span("automatic", class_name="lb-label"),
                    rx.fragment(),
                ),
                class_name="lb-moment-name",
            ),
            rx.el.small(
                rx.cond(
                    snapshot.can_restore,
                    rx.fragment(
                        elapsed(since=snapshot.created, suffix=" ago"), " · ", snapshot.what
                    ),
                    rx.el.span(snapshot.word),
                )
            ),
            rx.cond(snapshot.note != "", rx.el.small(snapshot.note)),
            rx.cond(may_operate, _choices(snapshot, desktop, on_restore, on_delete)),
            class_name="lb-moment",
        ),
        key=snapshot.id,
        custom_attrs={"data-tone": snapshot.tone, "data-snapshot": snapshot.id},
    )


def _choices(
    snapshot: SnapshotView,
    desktop: DesktopView,
    on_restore: Callable[[Any, Any], Any],
    on_delete: Callable[[Any, Any], Any],
) -> rx.Component:
    return rx.el.span(
        rx.el.button(
            "Restore",
            type="button",
            aria_label="Restore " + snapshot.name,
            title="Make the desktop what it was then; what it is now is kept first",
            disabled=negated(snapshot.can_restore) | desktop.busy,
            on_click=on_restore(snapshot.id, snapshot.name),
            class_name="lb-mini",
        ),
        rx.popover.root(
            rx.popover.trigger(
                rx.el.button(
                    "Delete",
                    type="button",
                    aria_label="Delete " + snapshot.name,
                    disabled=negated(snapshot.can_delete),
                    class_name="lb-mini",
                )
            ),
            rx.popover.content(
                rx.el.p("Deleting it cannot be undone."),
                rx.el.div(
                    rx.popover.close(
                        parts.button(
                            "Delete",
                            look="danger",
                            on_click=on_delete(snapshot.id, snapshot.name),
                        )
                    ),
                    rx.popover.close(parts.button("Keep it", look="ghost")),
                    class_name="lb-actions",
                ),
                size="1",
                aria_label="Delete the snapshot",
                class_name="lb-popover",
            ),
        ),
        parts.curl(
            "POST",
            "/api/desktops/" + desktop.id + "/snapshots/" + snapshot.id + "/restore",
            label="As curl",
        ),
        class_name="lb-actions",
    )
