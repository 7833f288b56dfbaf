"""What a desktop reaches: what this machine's own package tools do, and nothing that is private."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support import Client
from tests.support.server import ACCOUNT, OWNER, PASSWORD, Server

pytestmark = [pytest.mark.e2e, pytest.mark.vm, pytest.mark.timeout(1500)]

SOON = 60


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server], golden_machines: Path) -> Server:
    return make_server(golden_machines, **ACCOUNT)


@pytest.fixture(scope="module")
def reaching(server: Server, model: dict[str, Any]) -> str:
    """A desktop without an agent; a provider key's base URL opens one port of this machine."""
    with Client(server.url) as client:
        client.sign_in(OWNER, PASSWORD)
        client.keep_model_key(model["url"], "sk-way-1")
        desktop_id = client.post("/api/desktops", {"name": "reaching", "agent": "none"})["id"]
        client.until_status(desktop_id, "running", SOON)
    return desktop_id


@pytest.mark.parametrize(
    "command",
    [
        "sudo apt-get update -qq && sudo apt-get install -y -qq hello >/dev/null && hello -t",
        "pip install -q --target /tmp/v six && PYTHONPATH=/tmp/v python3 -c 'import six'",
        "npm view is-number version",
    ],
    ids=["apt", "pip", "npm"],
)
def test_package_tools_reach_their_registries(client: Client, reaching: str, command: str) -> None:
    done = client.exec(reaching, command, timeout=300)
    assert done["exitCode"] == 0, done


def test_git_reaches_what_a_provider_key_names(
    client: Client, reaching: str, model: dict[str, Any]
) -> None:
    url = f"http://host.lebureau.internal:{model['port']}/files/repository.git"
    command = f"git clone -q {url} ~/repo && git -C ~/repo log --oneline | grep First"
    done = client.exec(reaching, command, timeout=300)
    assert done["exitCode"] == 0, done


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "http://192.168.0.1/"])
def test_what_is_not_public_is_refused(client: Client, reaching: str, url: str) -> None:
    refused = client.exec(reaching, f"curl -sS -m 20 {url}")
    assert "Desktops reach public addresses only" in refused["stdout"] + refused["stderr"]
