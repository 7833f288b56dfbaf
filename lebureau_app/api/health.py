"""Whether the server is alive, and whether it can do its work."""

from typing import Any

from fastapi import APIRouter

from lebureau_app.errors import LeBureauError
from lebureau_app.services import readiness

router = APIRouter(tags=["health"])


class NotReady(LeBureauError):
    """No desktop can be created yet; `fields` names what is missing."""

    code, status = "server_not_ready", 503
    message = "Le Bureau cannot create desktops yet."
    hint = "`fields` says what is missing; `lebureau doctor` says how to mend it."


@router.get("/healthz")
async def health() -> dict[str, str]:
    """Alive: the process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def ready() -> dict[str, Any]:
    """Ready: a desktop can be created."""
    missing = await readiness.missing()
    if missing:
        raise NotReady(fields=missing)
    return {"status": "ready"}
