"""The New Computer dialog."""

from typing import Any

import reflex as rx

from lebureau_app.services import desktops, hosts, present, provider_keys, tiers
from lebureau_app.state import snapshot_views, steps, views
from lebureau_app.state.app import AppState
from lebureau_app.state.views import TierView


class CreateState(AppState):
    """What has been chosen for a new desktop."""

    creating: bool = False
    tiers: list[TierView] = []
    tier: str = "free"
    with_agent: bool = True
    keys: list[dict[str, str]] = []
    key_ids: list[str] = []
    roads: dict[str, str] = {}

    @rx.var
    def road(self) -> str:
        """What creating a computer of the chosen tier will really be."""
        return self.roads.get(self.tier, "")

    @rx.event
    async def ask(self, creating: bool):
        """Open or close the dialog, with fresh prices and what the host can carry."""
        self.creating = creating
        if not creating:
            return
        with self.in_place():
            self.tiers = [
                views.tier(present.tier(tier, await hosts.why_not(tier))) for tier in tiers.tiers()
            ]
            fitting = [tier.id for tier in self.tiers if tier.available]
            self.tier = self.tier if self.tier in fitting else next(iter(fitting), self.tier)
            self.with_agent = True
            goldens = await steps.goldens(self.caller)
            self.roads = {tier.id: snapshot_views.road(goldens, tier.id) for tier in self.tiers}
            page = await provider_keys.list_provider_keys(self.caller, limit=200)
            self.keys = [{"id": row.id, "name": row.name} for row in page.rows]
            self.key_ids = [row.id for row in page.rows]

    @rx.event
    def choose_tier(self, tier: str):
        """Choose a tier."""
        self.tier = tier

    @rx.event
    def choose_agent(self, with_agent: bool):
        """Choose whether an agent lives in it."""
        self.with_agent = with_agent

    @rx.event
    def toggle_key(self, key_id: str):
        """Give the desktop a model key, or leave it out."""
        others = [each for each in self.key_ids if each != key_id]
        self.key_ids = others if len(others) < len(self.key_ids) else [*others, key_id]

    @rx.event
    async def provision(self, form: dict[str, Any]):
        """Create the desktop and go to it."""
        every = {key["id"] for key in self.keys} == set(self.key_ids)
        new = desktops.NewDesktop(
            name=form.get("name", "").strip() or None,
            tier=self.tier,
            provider_keys=None if every else self.key_ids,
            agent="openclaw" if self.with_agent else "none",
        )
        with self.in_place():
            row = await desktops.create(self.caller, new)
            self.creating = False
            return rx.redirect(f"/desktop/{row.id}")
