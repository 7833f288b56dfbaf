import dataclasses
import re
import shutil
from pathlib import Path

import pytest

from image.recipe import HERE, PROFILES, fingerprint, image_id

STANDARD = PROFILES["standard"]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return Path(shutil.copytree(HERE, tmp_path / "image"))


def test_fingerprint_is_stable_wherever_the_recipe_lies(recipe: Path) -> None:
    assert fingerprint(STANDARD, recipe) == fingerprint(STANDARD)


@pytest.mark.parametrize("part", ["packages-standard.txt", "disk.py", "files/etc/environment"])
def test_fingerprint_changes_with_every_part(recipe: Path, part: str) -> None:
    with (recipe / part).open("a") as file:
        file.write("\n")
    assert fingerprint(STANDARD, recipe) != fingerprint(STANDARD)


def test_fingerprint_changes_with_a_pinned_version() -> None:
    newer = dataclasses.replace(STANDARD, openclaw="2099.1.1")
    assert fingerprint(newer) != fingerprint(STANDARD)


def test_fingerprint_ignores_bytecode(recipe: Path) -> None:
    cache = recipe / "__pycache__"
    cache.mkdir(exist_ok=True)
    (cache / "disk.pyc").write_bytes(b"anything")
    assert fingerprint(STANDARD, recipe) == fingerprint(STANDARD)


def test_image_id_names_profile_suite_and_hash() -> None:
    assert re.fullmatch(r"standard-trixie-[0-9a-f]{12}", image_id(STANDARD))


def test_packages_are_listed_once() -> None:
    packages = STANDARD.packages
    assert len(packages) == len(set(packages))
    assert {"openssh-server", "chromium", "xfce4-panel"} <= set(packages)


def test_the_recipe_names_no_host_on_the_internet() -> None:
    url = re.compile(rb"https?://([\w.-]+)")
    harmless = {b"10.0.2.100", b"127.0.0.1", b"www.w3.org", b"www.freedesktop.org"}
    named = {
        (path.name, host)
        for path in HERE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
        for host in url.findall(path.read_bytes())
        if host not in harmless
    }
    assert named == set()
