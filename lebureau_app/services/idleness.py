"""When a desktop hibernates by itself."""

from datetime import datetime, timedelta

from lebureau_app.models import Desktop, Status


def hibernates_at(desktop: Desktop) -> datetime | None:
    """When a desktop hibernates if nobody does anything with it until then.

    Returns:
        None while something is being done to it or its agent is at work, and without a rule.
    """
    if desktop.status != Status.RUNNING or desktop.task or desktop.working:
        return None
    begins = max(filter(None, (desktop.started_at, desktop.last_active_at)), default=None)
    if begins is None or not desktop.idle_after:
        return None
    due = begins + timedelta(seconds=desktop.idle_after)
    return max(due, desktop.awake_until) if desktop.awake_until else due
