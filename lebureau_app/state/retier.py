"""The dialog that changes a desktop's tier."""

import reflex as rx

from lebureau_app.services import desktops, hosts, present, tiers
from lebureau_app.services.desktops import Changes
from lebureau_app.state import views
from lebureau_app.state.reconfigure import ReconfigureState
from lebureau_app.state.views import TierView


class RetierState(ReconfigureState):
    """What tier somebody wants."""

    retiering: bool = False
    offered: list[TierView] = []
    wanted: str = ""

    @rx.event
    async def ask_to_retier(self, asking: bool):
        """Open or close the dialog, with fresh prices and what the host can carry."""
        self.retiering, self.snapshot_first = asking, True
        self.wanted = self.desktop.tier_id
        if asking:
            with self.in_place():
                self.offered = await self._offers()

    @rx.event
    def choose_wanted(self, tier: str):
        """Choose a tier."""
        self.wanted = tier

    @rx.event
    async def retier(self):
        """Change the tier; with a snapshot taken first, it can be undone."""
        with self.in_place():
            changes = Changes(tier=self.wanted, snapshot=self.snapshot_first)
            told = f"{self.desktop.name} becomes {self.wanted.capitalize()}."
            await self._reconfigure(changes, told)
            self.retiering = False

    async def _offers(self) -> list[TierView]:
        row = await desktops.get(self.caller, self.desktop.id)
        offers = []
        for tier in tiers.tiers():
            smaller = "Its disk cannot shrink." if tier.disk < row.disk else None
            here = tier.id == row.tier
            why_not = None if here else smaller or await hosts.why_not(tier)
            offers.append(views.tier(present.tier(tier, why_not)))
        return offers
