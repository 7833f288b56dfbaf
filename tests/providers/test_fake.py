import pytest

from lebureau_app.errors import LeBureauError, NoCapacity, NotYet, ProviderError
from lebureau_app.providers import make_provider
from lebureau_app.providers.base import Endpoint, MachineSpec, Power
from lebureau_app.providers.fake import CLOSED, FakeBehaviour, FakeProvider
from lebureau_app.providers.qemu.provider import QemuProvider
from lebureau_app.settings import Settings


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def spec(desktop_id: str = "dsk_1") -> MachineSpec:
    return MachineSpec(desktop_id, "atlas", "std", 2, 4 << 30, 20 << 30, "ssh-ed25519 AAAA")


def made(behaviour: FakeBehaviour, **options) -> tuple[FakeProvider, Clock]:
    clock = Clock()
    return FakeProvider(behaviour, clock=clock, sleep=clock.sleep, **options), clock


async def running(provider: FakeProvider) -> str:
    ref = await provider.create(spec())
    await provider.start("dsk_1", ref)
    return ref


async def power(provider: FakeProvider, ref: str) -> Power | None:
    seen = await provider.inspect("dsk_1", ref)
    return seen and seen.power


async def test_slow_verbs_take_virtual_time():
    provider, clock = made(FakeBehaviour(delay=60))
    await running(provider)
    assert clock.now == 120


async def test_a_verb_that_never_ends():
    provider, _ = made(FakeBehaviour(never=frozenset({"start"})))
    ref = await provider.create(spec())
    for _ in range(3):
        with pytest.raises(NotYet):
            await provider.start("dsk_1", ref)
    assert await power(provider, ref) is Power.STOPPED


async def test_a_broken_verb():
    provider, _ = made(FakeBehaviour(broken=frozenset({"create"})))
    with pytest.raises(ProviderError, match="create"):
        await provider.create(spec())


async def test_a_liar_says_running_and_nobody_listens():
    provider, _ = made(FakeBehaviour(lies=True), endpoints={22: Endpoint("127.0.0.1", 2222)})
    ref = await running(provider)
    assert await power(provider, ref) is Power.RUNNING
    assert await provider.endpoint("dsk_1", ref, 22) == CLOSED


async def test_given_endpoints_are_answered():
    provider, _ = made(FakeBehaviour(), endpoints={22: Endpoint("127.0.0.1", 2222)})
    ref = await running(provider)
    assert await provider.endpoint("dsk_1", ref, 22) == Endpoint("127.0.0.1", 2222)
    assert await provider.endpoint("dsk_1", ref, 6080) == CLOSED


async def test_a_forgetful_provider_loses_its_machines():
    provider, _ = made(FakeBehaviour(forgets=True))
    ref = await running(provider)
    assert await power(provider, ref) is None
    assert await provider.inspect_all() == []


async def test_a_full_provider():
    provider, _ = made(FakeBehaviour(full=True))
    with pytest.raises(NoCapacity):
        await provider.create(spec())


async def test_machines_die_when_their_time_has_come():
    provider, clock = made(FakeBehaviour(dies_after=3600))
    ref = await running(provider)
    clock.now += 3599
    assert await power(provider, ref) is Power.RUNNING
    clock.now += 1
    assert await power(provider, ref) is Power.FAILED


async def test_a_shutdown_takes_its_time():
    provider, clock = made(FakeBehaviour(shutdown=30))
    ref = await running(provider)
    await provider.stop("dsk_1", ref)
    assert await power(provider, ref) is Power.RUNNING
    clock.now += 30
    assert await power(provider, ref) is Power.STOPPED


async def test_a_guest_that_never_obeys_needs_force():
    provider, clock = made(FakeBehaviour(shutdown=None))
    ref = await running(provider)
    await provider.stop("dsk_1", ref)
    clock.now += 1e9
    assert await power(provider, ref) is Power.RUNNING
    await provider.stop("dsk_1", ref, force=True)
    assert await power(provider, ref) is Power.STOPPED


async def test_one_desktop_may_behave_otherwise():
    provider, _ = made(FakeBehaviour())
    provider.behaviours["dsk_1"] = FakeBehaviour(never=frozenset({"create"}))
    with pytest.raises(NotYet):
        await provider.create(spec())
    assert await provider.create(spec("dsk_2"))


async def test_a_fleet_of_a_thousand():
    provider, _ = made(FakeBehaviour())
    for number in range(1000):
        ref = await provider.create(spec(f"dsk_{number}"))
        await provider.start(f"dsk_{number}", ref)
    fleet = await provider.inspect_all()
    assert len(fleet) == 1000
    assert {machine.power for machine in fleet} == {Power.RUNNING}


async def test_files_are_there_when_the_machine_runs():
    provider, _ = made(FakeBehaviour(), files={"/etc/hostname": b"atlas"})
    ref = await provider.create(spec())
    with pytest.raises(NotYet):
        await provider.read_guest_file("dsk_1", ref, "/etc/hostname")
    await provider.start("dsk_1", ref)
    assert await provider.read_guest_file("dsk_1", ref, "/etc/hostname") == b"atlas"


def test_the_settings_name_the_provider(tmp_path):
    assert isinstance(make_provider(Settings(provider="fake")), FakeProvider)
    assert isinstance(make_provider(Settings(provider="qemu", home=tmp_path)), QemuProvider)
    with pytest.raises(LeBureauError, match="later version"):
        make_provider(Settings(provider="proxmox"))
