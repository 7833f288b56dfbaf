"""When a desktop hibernates by itself, and the rule that says so."""

from collections.abc import Callable
from typing import Any

import reflex as rx

from lebureau_app.components import parts
from lebureau_app.components.expressions import negated, text_of
from lebureau_app.components.streams import countdown
from lebureau_app.state.hibernation_views import AS_THE_WORKSPACE, CHOICES, HibernationView


def resting(
    shown: HibernationView,
    *,
    may_operate: Any,
    desktop_id: Any,
    on_keep_awake: Any,
    on_choose: Callable[[int], Any],
    on_minutes: Any,
) -> rx.Component:
    """How long it is until the desktop hibernates, Keep awake, and the rule behind a click."""
    return rx.el.span(
        rx.popover.root(
            rx.popover.trigger(
                rx.el.button(
                    rx.icon("moon", size=14, aria_hidden="true"),
                    _when(shown),
                    type="button",
                    id="hibernates",
                    title="When this desktop hibernates by itself",
                    class_name="lb-mini",
                )
            ),
            rx.popover.content(
                rx.el.strong("Hibernate when idle"),
                rx.el.p(
                    "Idle is when neither the agent nor anybody else does anything in it. "
                    "Its memory goes to disk, and it wakes where it was.",
                    class_name="lb-quiet",
                ),
                rule(
                    shown.rule,
                    shown.minutes,
                    on_choose=on_choose,
                    on_minutes=on_minutes,
                    disabled=negated(may_operate),
                    first=("Workspace: " + shown.of_workspace, AS_THE_WORKSPACE),
                ),
                _as_curl("/api/desktops/" + desktop_id),
                size="1",
                aria_label="Hibernate when idle",
                class_name="lb-popover lb-rule",
            ),
        ),
        rx.cond(
            may_operate & (shown.at != ""),
            rx.el.button(
                "Keep awake",
                type="button",
                id="keep-awake",
                title="For an hour from now",
                on_click=on_keep_awake,
                class_name="lb-mini",
            ),
        ),
        class_name="lb-resting",
    )


def rule(
    seconds: Any,
    minutes: Any,
    *,
    on_choose: Callable[[int], Any],
    on_minutes: Any,
    disabled: Any,
    first: tuple[Any, int] | None = None,
) -> rx.Component:
    """The choice of idle seconds after which a desktop hibernates.

    Args:
        seconds: What is chosen.
        minutes: The rule that counts, in minutes, to begin from.
        on_choose: Makes the event of a choice out of its seconds.
        on_minutes: What happens with the form of one's own number.
        disabled: Whether one may only look.
        first: A choice before the usual ones: its words and its value.
    """
    choices = [*([first] if first else []), *((words, value) for value, words in CHOICES)]
    return rx.el.div(
        rx.el.div(
            *(
                rx.el.button(
                    words,
                    type="button",
                    disabled=disabled,
                    on_click=on_choose(value),
                    custom_attrs={"aria-pressed": rx.cond(seconds == value, "true", "false")},
                )
                for words, value in choices
            ),
            class_name="lb-segments",
            role="group",
            aria_label="Hibernate when idle for",
        ),
        rx.el.form(
            "or after",
            rx.el.input(
                type="number",
                name="minutes",
                min=1,
                max=40320,
                required=True,
                default_value=text_of(minutes),
                key=text_of(minutes),
                aria_label="Minutes",
                disabled=disabled,
            ),
            "min",
            rx.el.button("Set", type="submit", disabled=disabled, class_name="lb-mini"),
            on_submit=on_minutes,
            class_name="lb-rule-form",
        ),
        class_name="lb-rule-choice",
    )


def _as_curl(path: Any) -> rx.Component:
    return rx.el.div(
        rx.el.small("As curl"),
        parts.curl("PATCH", path, '{"hibernateAfter": 3600}', label="the rule"),
        parts.curl("POST", path + "/keep-awake", '{"seconds": 3600}', label="keep awake"),
        parts.curl("POST", path + "/hibernate", label="hibernate"),
        class_name="lb-actions",
    )


def _when(shown: HibernationView) -> rx.Component:
    return rx.cond(
        shown.at != "",
        countdown(until=shown.at, prefix=shown.prefix, over="Hibernates now"),
        rx.el.span(shown.words),
    )
