"""The New Computer button and its dialog."""

import reflex as rx

from lebureau_app.components import parts
from lebureau_app.components.expressions import contains, count, negated
from lebureau_app.components.tier_cards import tier_cards
from lebureau_app.state.create import CreateState


def new_computer() -> rx.Component:
    """The button that is on every page, and the dialog behind it."""
    return rx.dialog.root(
        rx.dialog.trigger(
            parts.button(
                "New Computer",
                icon="plus",
                look="solid",
                id="new-computer",
                disabled=negated(CreateState.may_operate),
            )
        ),
        rx.dialog.content(
            rx.dialog.title("New Computer"),
            rx.dialog.description("A full Linux desktop, with an agent that works in it."),
            _form(),
            class_name="lb-dialog",
        ),
        open=CreateState.creating,
        on_open_change=CreateState.ask,
    )


def _form() -> rx.Component:
    return rx.el.form(
        tier_cards(CreateState.tiers, CreateState.tier, CreateState.choose_tier),
        rx.cond(
            CreateState.road != "",
            rx.el.p(
                rx.icon("timer", size=16, aria_hidden="true"),
                CreateState.road,
                id="road",
                role="status",
                class_name="lb-road",
            ),
        ),
        parts.field(
            "Name",
            parts.text_input(
                "name",
                id="new-name",
                placeholder="Made up if left empty",
                max_length=63,
                pattern="[A-Za-z0-9\\-]{1,63}",
                title="1 to 63 letters, digits and hyphens",
                auto_complete="off",
                spell_check=False,
                auto_focus=True,
            ),
        ),
        rx.el.label(
            rx.switch(
                checked=CreateState.with_agent,
                on_change=CreateState.choose_agent,
                size="1",
                name="agent",
            ),
            "With an OpenClaw agent",
            class_name="lb-check",
        ),
        rx.cond(CreateState.with_agent, _keys()),
        parts.problem(CreateState.problem, CreateState.dismiss),
        rx.el.div(
            parts.curl("POST", "/api/desktops", '{"tier": "free"}'),
            rx.el.span(class_name="lb-grow"),
            rx.dialog.close(parts.button("Cancel", look="ghost", type="button")),
            parts.button("Provision", look="solid", type="submit", id="provision"),
            class_name="lb-actions",
        ),
        on_submit=CreateState.provision,
        class_name="lb-form",
    )


def _keys() -> rx.Component:
    return rx.cond(
        count(CreateState.keys) > 0,
        rx.el.fieldset(
            rx.el.legend("Model keys that it may use"),
            rx.foreach(
                CreateState.keys,
                lambda key: rx.el.label(
                    rx.el.input(
                        type="checkbox",
                        checked=contains(CreateState.key_ids, key["id"]),
                        on_change=CreateState.toggle_key(key["id"]),
                    ),
                    key["name"],
                    class_name="lb-check",
                ),
            ),
            class_name="lb-keys-choice",
        ),
        rx.el.p(
            "There is no model key yet: the agent cannot think without one. ",
            rx.link("Add a model key", href="/settings/?section=models"),
            class_name="lb-quiet",
        ),
    )
