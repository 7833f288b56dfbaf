"""The way out of a desktop: one forward proxy for each, on a Unix socket of its own."""

from lebureau_app.gateway.egress.policy import HOST_NAME, AllowedTarget, EgressPolicy, Verdict
from lebureau_app.gateway.egress.proxy import EgressLimits, EgressProxy
from lebureau_app.gateway.egress.record import EgressLog, EgressRecord

__all__ = [
    "HOST_NAME",
    "AllowedTarget",
    "EgressLimits",
    "EgressLog",
    "EgressPolicy",
    "EgressProxy",
    "EgressRecord",
    "Verdict",
]
