"""The dialog that forks a desktop."""

import reflex as rx

from lebureau_app.components import parts
from lebureau_app.components.expressions import text_of
from lebureau_app.state.fork import MOST, ForkState


def fork_dialog() -> rx.Component:
    """How many, what they are called, and whether the host can carry them."""
    return rx.dialog.root(
        rx.dialog.content(
            rx.dialog.title("Fork ", ForkState.desktop.name),
            rx.dialog.description(
                "New desktops from this one as it is now, open windows and all. Each gets an "
                "identity of its own; this one pauses for less than a second."
            ),
            rx.el.form(
                rx.el.div(
                    rx.el.label(
                        "How many",
                        rx.el.select(
                            *(
                                rx.el.option(str(each), value=str(each))
                                for each in range(1, MOST + 1)
                            ),
                            id="fork-count",
                            value=text_of(ForkState.count),
                            on_change=lambda count: ForkState.choose_count(count.to(int)),
                        ),
                        class_name="lb-field",
                    ),
                    parts.field(
                        "Names begin with",
                        parts.text_input(
                            "prefix",
                            id="fork-prefix",
                            placeholder=ForkState.desktop.name,
                            max_length=60,
                            pattern="[A-Za-z0-9\\-]{1,60}",
                            title="Letters, digits and hyphens",
                            auto_complete="off",
                            spell_check=False,
                        ),
                        "Each gets a number behind it.",
                    ),
                    class_name="lb-columns",
                ),
                rx.el.p(
                    rx.cond(
                        ForkState.why_not != "",
                        ForkState.why_not,
                        "The host has room for that. A run of the agent ends in the forks, and "
                        "goes on here.",
                    ),
                    class_name="lb-road",
                    role="status",
                    custom_attrs={
                        "data-tone": rx.cond(ForkState.why_not != "", "working", "ready")
                    },
                ),
                parts.problem(ForkState.problem, ForkState.dismiss),
                rx.el.div(
                    parts.curl(
                        "POST",
                        "/api/desktops/" + ForkState.desktop.id + "/fork",
                        '{"count": 2}',
                    ),
                    rx.el.span(class_name="lb-grow"),
                    rx.dialog.close(parts.button("Cancel", look="ghost", type="button")),
                    parts.button(
                        "Fork",
                        icon="git-fork",
                        look="solid",
                        type="submit",
                        id="fork-confirm",
                        disabled=ForkState.why_not != "",
                    ),
                    class_name="lb-actions",
                ),
                on_submit=ForkState.fork,
                class_name="lb-form",
            ),
            class_name="lb-dialog",
        ),
        open=ForkState.forking,
        on_open_change=ForkState.ask_to_fork,
    )
