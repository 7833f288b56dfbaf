import base64
import errno
import io
import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from lebureau_guest import apply as applying
from lebureau_guest import boot as booting
from lebureau_guest import grow as growing
from lebureau_guest import randomness, takeover
from lebureau_guest.cli import answer_apply
from lebureau_guest.machine import GuestError, Machine
from lebureau_guest.openclaw import merge

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA control-plane"
DOOR = "ab" * 32
HOST_KEY = "etc/ssh/ssh_host_ed25519_key.pub"


class Commands:
    """Records commands and plays the few whose effect matters."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ran: list[list[str]] = []
        self.signals: list[tuple[int, int]] = []
        self.keys_made = 0

    def kill(self, process: int, number: int) -> None:
        self.signals.append((process, number))

    def __call__(self, command: Sequence[str]) -> str:
        self.ran.append(list(command))
        if command[0] == "ssh-keygen":
            self.keys_made += 1
            public = self.root / HOST_KEY
            public.parent.mkdir(parents=True, exist_ok=True)
            public.write_text(f"ssh-ed25519 KEY{self.keys_made} lebureau\n")
        if command[0] == "findmnt":
            return "/dev/vda3\n"
        return ""

    def started(self) -> list[str]:
        return [command[-1] for command in self.ran if command[:2] == ["systemctl", "start"]]


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path)


@pytest.fixture
def machine(tmp_path: Path, commands: Commands) -> Machine:
    for name, text in {
        "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 lebureau\n",
        "etc/machine-id": "0123\n",
        "etc/lebureau/openclaw.base.json": json.dumps({"tools": {"exec": {"mode": "full"}}}),
        "etc/lebureau/image.json": json.dumps({"id": "i", "versions": {"openclaw": "2026.9.6"}}),
        "proc/sys/kernel/random/boot_id": "boot-1\n",
        "dev/urandom": "",
        "etc/ssl/certs/ca-certificates.crt": "debian's own\n",
        "proc/sys/kernel/hostname": "lebureau",
        "proc/41/comm": "sshd\n",
        "proc/42/comm": "sshd-session\n",
        "run/sshd.pid": "41\n",
        "sys/fs/cgroup/system.slice/ssh.service/cgroup.procs": "41\n42\n",
        "run/log/journal/0123/system.journal": "",
        HOST_KEY: "ssh-ed25519 OLD lebureau\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Machine(tmp_path, commands, commands.kill)


def test_an_empty_request_changes_nothing_and_describes(
    machine: Machine, commands: Commands
) -> None:
    assert applying.apply(machine, {}) == {
        "bootId": "boot-1",
        "machineId": "0123",
        "hostKey": "ssh-ed25519 OLD",
        "openclaw": "2026.9.6",
        "image": "i",
    }
    assert commands.ran == []


def test_secrets_are_private_files_and_never_arguments(
    machine: Machine, commands: Commands, tmp_path: Path
) -> None:
    keys = {"gateway": {"token": "top-secret"}}
    applying.apply(machine, {"door": DOOR, "agent": {"keys": keys}})
    door, key_file = tmp_path / "run/lebureau/door.secret", tmp_path / "run/lebureau/keys.json"
    assert door.read_text() == DOOR
    assert json.loads(key_file.read_text()) == keys
    assert {path.stat().st_mode & 0o777 for path in (door, key_file)} == {0o600}
    assert "top-secret" not in str(commands.ran)
    assert DOOR not in str(commands.ran)
    assert commands.started() == ["lebureau-door.service", "lebureau-openclaw.service"]


def activate(root: Path, unit: str) -> None:
    processes = root / "sys/fs/cgroup/system.slice" / unit / "cgroup.procs"
    processes.parent.mkdir(parents=True)
    processes.write_text("77\n")
    freezer(root, unit).write_text("1")


def freezer(root: Path, unit: str = "lebureau-openclaw.service") -> Path:
    return root / "sys/fs/cgroup/system.slice" / unit / "cgroup.freeze"


def test_what_runs_is_not_started_again(
    machine: Machine, commands: Commands, tmp_path: Path
) -> None:
    activate(tmp_path, "lebureau-door.service")
    activate(tmp_path, "lebureau-openclaw.service")
    applying.apply(machine, {"door": DOOR, "agent": {"keys": {"gateway": {"token": ""}}}})
    assert commands.started() == []


@pytest.mark.parametrize("config", [{}, {"models": {"providers": {}}}])
def test_a_gateway_with_another_token_is_taken_over(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any]
) -> None:
    taken: list[tuple[str, str, bool]] = []
    monkeypatch.setattr(
        takeover,
        "in_background",
        lambda before, after, _, *, reloads: taken.append((before, after, reloads)),
    )
    applying.apply(machine, {"agent": {"keys": {"gateway": {"token": "golden"}}}})
    activate(tmp_path, "lebureau-openclaw.service")
    keys = {"gateway": {"token": "own"}}
    applying.apply(machine, {"agent": {"keys": keys, "config": config}})
    applying.apply(machine, {"agent": {"keys": keys, "config": config}})
    assert taken == [("golden", "own", bool(config))]


def test_the_gateway_of_a_copy_is_held_until_it_is_taken_over(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(takeover, "in_background", lambda *_, **__: None)
    activate(tmp_path, "lebureau-openclaw.service")
    monkeypatch.setattr(
        randomness, "stir", lambda *_: stirred.append(freezer(tmp_path).read_text())
    )
    stirred: list[str] = []
    copy = {"fresh": True, "seed": "", "agent": {"keys": {"gateway": {"token": "own"}}}}
    applying.apply(machine, copy)
    assert (stirred, freezer(tmp_path).read_text()) == (["0"], "1")
    applying.apply(machine, copy)
    assert (stirred, freezer(tmp_path).read_text()) == (["0", "0"], "0")
    with pytest.raises(GuestError):
        applying.apply(machine, copy | {"hostname": "no name"})
    assert freezer(tmp_path).read_text() == "0"


@pytest.mark.parametrize(
    ("program", "login", "is_in"),
    [
        ("sshd-session", "1000", True),
        ("sshd-session", "4294967295", False),
        ("bash", "1000", False),
    ],
)
def test_a_takeover_makes_way_until_somebody_has_signed_in(
    machine: Machine, tmp_path: Path, program: str, login: str, is_in: bool
) -> None:
    (tmp_path / "proc/42/comm").write_text(f"{program}\n")
    (tmp_path / "proc/42/loginuid").write_text(login)
    assert takeover.somebody_is_in(machine) is is_in


def test_a_takeover_does_not_make_way_for_ever(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(takeover, "MAKES_WAY_FOR_S", 0)
    monkeypatch.setattr(takeover.time, "sleep", lambda _: pytest.fail("it waits"))
    takeover.make_way(machine)


def test_config_is_the_base_with_the_overlay_on_top(machine: Machine, tmp_path: Path) -> None:
    overlay = {"tools": {"deny": ["x"]}, "models": {"providers": {"lab": {}}}}
    applying.apply(machine, {"agent": {"keys": {}, "config": overlay}})
    config = json.loads((tmp_path / "home/agent/.openclaw/openclaw.json").read_text())
    assert config == {
        "tools": {"exec": {"mode": "full"}, "deny": ["x"]},
        "models": {"providers": {"lab": {}}},
    }


def test_unchanged_files_are_not_written_again(machine: Machine, tmp_path: Path) -> None:
    request: dict[str, Any] = {"agent": {"keys": {"a": 1}, "config": {}}, "door": DOOR}
    applying.apply(machine, request)
    config = tmp_path / "home/agent/.openclaw/openclaw.json"
    before = config.stat().st_ino
    applying.apply(machine, request)
    assert config.stat().st_ino == before


def test_no_agent_stops_the_gateway_and_removes_its_keys(
    machine: Machine, commands: Commands, tmp_path: Path
) -> None:
    applying.apply(machine, {"agent": {"keys": {"a": 1}}})
    applying.apply(machine, {"agent": None})
    assert not (tmp_path / "run/lebureau/keys.json").exists()
    assert commands.ran[-1] == ["systemctl", "stop", "--no-block", "lebureau-openclaw.service"]


def test_hostname_is_set_once(machine: Machine, commands: Commands, tmp_path: Path) -> None:
    applying.apply(machine, {"hostname": "atlas"})
    applying.apply(machine, {"hostname": "atlas"})
    assert (tmp_path / "etc/hostname").read_text() == "atlas\n"
    assert "127.0.1.1 atlas" in (tmp_path / "etc/hosts").read_text()
    assert (tmp_path / "proc/sys/kernel/hostname").read_text() == "atlas"
    assert commands.ran == []


@pytest.mark.parametrize(
    "request_",
    [
        {"hostname": "a b"},
        {"hostname": "-a"},
        {"hostname": ""},
        {"door": "short"},
        {"door": "../../etc/passwd"},
        {"seed": "not base64!"},
        {"time": "now"},
        {"agent": {"keys": "x"}},
        {"agent": []},
        {"ca": "no certificate"},
        {"unknown": 1},
    ],
)
def test_wrong_fields_are_refused_in_words(machine: Machine, request_: dict[str, Any]) -> None:
    with pytest.raises(GuestError, match=r"\w{3,}"):
        applying.apply(machine, request_)


def test_a_clone_lets_in_its_own_control_plane_only(machine: Machine, tmp_path: Path) -> None:
    applying.apply(machine, {"authorizedKey": "ssh-ed25519 OTHER"})
    applying.apply(machine, {"authorizedKey": PUBLIC_KEY})
    allowed = tmp_path / "etc/ssh/authorized_keys.d/agent"
    assert allowed.read_text() == f"{PUBLIC_KEY}\n"


def test_fresh_makes_another_machine(machine: Machine, commands: Commands, tmp_path: Path) -> None:
    seed = tmp_path / "var/lib/systemd/random-seed"
    seed.parent.mkdir(parents=True)
    seed.write_bytes(b"shared")
    about = applying.apply(machine, {"fresh": True})
    assert about["machineId"] not in ("0123", "")
    assert about["hostKey"] == "ssh-ed25519 KEY1"
    assert not seed.exists()
    assert commands.signals == [(42, signal.SIGHUP), (41, signal.SIGHUP)]


def test_the_journal_stays_readable_under_the_new_machine_id(
    machine: Machine, tmp_path: Path
) -> None:
    machine_id = applying.apply(machine, {"fresh": True})["machineId"]
    assert (tmp_path / "run/log/journal" / machine_id / "system.journal").is_file()


def test_seed_reaches_the_kernel_pool(machine: Machine, tmp_path: Path) -> None:
    applying.apply(machine, {"seed": base64.b64encode(b"entropy").decode()})
    assert (tmp_path / "dev/urandom").read_bytes() == b"entropy"


def test_clock_is_set_only_when_it_is_off(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock: list[float] = []
    monkeypatch.setattr(time, "clock_settime", lambda _clock, now: clock.append(now))
    applying.apply(machine, {"time": time.time()})
    assert clock == []
    applying.apply(machine, {"time": 2_000_000_000.0})
    assert clock == [2_000_000_000.0]


def test_certificates_are_trusted_once_and_removed_for_real(
    machine: Machine, tmp_path: Path, certificate: str
) -> None:
    applying.apply(machine, {"ca": certificate + certificate})
    applying.apply(machine, {"ca": certificate + certificate})
    directory = tmp_path / "usr/local/share/ca-certificates"
    assert len(list(directory.iterdir())) == 2
    bundle = tmp_path / "etc/ssl/certs/ca-certificates.crt"
    assert bundle.read_text() == "debian's own\n" + certificate + certificate
    policy = tmp_path / "etc/chromium/policies/managed/lebureau-ca.json"
    assert len(json.loads(policy.read_text())["CACertificates"]) == 2
    applying.apply(machine, {"ca": ""})
    assert list(directory.iterdir()) == []
    assert bundle.read_text() == "debian's own\n"
    assert json.loads(policy.read_text())["CACertificates"] == []


def test_answers_are_one_json_line(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer_apply(machine, json.dumps({"hostname": "atlas"})) == 0
    answer = capsys.readouterr().out
    assert answer.count("\n") == 1
    assert json.loads(answer)["ok"] is True


@pytest.mark.parametrize("request_", ["", "[]", '{"door": "secret-in-the-clear"', '{"door": "zz"}'])
def test_failures_are_told_without_quoting_the_request(
    machine: Machine, capsys: pytest.CaptureFixture[str], request_: str
) -> None:
    assert answer_apply(machine, request_) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert "secret" not in answer["error"]


def test_boot_takes_over_the_credentials(
    machine: Machine, commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    (tmp_path / HOST_KEY).unlink()
    credentials = tmp_path / "run/credentials/@system"
    credentials.mkdir(parents=True)
    (credentials / "lebureau.authorized_key").write_text(PUBLIC_KEY)
    (credentials / "lebureau.hostname").write_text("atlas")
    booting.boot(machine)
    assert (tmp_path / "etc/ssh/authorized_keys.d/agent").read_text() == PUBLIC_KEY + "\n"
    assert (tmp_path / "etc/hostname").read_text() == "atlas\n"
    assert commands.keys_made == 1


def test_boot_keeps_the_host_key_and_needs_no_credentials(
    machine: Machine, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    booting.boot(machine)
    assert commands.ran == []


@pytest.mark.parametrize(("disk", "grown"), [(41_943_040, True), (10_002_048, False)])
def test_root_grows_only_when_the_disk_is_larger(
    machine: Machine, commands: Commands, tmp_path: Path, disk: int, grown: bool
) -> None:
    block = tmp_path / "sys/block/vda"
    (block / "vda3").mkdir(parents=True)
    (block / "size").write_text(f"{disk}\n")
    (block / "vda3/start").write_text("2048\n")
    (block / "vda3/size").write_text("9998000\n")
    assert growing.grow(machine) is grown
    assert (["growpart", "/dev/vda", "3"] in commands.ran) is grown


def test_merge_replaces_lists_and_keeps_the_base() -> None:
    base = {"a": {"b": [1], "c": 2}}
    assert merge(base, {"a": {"b": [9]}, "d": None}) == {"a": {"b": [9], "c": 2}, "d": None}
    assert base == {"a": {"b": [1], "c": 2}}


def test_the_command_knows_its_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lebureau_guest.cli import main

    monkeypatch.setattr(sys, "argv", ["lebureau-guest", "fly"])
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert main() == 2
    assert "apply" in capsys.readouterr().err


def test_a_service_that_ends_while_it_is_released_is_let_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def gone(*_: object, **__: object) -> None:
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr("builtins.open", gone)
    monkeypatch.setattr(Path, "read_text", gone)
    Machine(tmp_path).release("lebureau-openclaw.service")
    assert not Machine(tmp_path).is_active("lebureau-openclaw.service")
