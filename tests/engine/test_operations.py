"""The journal is carried out, survives being killed, and can be cancelled and retried."""

import asyncio
from dataclasses import replace

import pytest

from lebureau_app.errors import Conflict, DesktopDestroyed, NameTaken
from lebureau_app.models import Desktop, Light, OperationStatus, Status
from lebureau_app.providers.base import Power
from lebureau_app.providers.fake import FakeBehaviour
from lebureau_app.services import desktop_state, desktops, operations
from lebureau_app.services.desktop_state import spec_of
from lebureau_app.services.desktops import NewDesktop
from tests.engine.conftest import Fleet


def running(desktop: Desktop) -> bool:
    return desktop.status == Status.RUNNING and desktop.task is None


def settled(desktop: Desktop) -> bool:
    return desktop.task is None


async def create(fleet: Fleet, name: str = "one") -> Desktop:
    return await desktops.create(fleet.caller, NewDesktop(name=name))


async def kinds(fleet: Fleet, desktop: Desktop) -> list[tuple[str, str]]:
    page = await operations.list_operations(fleet.caller, desktop.id)
    return [(row.kind, row.status) for row in page.rows]


class TestLifecycle:
    async def test_create_runs_and_lights_up(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await create(fleet)
            assert (desktop.status, desktop.task) == ("provisioning", "creating")
            desktop = await fleet.until(desktop.id, running)
            assert desktop.image
            assert desktop.ref
            assert desktop.host_key
            assert desktop.started_at
            lit = await fleet.until(
                desktop.id,
                lambda row: all(each["state"] == Light.READY for each in row.readiness.values()),
            )
        assert lit.progress is None

    async def test_stop_start_destroy(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await fleet.until((await create(fleet)).id, running)
            await desktops.stop(fleet.caller, desktop.id)
            stopped = await fleet.until(
                desktop.id, lambda row: row.status == Status.STOPPED and settled(row)
            )
            assert {each["state"] for each in stopped.readiness.values()} == {"off"}
            machine = await fleet.provider.inspect(desktop.id, desktop.ref)
            assert machine
            assert machine.power == Power.STOPPED
            await desktops.start(fleet.caller, desktop.id)
            again = await fleet.until(desktop.id, running)
            assert again.ref == desktop.ref
            await desktops.destroy(fleet.caller, desktop.id)
            gone = await fleet.until(desktop.id, lambda row: row.status == Status.DESTROYED)
        assert gone.secrets == ""
        assert await fleet.provider.inspect_all() == []

    async def test_restart_is_one_operation(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await fleet.until((await create(fleet)).id, running)
            await desktops.restart(fleet.caller, desktop.id)
            await fleet.until(desktop.id, lambda row: running(row) and row.boot != desktop.boot)
        assert await kinds(fleet, desktop) == [("restart", "done"), ("create", "done")]

    async def test_what_changes_nothing_writes_no_operation(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await fleet.until((await create(fleet)).id, running)
            await desktops.start(fleet.caller, desktop.id)
        assert await kinds(fleet, desktop) == [("create", "done")]

    async def test_a_name_is_free_again_after_destroy(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await fleet.until((await create(fleet)).id, running)
            with pytest.raises(NameTaken):
                await create(fleet)
            await desktops.destroy(fleet.caller, desktop.id)
            await fleet.until(desktop.id, lambda row: row.status == Status.DESTROYED)
            assert (await create(fleet)).id != desktop.id
        with pytest.raises(DesktopDestroyed):
            await desktops.start(fleet.caller, desktop.id)


class TestKilled:
    async def test_a_new_worker_carries_on(self, fleet: Fleet) -> None:
        """Whatever the old one was at, there is one machine and one operation in the end."""
        async with fleet.working():
            desktop = await create(fleet)
            await fleet.until(desktop.id, lambda row: row.progress is not None)
        await operations.release_all()
        async with fleet.working():
            await fleet.until(desktop.id, running)
        assert await kinds(fleet, desktop) == [("create", "done")]
        assert len(await fleet.provider.inspect_all()) == 1

    async def test_a_machine_that_was_not_written_down_is_destroyed_too(self, fleet: Fleet) -> None:
        desktop = await create(fleet)
        await fleet.provider.create(spec_of(desktop, "ssh-ed25519 AAAA"))
        await desktops.destroy(fleet.caller, desktop.id)
        async with fleet.working():
            await fleet.until(desktop.id, lambda row: row.status == Status.DESTROYED)
        assert await fleet.provider.inspect_all() == []

    async def test_a_lost_lease_writes_nothing(self, fleet: Fleet) -> None:
        await create(fleet)
        (mine,) = await operations.claim()
        await operations.release_all()
        (theirs,) = await operations.claim()
        with pytest.raises(operations.LeaseLost):
            await operations.record(mine, step="boot")
        assert (await operations.record(theirs, step="machine")).step == "machine"

    async def test_nobody_claims_what_is_claimed(self, fleet: Fleet) -> None:
        await create(fleet)
        assert len(await operations.claim()) == 1
        assert await operations.claim() == []


class TestTrouble:
    @pytest.mark.parametrize(
        "fleet", [FakeBehaviour(never=frozenset({"read_guest_file"}))], indirect=True
    )
    async def test_cancel_switches_off(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await create(fleet)
            await fleet.until(desktop.id, lambda row: (row.progress or {}).get("step") == "trust")
            await desktops.cancel(fleet.caller, desktop.id)
            cancelled = await fleet.until(desktop.id, settled)
        assert cancelled.status == Status.STOPPED
        machine = await fleet.provider.inspect(desktop.id, cancelled.ref)
        assert machine
        assert machine.power == Power.STOPPED
        assert await kinds(fleet, desktop) == [("create", "cancelled")]

    @pytest.mark.parametrize(
        "fleet", [FakeBehaviour(never=frozenset({"read_guest_file"}))], indirect=True
    )
    async def test_a_deadline_ends_with_a_sentence_and_a_retry_goes_on(
        self, fleet: Fleet, monkeypatch
    ) -> None:
        monkeypatch.setattr(fleet.settings, "boot_timeout", 0)
        async with fleet.working():
            desktop = await create(fleet)
            failed = await fleet.until(desktop.id, settled)
            assert failed.status == Status.ERROR
            assert failed.needs_attention
            (operation,) = (await operations.list_operations(fleet.caller, desktop.id)).rows
            assert operation.error
            assert operation.error["code"] == "deadline_exceeded"
            monkeypatch.setattr(fleet.settings, "boot_timeout", 60)
            fleet.provider.behaviour = FakeBehaviour()
            await operations.retry(fleet.caller, operation.id)
            await fleet.until(desktop.id, running)
        (operation,) = (await operations.list_operations(fleet.caller, desktop.id)).rows
        assert operation.status == OperationStatus.DONE

    @pytest.mark.parametrize("fleet", [FakeBehaviour(broken=frozenset({"create"}))], indirect=True)
    async def test_destroy_takes_over_from_a_failing_create(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await create(fleet)
            await desktops.destroy(fleet.caller, desktop.id)
            await fleet.until(desktop.id, lambda row: row.status == Status.DESTROYED)
        assert [kind for kind, _ in await kinds(fleet, desktop)] == ["destroy", "create"]

    @pytest.mark.parametrize("fleet", [FakeBehaviour(shutdown=None)], indirect=True)
    async def test_a_guest_that_will_not_shut_down_is_switched_off(
        self, fleet: Fleet, monkeypatch
    ) -> None:
        monkeypatch.setattr(fleet.settings, "stop_timeout", 0)
        async with fleet.working():
            desktop = await fleet.until((await create(fleet)).id, running)
            await desktops.stop(fleet.caller, desktop.id)
            await fleet.until(desktop.id, lambda row: row.status == Status.STOPPED)

    async def test_what_is_being_destroyed_cannot_be_taken_back(self, fleet: Fleet) -> None:
        desktop = await create(fleet)
        await desktops.destroy(fleet.caller, desktop.id)
        with pytest.raises(Conflict):
            await desktops.cancel(fleet.caller, desktop.id)


class TestReconcile:
    async def test_a_machine_that_died_is_told(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await fleet.until((await create(fleet)).id, running)
        fleet.provider.die(desktop.id)
        await fleet.reconcile()
        dead = await fleet.until(desktop.id, lambda row: row.status == Status.ERROR)
        assert dead.status_message
        assert dead.needs_attention

    async def test_a_stranger_is_left_alone(self, fleet: Fleet, caplog) -> None:
        async with fleet.working():
            desktop = await fleet.until((await create(fleet)).id, running)
        stranger = replace(spec_of(desktop, "ssh-ed25519 AAAA"), desktop_id="dsk_stranger")
        await fleet.provider.create(stranger)
        await fleet.reconcile()
        assert "left alone" in caplog.text
        assert len(await fleet.provider.inspect_all()) == 2

    async def test_links_come_back_after_a_restart(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await fleet.until((await create(fleet)).id, running)
        await fleet.links.close_all()
        await fleet.reconcile()
        assert desktop.id in fleet.links.open_ids()

    async def test_a_new_server_has_seen_no_light(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await fleet.until((await create(fleet)).id, running)
        await fleet.links.close_all()
        await desktop_state.doubt_lights()
        doubted = await desktop_state.load(desktop.id)
        assert doubted
        assert {light["state"] for light in doubted.readiness.values()} == {"starting"}

    async def test_what_runs_against_our_will_is_stopped(self, fleet: Fleet) -> None:
        async with fleet.working():
            desktop = await fleet.until((await create(fleet)).id, running)
            await desktops.stop(fleet.caller, desktop.id)
            await fleet.until(desktop.id, lambda row: row.status == Status.STOPPED)
            await fleet.provider.start(desktop.id, desktop.ref)
            await asyncio.sleep(0)
            await fleet.until(desktop.id, settled)
            await fleet.reconcile()
            fleet.links.wake()
            await fleet.until(desktop.id, settled)
        machine = await fleet.provider.inspect(desktop.id, desktop.ref)
        assert machine
        assert machine.power == Power.STOPPED
