import pytest

from lebureau_app.errors import MemoryRefused
from lebureau_app.models import Desktop, lights
from lebureau_app.services import present
from lebureau_app.state import views

GIB = 1 << 30


def shown(**values: object) -> dict:
    row = Desktop(
        workspace_id="ws_1",
        name="dev-agent-01",
        tier="free",
        provider="fake",
        vcpus=2,
        memory=4 * GIB,
        disk=20 * GIB,
    )
    for attribute, value in values.items():
        setattr(row, attribute, value)
    return present.desktop(row)


def ready() -> dict:
    return {channel: {"state": "ready", "reason": ""} for channel in lights()}


def test_a_running_desktop_is_live_and_can_be_stopped():
    view = views.desktop(shown(status="running", readiness=ready(), activity="exec make"))
    assert (view.tone, view.word, view.line) == ("ready", "Running", "exec make")
    assert view.live
    assert view.screen_ready
    assert view.terminal_ready
    assert view.can_stop
    assert view.can_restart
    assert not view.can_start
    assert not view.chat_closed
    assert view.chat_note == ""


def test_an_agent_that_starts_is_not_idle():
    starting = {**ready(), "agent": {"state": "starting", "reason": ""}}
    assert (
        views.desktop(shown(status="running", readiness=starting)).line == "The agent is starting"
    )
    assert views.desktop(shown(status="running", readiness=ready())).line == "Idle"


def test_a_task_names_itself_and_its_step():
    progress = {"step": "boot", "percent": 41.6, "message": "Booting Debian"}
    view = views.desktop(shown(status="provisioning", task="creating", progress=progress))
    assert (view.tone, view.word, view.line, view.percent) == (
        "working",
        "Creating",
        "Booting Debian",
        42,
    )
    assert view.screen_waiting == "Booting Debian"
    assert view.waking


def test_no_percentage_is_made_up():
    progress = {"step": "shutdown", "percent": None, "message": "Shutting down"}
    assert views.desktop(shown(status="running", task="stopping", progress=progress)).percent == -1


def test_a_task_without_a_step_waits_for_its_turn():
    assert views.desktop(shown(status="provisioning", task="creating")).line == (
        "Waiting for its turn"
    )


@pytest.mark.parametrize(
    ("status", "tone", "can_start", "can_stop"),
    [
        ("stopped", "off", True, False),
        ("error", "failed", True, True),
        ("hibernated", "off", True, False),
        ("destroyed", "off", False, False),
    ],
)
def test_what_can_be_done_follows_the_status(status, tone, can_start, can_stop):
    view = views.desktop(shown(status=status))
    assert (view.tone, view.can_start, view.can_stop) == (tone, can_start, can_stop)
    assert view.chat_closed == (status != "hibernated")


def test_a_hibernated_desktop_takes_a_message_and_wakes():
    view = views.desktop(shown(status="hibernated"))
    assert (view.word, view.line, view.kept) == ("Hibernated", "Wakes on a message", True)
    assert not view.chat_closed
    assert view.chat_note == "Hibernated: a message wakes it."
    assert not view.refused


@pytest.mark.parametrize(
    ("more", "kept"),
    [
        ({"origin": "golden"}, True),
        ({"origin": "fork", "parent_id": "dsk_1"}, True),
        ({"origin": "boot"}, False),
    ],
)
def test_a_newborn_shows_what_it_goes_on_from(more, kept):
    assert views.desktop(shown(status="provisioning", task="creating", **more)).kept is kept


def test_waking_is_said_before_there_is_a_step():
    view = views.desktop(shown(status="hibernated", task="starting"))
    assert (view.word, view.screen_waiting) == ("Waking", "Waking")
    assert view.waking
    assert not view.chat_closed


def test_a_channel_that_is_about_to_close_is_not_connected_to_again():
    progress = {"step": "sleep", "percent": None, "message": "Writing its memory to disk"}
    running = {"status": "running", "readiness": ready()}
    view = views.desktop(shown(**running, task="hibernating", progress=progress))
    assert not view.screen_ready
    assert not view.terminal_ready
    assert view.screen_waiting == "Writing its memory to disk"
    assert views.desktop(shown(**running, task="snapshotting")).screen_ready


def test_a_memory_that_is_refused_says_why_and_asks_for_somebody():
    why = "Another QEMU wrote this memory."
    view = views.desktop(shown(status="hibernated", needs_attention=True, status_message=why))
    assert (view.tone, view.line, view.refused) == ("needs", why, why)
    assert (view.screen_waiting, view.start_word) == (why, "Try again")
    assert view.chat_closed


def test_a_start_that_was_cancelled_is_no_refusal():
    said = "Starting was cancelled."
    assert not views.desktop(shown(status="hibernated", status_message=said)).refused


def test_a_restored_memory_that_is_refused_says_so_while_stopped():
    why = f"Another QEMU wrote this memory. {MemoryRefused.hint}"
    stopped = {"status": "stopped", "needs_attention": True}
    assert views.desktop(shown(**stopped, status_message=why)).refused == why
    assert not views.desktop(shown(**stopped, status_message="The disk is broken.")).refused


def test_the_slow_road_is_told_while_the_desktop_runs():
    note = "There is no golden machine for this size yet, so it was booted."
    assert views.desktop(shown(status="running", origin_note=note)).slow_road == note
    assert not views.desktop(shown(status="stopped", origin_note=note)).slow_road


@pytest.mark.parametrize(
    ("status", "snapshot", "hibernate", "retier"),
    [
        ("running", True, True, False),
        ("stopped", True, False, True),
        ("hibernated", True, False, False),
        ("provisioning", False, False, False),
        ("error", False, False, False),
    ],
)
def test_what_can_be_kept_follows_the_status(status, snapshot, hibernate, retier):
    view = views.desktop(shown(status=status))
    assert (view.can_snapshot, view.can_hibernate, view.can_retier) == (
        snapshot,
        hibernate,
        retier,
    )
    busy = views.desktop(shown(status=status, task="snapshotting"))
    assert not any((busy.can_snapshot, busy.can_hibernate, busy.can_retier))


def test_what_a_desktop_occupies_leaves_out_what_it_does_not_have():
    assert views.stored({"disk": 3 * GIB // 2, "memory": 0, "snapshots": 36 << 20}) == (
        "Disk 1.5 GB · snapshots 36 MB"
    )
    assert views.stored({"disk": 0, "memory": 0, "snapshots": 0}) == ""


def test_a_failed_desktop_says_why():
    view = views.desktop(shown(status="error", status_message="The machine ended by itself."))
    assert view.line == "The machine ended by itself."


def test_a_desktop_that_needs_somebody_has_its_own_tone():
    assert views.desktop(shown(status="running", needs_attention=True)).tone == "needs"


def test_an_agent_that_is_not_ready_reads_the_message_later():
    readiness = {**ready(), "agent": {"state": "starting", "reason": ""}}
    view = views.desktop(shown(status="running", readiness=readiness))
    assert not view.chat_closed
    assert "as soon as it is" in view.chat_note


def test_a_desktop_without_an_agent_takes_no_messages():
    view = views.desktop(shown(status="running", readiness=ready(), agent="none"))
    assert view.chat_closed
    assert "without an agent" in view.chat_note


@pytest.mark.parametrize(
    ("size", "words"), [(4 * GIB, "4 GB"), (GIB * 3 // 2, "1.5 GB"), (20 * GIB, "20 GB")]
)
def test_sizes(size, words):
    assert views.gigabytes(size) == words


def test_prices():
    assert views.price({"amount": "49.00", "currency": "EUR"}) == "EUR 49 a month"
    assert views.price({"amount": "0.00", "currency": "EUR"}) == "No charge"


def test_a_browser_is_named():
    agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/143.0 Safari/537.36"
    shown_session = {
        "id": "ses_1",
        "userAgent": agent,
        "address": "192.0.2.1",
        "lastSeenAt": "2026-11-23T02:00:00Z",
        "current": True,
    }
    view = views.session(shown_session)
    assert view.browser == "Chrome on Linux"
    assert view.seen == "2026-11-23 02:00 UTC"


def test_an_image_that_failed_says_why():
    view = views.image(
        {
            "id": "img",
            "suite": "trixie",
            "profile": "standard",
            "status": "failed",
            "progress": None,
            "size": None,
            "createdAt": None,
            "error": "No mirror answers.",
        }
    )
    assert (view.tone, view.detail, view.percent) == ("failed", "No mirror answers.", -1)
