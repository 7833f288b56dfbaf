from datetime import timedelta
from typing import Any

import pytest

from lebureau_app.models import utc_now
from lebureau_app.services import present
from lebureau_app.state import hibernation_views
from lebureau_app.state.hibernation_views import AS_THE_WORKSPACE

HOUR = 3600


def shown(**values: Any) -> dict[str, Any]:
    due = present.time(utc_now() + timedelta(minutes=4))
    usual = {
        "status": "running",
        "task": None,
        "hibernateAfter": None,
        "hibernatesAt": due,
        "awakeUntil": None,
    }
    return {**usual, **values}


def test_a_desktop_without_a_rule_of_its_own_follows_its_workspace():
    view = hibernation_views.hibernation(shown(), HOUR)
    assert (view.rule, view.minutes, view.of_workspace) == (AS_THE_WORKSPACE, 60, "1 h")
    assert view.at
    assert view.prefix == "Hibernates in "


def test_its_own_rule_comes_first():
    view = hibernation_views.hibernation(shown(hibernateAfter=900), HOUR)
    assert (view.rule, view.minutes) == (900, 15)


def test_never_is_said():
    view = hibernation_views.hibernation(shown(hibernateAfter=0, hibernatesAt=None), HOUR)
    assert (view.rule, view.at, view.words) == (0, "", "Never hibernates by itself")
    assert hibernation_views.hibernation(shown(hibernatesAt=None), 0).of_workspace == "never"


def test_who_works_is_not_about_to_hibernate():
    view = hibernation_views.hibernation(shown(hibernatesAt=None), HOUR)
    assert (view.at, view.words) == ("", "Awake while it works")


def test_who_does_not_run_has_a_rule_all_the_same():
    view = hibernation_views.hibernation(shown(status="stopped", hibernatesAt=None), HOUR)
    assert view.words == "Hibernates when idle for 1 h"


def test_being_kept_awake_is_said_until_it_is_over():
    ahead, past = (present.time(utc_now() + timedelta(hours=hours)) for hours in (1, -1))
    kept = hibernation_views.hibernation(shown(awakeUntil=ahead), HOUR)
    assert kept.prefix == "Kept awake, hibernates in "
    assert hibernation_views.hibernation(shown(awakeUntil=past), HOUR).prefix == "Hibernates in "


@pytest.mark.parametrize(
    ("seconds", "words"), [(900, "15 min"), (3600, "1 h"), (5400, "1 h 30 min"), (14400, "4 h")]
)
def test_idle_times(seconds, words):
    assert hibernation_views.after(seconds) == words


@pytest.mark.parametrize(("typed", "seconds"), [("45", 2700), (" 5 ", 300), ("", 0), ("x", 0)])
def test_minutes_that_are_typed(typed, seconds):
    assert hibernation_views.seconds(typed) == seconds
