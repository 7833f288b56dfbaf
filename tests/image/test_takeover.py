"""A running gateway gets another token, as the gateway of a golden machine's clone does.

With the real gateway; what stands in `keys.json` and `openclaw.json` is written as in the guest.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from lebureau_guest import takeover
from lebureau_guest.gateway import Gateway, GatewayError
from lebureau_guest.takeover import take_over

from lebureau_app.guest.inject import AgentKey
from tests.support import openclaw_gateway
from tests.support.openclaw_gateway import TOKEN
from tests.support.openclaw_gateway import Gateway as Running

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

KEY = AgentKey("openai-compatible", "sk-1", base_url="http://127.0.0.1:9/v1", model="none")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with openclaw_gateway.running(tmp_path_factory.mktemp("gateway"), [KEY]) as gateway:
        yield gateway


def change_token(running: Running, token: str) -> str:
    """Write another token, and return the one before."""
    keys = json.loads(running.key_file.read_text())
    before, keys["gateway"]["token"] = keys["gateway"]["token"], token
    replace(running.key_file, keys)
    return before


def replace(path: Path, content: object) -> None:
    draft = path.with_suffix(".draft")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(content))
    draft.replace(path)


async def test_a_wrong_token_is_refused(running: Running) -> None:
    with pytest.raises(GatewayError, match="token"):
        Gateway("wrong", running.port)


async def test_nobody_listens(unused_tcp_port: int) -> None:
    with pytest.raises(GatewayError):
        Gateway(TOKEN, unused_tcp_port)


async def test_a_back_end_on_the_loopback_needs_no_device(running: Running) -> None:
    with Gateway(TOKEN, running.port) as gateway:
        assert gateway.call("sessions.list", limit=1)["sessions"] == []
        with pytest.raises(GatewayError, match="no-such-method"):
            gateway.call("no-such-method")


async def test_the_token_changes_although_the_configuration_stays(running: Running) -> None:
    before = change_token(running, "second")
    assert take_over(before, "second", reloads=False, port=running.port)
    with pytest.raises(GatewayError):
        Gateway(before, running.port)


async def test_the_token_changes_with_the_configuration_by_itself(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(takeover, "tell", lambda *_: pytest.fail("it is pushed"))
    monkeypatch.setattr(takeover, "NOTICES_WITHIN_S", 5)
    before = change_token(running, "third")
    place = running.key_file.with_name("openclaw.json")
    config = json.loads(place.read_text())
    del config["models"]["providers"]["openai-compatible"]
    del config["agents"]["defaults"]["model"]
    replace(place, config)
    assert take_over(before, "third", reloads=True, port=running.port)
    with pytest.raises(GatewayError):
        Gateway(before, running.port)
