from typing import Any

import pytest

from lebureau_app.state import snapshot_views

GIB = 1 << 30


def shown(**values: Any) -> dict[str, Any]:
    usual = {
        "id": "snp_1",
        "desktopId": "dsk_1",
        "name": "Before",
        "kind": "manual",
        "status": "ready",
        "memory": True,
        "size": GIB * 3 // 2,
        "picture": "/api/desktops/dsk_1/snapshots/snp_1/picture",
        "tier": "free",
        "note": "",
        "createdAt": "2026-11-23T02:00:00Z",
    }
    return {**usual, **values}


def golden(status: str, **values: Any) -> dict[str, Any]:
    usual = {"tier": "free", "status": status, "progress": None, "size": None, "error": None}
    return {**usual, **values}


def test_a_snapshot_says_what_it_holds():
    view = snapshot_views.snapshot(shown())
    assert (view.what, view.tone, view.automatic) == ("Disk and memory · 1.5 GB", "ready", False)
    assert view.can_restore
    assert view.can_delete
    assert view.picture
    assert snapshot_views.snapshot(shown(memory=False)).what == "Disk only · 1.5 GB"


def test_an_automatic_one_is_marked_and_does_not_say_everything_twice():
    said = "Before restoring Before"
    view = snapshot_views.snapshot(shown(kind="automatic", name=said, note=said))
    assert view.automatic
    assert view.note == ""


@pytest.mark.parametrize(
    ("status", "tone", "word", "can_delete"),
    [
        ("creating", "working", "Being taken", False),
        ("deleting", "working", "Being removed", False),
        ("failed", "failed", "Failed", True),
    ],
)
def test_only_what_is_ready_can_be_restored(status, tone, word, can_delete):
    view = snapshot_views.snapshot(shown(status=status))
    assert (view.tone, view.word, view.can_delete) == (tone, word, can_delete)
    assert not view.can_restore
    assert view.picture == ""


def test_a_golden_machine_that_is_being_made_says_what_it_is_at():
    progress = {"step": "boot", "percent": 41.6, "message": "Waiting until it is quiet"}
    view = snapshot_views.golden(golden("making", progress=progress))
    assert (view.tier, view.tone, view.word) == ("Free", "working", "Being made")
    assert (view.detail, view.percent) == ("Waiting until it is quiet", 42)


def test_a_golden_machine_that_is_there_says_its_size():
    view = snapshot_views.golden(golden("ready", size=GIB))
    assert (view.tone, view.detail, view.percent) == ("ready", "1 GB", -1)


def test_a_golden_machine_that_failed_says_why():
    view = snapshot_views.golden(golden("failed", error="It never became quiet."))
    assert (view.tone, view.detail) == ("failed", "It never became quiet.")


@pytest.mark.parametrize(
    ("status", "words"), [("ready", "In seconds"), ("making", "still being made")]
)
def test_creating_says_what_it_will_be(status, words):
    assert words in snapshot_views.road([golden(status)], "free")


def test_nothing_is_promised_where_nobody_knows():
    assert snapshot_views.road([], "free") == ""
    assert snapshot_views.road([golden("ready")], "pro") == ""
