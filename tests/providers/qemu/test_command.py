import base64
from pathlib import Path

import pytest

from lebureau_app.errors import ProviderError
from lebureau_app.providers.base import Origin
from lebureau_app.providers.qemu.accel import Accelerator
from lebureau_app.providers.qemu.beginning import Beginning, KeptMemory
from lebureau_app.providers.qemu.command import HALF_CLOSED, compose
from lebureau_app.providers.qemu.image import Image
from lebureau_app.providers.qemu.machine import Boot, Identity, MachineFolder
from lebureau_app.settings import Settings

DESKTOP = "dsk_01J00000000000000000000000"
UUID = "0b7c8f3e-7a57-4a9f-9d86-0d8f6a2f2c11"
KEY = "ssh-ed25519 AAAAC3Nza le-bureau"
IDENTITY = Identity(DESKTOP, UUID, "atlas", "std", 2, 4 << 30, 20 << 30, KEY, "pc-q35-10.0")
BOOT = Boot("b1", {22: 40022, 6080: 46080, 7681: 47681}, host_boot="h1")


def composed(
    home: str = "/srv/lebureau",
    image: Image = Image("std", Path("/i/disk.qcow2")),
    accelerator: Accelerator = Accelerator("tcg", (10, 0)),
    beginning: Beginning = Beginning(),
    identity: Identity = IDENTITY,
) -> list[str]:
    machine = MachineFolder(Settings(home=Path(home)), DESKTOP)
    return compose(
        machine,
        identity,
        image,
        BOOT,
        accelerator,
        beginning,
        binary="qemu",
        socat="/usr/bin/socat",
        monitor_fd=7,
    )


def values(command: list[str], option: str) -> list[str]:
    return [command[at + 1] for at, word in enumerate(command) if word == option]


def test_it_says_who_the_machine_is():
    command = composed()
    assert values(command, "-name") == [f"guest={DESKTOP}"]
    assert values(command, "-uuid") == [UUID]


def test_it_gives_the_tiers_caps():
    command = composed()
    assert values(command, "-smp") == ["2"]
    assert values(command, "-m") == ["size=4096M"]


@pytest.mark.parametrize(
    ("name", "cpu"),
    [("tcg", "max,la57=off,erms=off,fsrm=off,fzrm=off,fsrs=off,fsrc=off"), ("kvm", "host")],
    ids=["tcg", "kvm"],
)
def test_the_accelerator_brings_its_cpu(name, cpu):
    command = composed(accelerator=Accelerator(name, (10, 0)))
    assert values(command, "-cpu") == [cpu]
    assert values(command, "-accel")[0].startswith(name)


def test_translated_code_has_a_limit_that_is_accounted():
    tcg, kvm = Accelerator("tcg", (10, 0)), Accelerator("kvm", (10, 0))
    (accel,) = values(composed(accelerator=tcg), "-accel")
    size = int(accel.rpartition("tb-size=")[2]) << 20
    assert tcg.overhead - kvm.overhead == size


def test_the_guest_reaches_nothing_but_its_egress_socket():
    (network,) = values(composed(), "-netdev")
    options = network.split(",")
    assert options[:3] == ["user", "id=net", "restrict=on"]
    assert [option for option in options if option.startswith("hostfwd")] == [
        "hostfwd=tcp:127.0.0.1:40022-:22",
        "hostfwd=tcp:127.0.0.1:46080-:6080",
        "hostfwd=tcp:127.0.0.1:47681-:7681",
    ]
    assert options[-1] == (
        f"guestfwd=tcp:10.0.2.100:3128-cmd:/usr/bin/socat -t {HALF_CLOSED} - "
        f"UNIX-CONNECT:/srv/lebureau/run/{DESKTOP}/egress"
    )


def test_the_public_key_and_the_name_are_credentials():
    def credential(name: str, value: str) -> str:
        encoded = base64.b64encode(value.encode()).decode()
        return f"type=11,value=io.systemd.credential.binary:{name}={encoded}"

    assert values(composed(), "-smbios") == [
        credential("lebureau.authorized_key", KEY),
        credential("lebureau.hostname", "atlas"),
    ]


def test_an_image_with_a_kernel_is_booted_directly():
    image = Image("std", Path("/i/d"), Path("/i/kernel"), Path("/i/initrd"), "root=/dev/vda3 rw")
    command = composed(image=image)
    assert values(command, "-kernel") == ["/i/kernel"]
    assert values(command, "-initrd") == ["/i/initrd"]
    assert values(command, "-append") == ["root=/dev/vda3 rw"]


def test_an_image_without_a_kernel_is_booted_by_the_firmware():
    assert not {"-kernel", "-initrd", "-append"} & set(composed())


def test_a_guest_that_ends_leaves_its_monitor_to_tell():
    assert values(composed(), "-action") == ["shutdown=pause,panic=pause,reboot=reset"]


def test_the_sandbox_lets_the_way_out_be_forked():
    (sandbox,) = values(composed(), "-sandbox")
    assert sandbox.startswith("on,")
    assert not {"spawn=deny", "elevateprivileges=deny"} & set(sandbox.split(","))


GOLDEN = KeptMemory(Path("/g/memory"), pages=4096, devices=8192)
KEPT = KeptMemory(Path("/h/memory"))


@pytest.mark.parametrize("memory", [None, GOLDEN, KEPT])
def test_the_memory_has_the_same_name_whatever_it_begins_from(memory):
    command = composed(beginning=Beginning(Origin.GOLDEN, memory))
    assert values(command, "-machine") == ["pc-q35-10.0,memory-backend=pc.ram"]
    (backend,) = values(command, "-object")
    assert {"id=pc.ram", "size=4096M"} < set(backend.split(","))


def test_a_golden_memory_can_only_be_read():
    command = composed(beginning=Beginning(Origin.GOLDEN, GOLDEN))
    (backend,) = values(command, "-object")
    assert backend.startswith("memory-backend-file,mem-path=/g/memory,offset=4096,")
    assert {"share=off", "readonly=on", "rom=off"} < set(backend.split(","))
    assert values(command, "-incoming") == ["defer"]
    assert "-S" in command


def test_a_boot_waits_for_no_memory():
    assert not {"-incoming", "-S"} & set(composed())


def test_a_machine_has_one_disk():
    assert len(values(composed(), "-drive")) == 1


def test_a_former_disk_comes_last_and_is_never_written_to(tmp_path):
    machine = MachineFolder(Settings(home=tmp_path), DESKTOP)
    machine.path.mkdir(parents=True)
    machine.former_disk.touch()
    command = composed(home=str(tmp_path))
    disk, former = values(command, "-drive")
    assert f"file={machine.disk}" in disk.split(",")
    assert {f"file={machine.former_disk}", "snapshot=on"} < set(former.split(","))
    assert values(command, "-device")[-1] == "virtio-blk-pci,drive=former,serial=lebureau-old"


def test_there_is_no_balloon():
    assert not any("balloon" in word for word in composed())


@pytest.mark.parametrize("home", ["/srv/a,b", "/srv/a b", "/srv/a:b", "/srv/a'b"])
def test_a_path_that_would_be_misread_is_refused(home):
    with pytest.raises(ProviderError, match="only letters"):
        composed(home=home)
