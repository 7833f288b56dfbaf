"""The labs of the contract: one of each provider."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from lebureau_app.settings import Settings
from tests.contract.labs import FakeLab, Lab, QemuLab
from tests.support.tiny_guest import IMAGE, NEWER_IMAGE, NOTEBOOK, make_image


@pytest.fixture(scope="module")
def tiny_home() -> Iterator[Path]:
    """A home with two images of the tiny guest, and a path short enough for sockets."""
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("QEMU is not installed")
    with tempfile.TemporaryDirectory(prefix="lb-") as folder:
        for image in (IMAGE, NEWER_IMAGE):
            make_image(Path(folder) / "images", image, NOTEBOOK)
        yield Path(folder)


@pytest.fixture(params=["fake", "qemu"])
async def lab(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Lab]:
    if request.param == "fake":
        made: Lab = FakeLab()
    else:
        home = request.getfixturevalue("tiny_home")
        made = QemuLab(Settings(home=home), monkeypatch)
    await made.provider.open()
    yield made
    await made.clean()
    if isinstance(made, QemuLab):
        places = made.settings
        for name in ("desktops", "run", "snapshots", "goldens"):
            shutil.rmtree(places.home / name)
