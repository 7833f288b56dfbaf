"""QEMU's command line for one boot of one machine."""

import base64
import re

from lebureau_app.errors import ProviderError
from lebureau_app.providers.qemu.accel import Accelerator
from lebureau_app.providers.qemu.beginning import Beginning
from lebureau_app.providers.qemu.image import Image
from lebureau_app.providers.qemu.machine import Boot, Identity, MachineFolder
from lebureau_app.providers.qemu.ramfile import RAM

GUEST_PORTS = (22, 6080, 7681)
"""sshd, the VNC door and the terminal door."""

EGRESS_ADDRESS = "10.0.2.100:3128"
"""Where the guest finds its egress proxy."""

HALF_CLOSED = 3600
"""Seconds that socat waits for the other way of a half-closed connection; its default loses
late answers."""

_MAC = "52:54:00:12:34:56"
"""The same for all: every guest has a network of its own."""

_SAFE_PATH = re.compile(r"[\w@%+=./-]+")
_SANDBOX = "on,obsolete=deny,resourcecontrol=deny"
"""`spawn` and `elevateprivileges` stay allowed: guestfwd forks, and calls setsid(2), for socat."""

_MIB = 1 << 20


def compose(
    machine: MachineFolder,
    identity: Identity,
    image: Image,
    boot: Boot,
    accelerator: Accelerator,
    beginning: Beginning,
    *,
    binary: str,
    socat: str,
    monitor_fd: int,
) -> list[str]:
    """Compose the command.

    Args:
        machine: Where the machine's files and sockets are.
        identity: Who the machine is.
        image: What it boots from.
        boot: This boot, with its ports.
        accelerator: How guests run here.
        beginning: What it begins from; a memory is loaded by the monitor afterwards.
        binary: QEMU's system emulator.
        socat: The program that connects the guest's way out with the egress socket.
        monitor_fd: A listening Unix socket for the monitor, inherited by QEMU.

    Returns:
        Program and arguments. No secret is among them: the SSH key is the public one.

    Raises:
        ProviderError: A path has characters that QEMU or socat would misread.
    """
    return [
        *(binary, "-name", f"guest={identity.desktop_id}", "-uuid", identity.uuid),
        *accelerator.arguments,
        *("-machine", f"{identity.machine_type},memory-backend={RAM}"),
        *("-smp", str(identity.vcpus)),
        *_memory(identity, beginning),
        *("-nodefaults", "-no-user-config", "-display", "none", "-vga", "none"),
        *("-sandbox", _SANDBOX),
        *("-action", "shutdown=pause,panic=pause,reboot=reset"),
        *_boot(image),
        *_disk(machine),
        *_network(machine, boot, socat),
        *("-device", "virtio-rng-pci", "-device", "vmgenid,guid=auto", "-device", "pvpanic"),
        *_channels(machine, monitor_fd),
        *_credential("lebureau.authorized_key", identity.authorized_key),
        *_credential("lebureau.hostname", identity.name),
        *_former_disk(machine),
    ]


def _memory(identity: Identity, beginning: Beginning) -> list[str]:
    """The guest's memory: its own, or a kept one until it writes to it.

    A kept memory is opened for reading only, and its pages are copied before they are written to:
    nothing that a guest does, discards included, can reach the file.
    """
    size = f"{identity.memory // _MIB}M"
    if beginning.memory and beginning.memory.pages:
        kept = f"mem-path={_safe(beginning.memory.file)},offset={beginning.memory.pages}"
        backend = f"memory-backend-file,{kept},share=off,readonly=on,rom=off"
    else:
        backend = "memory-backend-ram"
    waiting = ["-incoming", "defer", "-S"] if beginning.memory else []
    return ["-object", f"{backend},id={RAM},size={size}", "-m", f"size={size}", *waiting]


def _boot(image: Image) -> list[str]:
    if image.kernel is None:
        return []
    initrd = ["-initrd", str(image.initrd)] if image.initrd else []
    return ["-kernel", str(image.kernel), *initrd, "-append", image.cmdline]


def _disk(machine: MachineFolder) -> list[str]:
    drive = f"if=none,id=disk,format=qcow2,file={_safe(machine.disk)}"
    return [
        *("-drive", f"{drive},cache=writeback,discard=unmap,detect-zeroes=unmap"),
        *("-device", "virtio-blk-pci,drive=disk"),
    ]


def _former_disk(machine: MachineFolder) -> list[str]:
    """The disk of before an image upgrade, which the guest knows by its serial number.

    What the guest writes to it, such as the replay of its journal, goes to a file that QEMU throws
    away. It comes last: the guest's root file system is on its first disk.
    """
    if not machine.former_disk.exists():
        return []
    drive = f"if=none,id=former,format=qcow2,file={_safe(machine.former_disk)},snapshot=on"
    return ["-drive", drive, "-device", "virtio-blk-pci,drive=former,serial=lebureau-old"]


def _network(machine: MachineFolder, boot: Boot, socat: str) -> list[str]:
    """A network that ends at our own doors: inwards on loopback, outwards at the egress socket."""
    inwards = "".join(
        f",hostfwd=tcp:127.0.0.1:{host}-:{guest}" for guest, host in boot.ports.items()
    )
    way_out = f"cmd:{_safe(socat)} -t {HALF_CLOSED} - UNIX-CONNECT:{_safe(machine.egress)}"
    return [
        *("-netdev", f"user,id=net,restrict=on{inwards},guestfwd=tcp:{EGRESS_ADDRESS}-{way_out}"),
        *("-device", f"virtio-net-pci,netdev=net,mac={_MAC},romfile="),
    ]


def _channels(machine: MachineFolder, monitor_fd: int) -> list[str]:
    return [
        *("-chardev", f"socket,id=monitor,fd={monitor_fd},server=on,wait=off"),
        *("-mon", "chardev=monitor,mode=control"),
        *("-chardev", f"file,id=serial,path={_safe(machine.serial_log)},append=on"),
        *("-serial", "chardev:serial"),
        *("-device", "virtio-serial-pci"),
        *("-chardev", f"socket,id=agent,path={_safe(machine.agent)},server=on,wait=off"),
        *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
    ]


def _credential(name: str, value: str) -> list[str]:
    """A systemd credential in SMBIOS type 11 (systemd-creds(1), CREDENTIALS IN SMBIOS)."""
    encoded = base64.b64encode(value.encode()).decode()
    return ["-smbios", f"type=11,value=io.systemd.credential.binary:{name}={encoded}"]


def _safe(path: object) -> str:
    """A path that neither QEMU's option parser nor socat takes apart."""
    if not _SAFE_PATH.fullmatch(text := str(path)):
        raise ProviderError(
            f"QEMU cannot work with the path {text}: only letters, digits and @%+=._/- may be in it.",
            hint="Set LEBUREAU_HOME to a path without other characters.",
        )
    return text
