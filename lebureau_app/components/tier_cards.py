"""The tiers as cards to choose from."""

from typing import Any

import reflex as rx

from lebureau_app.components.expressions import negated


def tier_cards(tiers: Any, chosen: Any, on_choose: Any) -> rx.Component:
    """One card a tier: its price, its size, and why the host cannot carry it where it cannot.

    Args:
        tiers: The tiers.
        chosen: The id of the one that is chosen.
        on_choose: Takes the id of another.
    """
    return rx.el.div(
        rx.foreach(tiers, lambda tier: _card(tier, chosen, on_choose)),
        class_name="lb-tiers",
        role="radiogroup",
        aria_label="Tier",
    )


def _card(tier: Any, chosen: Any, on_choose: Any) -> rx.Component:
    return rx.el.label(
        rx.el.input(
            type="radio",
            name="tier",
            value=tier.id,
            checked=chosen == tier.id,
            disabled=negated(tier.available),
            on_change=on_choose(tier.id),
        ),
        rx.el.strong(tier.name),
        rx.el.span(tier.price, class_name="lb-price"),
        rx.el.small(tier.size),
        rx.cond(tier.available, rx.fragment(), rx.el.small(tier.reason, class_name="lb-reason")),
        class_name="lb-tier",
        custom_attrs={"data-tier": tier.id},
    )
