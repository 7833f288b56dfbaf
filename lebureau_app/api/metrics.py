"""What a Prometheus server reads (text format 0.0.4). No names, no ids, no secrets."""

from fastapi import APIRouter, Request, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from lebureau_app.gateway.live import live_sockets
from lebureau_app.services import desktops, images, operations

router = APIRouter(tags=["health"])


class Metrics:
    """The figures of one server.

    Args:
        registry: Where they are kept.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._requests = Counter(
            "lebureau_http_requests_total",
            "HTTP requests by route template.",
            ("method", "route", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "lebureau_http_request_seconds",
            "Time to the end of the answer, by route template.",
            ("method", "route"),
            registry=registry,
        )
        self._desktops = Gauge(
            "lebureau_desktops", "Desktops by status.", ("status",), registry=registry
        )
        self._operations = Gauge(
            "lebureau_operations", "Operations by status.", ("status",), registry=registry
        )
        self._sockets = Gauge(
            "lebureau_live_sockets", "WebSockets and event streams open now.", registry=registry
        )
        self._image = Gauge(
            "lebureau_image_ready", "Whether there is a golden image.", registry=registry
        )

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request by the template of its route, never by its address."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    async def text(self) -> bytes:
        """All figures, as of now."""
        _fill(self._desktops, await desktops.count_by_status())
        _fill(self._operations, await operations.count_by_status())
        self._sockets.set(len(live_sockets))
        self._image.set(1 if await images.newest() else 0)
        return generate_latest(self._registry)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Figures for Prometheus."""
    text = await request.app.state.metrics.text()
    return Response(text, media_type=CONTENT_TYPE_LATEST)


def _fill(gauge: Gauge, counts: dict[str, int]) -> None:
    gauge.clear()
    for label, count in counts.items():
        gauge.labels(label).set(count)
