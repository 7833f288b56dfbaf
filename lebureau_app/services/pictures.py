"""Pictures that are kept: what a screen showed when it was last seen."""

import asyncio
import io

from PIL import Image

from lebureau_app.services import snapshot_state


async def last(*owner_ids: str, width: int | None = None) -> bytes | None:
    """The picture of the first of some owners that has one, as PNG.

    Args:
        owner_ids: Desktops or snapshots.
        width: In pixels; a wider picture is scaled down to it.
    """
    for owner_id in owner_ids:
        png = await snapshot_state.picture_of(owner_id)
        if png is not None:
            return png if width is None else await asyncio.to_thread(_narrowed, png, width)
    return None


def _narrowed(png: bytes, width: int) -> bytes:
    with Image.open(io.BytesIO(png)) as picture:
        if picture.width <= width:
            return png
        height = max(1, round(picture.height * width / picture.width))
        narrowed = io.BytesIO()
        picture.resize((width, height), Image.Resampling.BILINEAR).save(narrowed, "PNG")
        return narrowed.getvalue()
