"""The names of the desktops that others are forks of."""

from collections.abc import Sequence

from lebureau_app.errors import DesktopNotFound
from lebureau_app.models import Desktop
from lebureau_app.services import desktops
from lebureau_app.services.access import Caller


async def names(caller: Caller, rows: Sequence[Desktop]) -> dict[str, str]:
    """The name of every parent of these desktops by its id; of one that is gone for good none."""
    known = {row.id: row.name for row in rows}
    wanted = {row.parent_id for row in rows if row.parent_id}
    for parent_id in wanted - known.keys():
        try:
            known[parent_id] = (await desktops.get(caller, parent_id)).name
        except DesktopNotFound:
            continue
    return {parent_id: known[parent_id] for parent_id in wanted if parent_id in known}
