import configparser
import json
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from image.configure import ENABLED
from image.recipe import FILES

UNITS = sorted((FILES / "etc/systemd/system").glob("lebureau-*"))
INSTALLED_BY_RECIPE = {
    "/usr/local/sbin/lebureau-guest",
    "/usr/local/bin/ttyd",
    "/usr/local/bin/openclaw",
}


def files(pattern: str) -> list[Path]:
    return sorted(FILES.rglob(pattern))


@pytest.mark.parametrize("path", files("*.json"), ids=lambda path: path.name)
def test_json_is_json(path: Path) -> None:
    assert isinstance(json.loads(path.read_text()), dict)


@pytest.mark.parametrize("path", files("*.xml"), ids=lambda path: path.name)
def test_desktop_settings_name_their_channel(path: Path) -> None:
    assert ElementTree.parse(path).getroot().get("name") == path.stem


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units_start_programs_that_are_there(path: Path) -> None:
    started = re.findall(r"^Exec\w+=(/usr/local/\S+)", path.read_text(), re.MULTILINE)
    missing = [name for name in started if not (FILES / name.lstrip("/")).is_file()]
    assert set(missing) <= INSTALLED_BY_RECIPE


@pytest.mark.parametrize("name", [name for name in ENABLED if name.startswith("lebureau-")])
def test_enabled_units_say_what_wants_them(name: str) -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.read(FILES / "etc/systemd/system" / name)
    assert unit["Install"]["WantedBy"]


def test_nothing_behind_a_secret_starts_without_it() -> None:
    for unit, secret in (
        ("lebureau-door.service", "/run/lebureau/door.secret"),
        ("lebureau-openclaw.service", "/run/lebureau/keys.json"),
    ):
        assert unit not in ENABLED
        text = (FILES / "etc/systemd/system" / unit).read_text()
        assert f"ConditionPathExists={secret}" in text


def test_the_gateway_is_on_loopback_and_takes_its_secrets_from_the_key_file() -> None:
    config = json.loads((FILES / "etc/lebureau/openclaw.base.json").read_text())
    assert config["gateway"]["bind"] == "loopback"
    assert config["gateway"]["auth"]["token"]["source"] == "file"
    assert config["secrets"]["providers"]["lbfile"]["path"] == "/run/lebureau/keys.json"
    assert config["agents"]["defaults"]["heartbeat"]["every"] == "0m"
    assert config["update"]["checkOnStart"] is False


def test_a_shell_loads_completions_when_tab_is_pressed_and_not_before(tmp_path: Path) -> None:
    library = tmp_path / "completions"
    library.write_text('_comp_complete_load() { echo "loads $1"; return 124; }\n')
    text = (FILES / "etc/skel/.bashrc").read_text()
    assert text.count("/usr/share/bash-completion/bash_completion") == 2
    shell = tmp_path / "bashrc"
    shell.write_text(text.replace("/usr/share/bash-completion/bash_completion", str(library)))
    ask = "complete -p -D; type -t _comp_complete_load; _load_completions git; echo $?"
    done = subprocess.run(
        ["bash", "--noprofile", "--rcfile", shell, "-ic", ask],
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout.splitlines() == ["complete -F _load_completions -D", "loads git", "124"]
