"""The dialog that changes a desktop's tier."""

import reflex as rx

from lebureau_app.services import desktops, hosts, present, snapshots, tiers
from lebureau_app.state import views
from lebureau_app.state.desktop import DesktopState
from lebureau_app.state.views import TierView


class RetierState(DesktopState):
    """What tier somebody wants, and whether the way back is kept."""

    retiering: bool = False
    offered: list[TierView] = []
    wanted: str = ""
    snapshot_first: bool = True

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
    def choose_snapshot(self, first: bool):
        """Choose whether a snapshot is taken first."""
        self.snapshot_first = first

    @rx.event
    async def retier(self):
        """Change the tier; with a snapshot taken first, it can be undone."""
        with self.in_place():
            changes = desktops.Changes(tier=self.wanted, snapshot=self.snapshot_first)
            await desktops.change(self.caller, self.desktop.id, changes)
            self.retiering = False
            newest = (await snapshots.list_snapshots(self.caller, self.desktop.id, limit=1)).rows
            undo = newest[0].id if self.snapshot_first and newest else ""
            self.say(
                f"{self.desktop.name} becomes {self.wanted.capitalize()}.",
                self.desktop.id,
                "restore" if undo else "",
                undo,
            )
            await self._read()

    async def _offers(self) -> list[TierView]:
        row = await desktops.get(self.caller, self.desktop.id)
        offers = []
        for tier in tiers.tiers():
            smaller = "Its disk cannot shrink." if tier.disk < row.disk else None
            here = tier.id == row.tier
            why_not = None if here else smaller or await hosts.why_not(tier)
            offers.append(views.tier(present.tier(tier, why_not)))
        return offers
