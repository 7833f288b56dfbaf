"""The small parts of every page. They take data, never a state."""

from typing import Any, Literal

import reflex as rx
from reflex.event import EventType

from lebureau_app.components.expressions import negated, text_of
from lebureau_app.components.streams import copy_button, elapsed, stopwatch
from lebureau_app.state.views import DesktopView, LightView, ProblemView

_COLORS: dict[str, Any] = {"solid": "indigo", "danger": "red"}
CHANNEL_HELP = "What this light says, and why"


def button(
    label: Any,
    *,
    icon: str = "",
    look: Literal["solid", "soft", "ghost", "danger"] = "soft",
    **props: Any,
) -> rx.Component:
    """A button with a word, and an icon where it helps.

    Args:
        label: The word.
        icon: A Lucide icon.
        look: `solid` for the one thing to do here, `soft`, `ghost`, or `danger`.
        props: Whatever else the button takes.
    """
    return rx.button(
        *([rx.icon(icon, size=16, aria_hidden="true")] if icon else []),
        label,
        variant="soft" if look == "danger" else look,
        color_scheme=_COLORS.get(look, "gray"),
        high_contrast=look == "danger",
        size="2",
        **props,
    )


def status(tone: Any, word: Any, **props: Any) -> rx.Component:
    """A state: its shape, its colour and its word."""
    return rx.el.span(
        rx.el.span(class_name="lb-shape", aria_hidden="true"),
        rx.el.span(word),
        class_name="lb-status",
        custom_attrs={"data-tone": tone},
        **props,
    )


def light(shown: LightView) -> rx.Component:
    """A light, with its reason and the next step on hover, focus or click."""
    return rx.popover.root(
        rx.popover.trigger(
            rx.el.button(
                rx.el.span(class_name="lb-shape", aria_hidden="true"),
                rx.el.span(shown.channel),
                rx.el.span(": ", shown.word, class_name="lb-hidden"),
                type="button",
                class_name="lb-light",
                title=CHANNEL_HELP,
                custom_attrs={"data-tone": shown.tone, "data-light": shown.channel},
            )
        ),
        rx.popover.content(
            rx.el.strong(shown.channel, ": ", shown.word),
            rx.el.p(shown.reason),
            rx.cond(shown.next_step != "", rx.el.p(shown.next_step, class_name="lb-quiet")),
            size="1",
            aria_label="Why this light is what it is",
            class_name="lb-popover",
        ),
    )


def lights(shown: Any) -> rx.Component:
    """All lights of a desktop in a row."""
    return rx.el.div(rx.foreach(shown, light), class_name="lb-lights", aria_label="Lights")


def small_lights(desktop: DesktopView) -> rx.Component:
    """All lights of a desktop as shapes only, for a row or a tile."""
    return rx.el.span(
        rx.foreach(
            desktop.lights,
            lambda each: rx.el.span(
                class_name="lb-shape",
                title=f"{each.channel}: {each.word}",
                custom_attrs={"data-tone": each.tone},
            ),
        ),
        class_name="lb-small-lights",
        role="img",
        aria_label="Lights",
    )


def problem(shown: ProblemView, on_dismiss: EventType[()]) -> rx.Component:
    """An error in place: what, what to do, and the request's id small under it."""
    return rx.cond(
        shown.message != "",
        rx.el.div(
            rx.el.p(rx.el.strong(shown.message), " ", shown.hint),
            rx.el.button("Put away", type="button", class_name="lb-mini", on_click=on_dismiss),
            rx.el.small("Request ", shown.request_id),
            class_name="lb-problem",
            role="alert",
        ),
    )


def field(label: str, control: rx.Component, help_text: Any = "") -> rx.Component:
    """A labelled control with a word of help under it."""
    return rx.el.label(label, control, rx.el.small(help_text), class_name="lb-field")


def text_input(name: str, **props: Any) -> rx.Component:
    """A one-line input."""
    return rx.el.input(name=name, **props)


def empty(title: str, text: str, *actions: rx.Component) -> rx.Component:
    """What a place says that has nothing to show."""
    return rx.el.div(
        rx.el.p(rx.el.strong(title)),
        rx.el.p(text),
        *actions,
        class_name="lb-empty",
    )


def banner(text: Any, tone: str, *actions: rx.Component) -> rx.Component:
    """A sentence across the page that is true right now; nothing where the text is empty."""
    return rx.cond(
        text != "",
        rx.el.div(
            rx.el.span(class_name="lb-shape", aria_hidden="true"),
            rx.el.p(text),
            *actions,
            class_name="lb-banner",
            role="status",
            custom_attrs={"data-tone": tone},
        ),
    )


def since(desktop: DesktopView) -> rx.Component:
    """How long a desktop has been running."""
    return rx.cond(desktop.since != "", elapsed(since=desktop.since), rx.el.span())


def doing(desktop: DesktopView, since: Any = "", **props: Any) -> rx.Component:
    """What a desktop is doing, in one line; while it gets up, with the time that it takes."""
    return rx.el.span(
        desktop.line,
        rx.cond(desktop.waking, rx.fragment(" · ", stopwatch(since=since, key=desktop.word))),
        title=desktop.line,
        class_name="lb-line",
        **props,
    )


def lineage(desktop: DesktopView) -> rx.Component:
    """Whose fork it is; nothing where it is none."""
    return rx.cond(
        desktop.parent != "", rx.el.span("fork of ", desktop.parent, class_name="lb-label")
    )


def progress(percent: Any) -> rx.Component:
    """How far a step is, where that is known; its room is kept where it is not."""
    return rx.el.span(
        rx.cond(
            percent >= 0,
            rx.el.progress(value=text_of(percent), max="100", aria_label="Progress"),
        ),
        class_name="lb-progress",
    )


def curl(method: str, path: Any, body: Any = None, label: str = "Copy as curl") -> rx.Component:
    """Copies the curl line of an action; the API key comes from the shell's environment."""
    line = f'curl -X {method} "{{origin}}' + path + '" -H "Authorization: Bearer $LEBUREAU_API_KEY"'
    if body is not None:
        line = line + " -H 'Content-Type: application/json' -d '" + body + "'"
    return copy_button(text=line, label=label)


def menu_label(*words: Any) -> rx.Component:
    """A line of a menu that says something and does nothing."""
    return rx.el.div(*words, class_name="lb-menu-label")


def confirm_by_name(
    *,
    asking: Any,
    name: Any,
    matches: Any,
    on_ask: Any,
    on_type: Any,
    on_confirm: Any,
) -> rx.Component:
    """Asks for the name before something is destroyed for good."""
    return rx.dialog.root(
        rx.dialog.content(
            rx.dialog.title("Destroy ", name, "?"),
            rx.dialog.description(
                "Its disk and everything on it are removed for good. The conversation is kept."
            ),
            rx.el.form(
                field(
                    "Type its name to destroy it",
                    rx.el.input(
                        id="destroy-name",
                        auto_focus=True,
                        auto_complete="off",
                        spell_check=False,
                        placeholder=name,
                        on_change=on_type,
                    ),
                ),
                rx.el.div(
                    rx.dialog.close(button("Keep it", look="ghost", type="button")),
                    button(
                        "Destroy",
                        icon="trash-2",
                        look="danger",
                        id="destroy-confirm",
                        type="submit",
                        disabled=negated(matches),
                    ),
                    class_name="lb-actions",
                ),
                on_submit=on_confirm,
            ),
            class_name="lb-dialog",
        ),
        open=asking,
        on_open_change=on_ask,
    )
