"""The words keep up with the code: settings, error codes, commands and links."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lebureau_app.cli import app
from lebureau_app.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]


def settings_table() -> dict[str, str]:
    """Variable to default, as README's table has them."""
    rows = re.findall(r"^\| `(LEBUREAU_\w+)` \| (.*?) \|", README, re.MULTILINE)
    return dict(rows)


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_in_the_readme(name: str):
    assert f"LEBUREAU_{name.upper()}" in settings_table()


def test_the_readme_names_no_setting_that_nothing_reads():
    sources = "".join(
        path.read_text()
        for room in ("lebureau_app", "image")
        for path in (ROOT / room).rglob("*.py")
    )
    fields = {f"LEBUREAU_{name.upper()}" for name in Settings.model_fields}
    unread = {
        name
        for name in settings_table().keys() - fields
        if name not in sources and not name.startswith("LEBUREAU_TIER_")
    }
    assert not unread


@pytest.mark.parametrize("name", ["host", "port", "provider", "rate_limit", "log_level"])
def test_the_readme_has_the_defaults(name: str):
    shown = settings_table()[f"LEBUREAU_{name.upper()}"].strip("`")
    assert shown == str(Settings.model_fields[name].default)


def test_every_error_code_is_documented():
    check = subprocess.run(
        [sys.executable, "-m", "scripts.document_errors", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert check.returncode == 0, check.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path):
    links = re.findall(r"\]\((?!http|#)([^)]+)\)", page.read_text())
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_make_target_in_the_words_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(
        re.findall(r"(?:^|`)make ([a-z]+)", "".join(page.read_text() for page in PAGES), re.M)
    )
    assert named <= targets


def test_every_command_in_the_readme_exists():
    commands = set(re.findall(r"lebureau (desktop \w+|doctor|image \w+|user \w+)", README))
    for command in commands:
        answer = CliRunner().invoke(app, [*command.split(), "--help"])
        assert answer.exit_code == 0, command


def test_no_committed_file_names_a_package_registry():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    registries = re.compile(
        r"registry\.npm" r"js\.org|py" r"pi\.org|python" r"hosted\.org|deb\." r"debian\.org"
    )
    naming = [
        name
        for name in listed.stdout.split()
        if (file := ROOT / name).is_file()
        and file.stat().st_size < 2_000_000
        and registries.search(file.read_text(errors="ignore"))
    ]
    assert naming == []
