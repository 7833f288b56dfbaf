"""The API as one FastAPI application; the pages are mounted behind it."""

from collections.abc import Sequence

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from lebureau_app.api import (
    api_keys,
    auth,
    conversations,
    desktop_channels,
    desktops,
    docs,
    events,
    health,
    hosts,
    images,
    me,
    metrics,
    problems,
    provider_keys,
    snapshots,
    sockets,
    workspaces,
)
from lebureau_app.api.perimeter import Perimeter

ROUTERS = (
    health.router,
    metrics.router,
    docs.router,
    auth.router,
    me.router,
    workspaces.router,
    hosts.router,
    images.router,
    desktops.router,
    desktop_channels.router,
    snapshots.router,
    conversations.router,
    provider_keys.router,
    api_keys.router,
    events.router,
    sockets.router,
    problems.router,
)


def create_api(script_hashes: Sequence[str] = ()) -> FastAPI:
    """Make the API.

    Args:
        script_hashes: CSP sources of the pages' inline scripts, as `frontend.script_hashes` finds
            them.

    Returns:
        The application. Mount the pages on it last: routes of `/api`, `/auth` and `/ws` never
        reach them.
    """
    api = FastAPI(
        title="Le Bureau",
        version="0.1.0",
        description=docs.DESCRIPTION,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=docs.ERROR_RESPONSES,
    )
    registry = CollectorRegistry()
    api.state.metrics = metrics.Metrics(registry)
    for router in ROUTERS:
        api.include_router(router)
    problems.handle(api)
    api.add_middleware(Perimeter, script_hashes=script_hashes, metrics=api.state.metrics)
    return api
