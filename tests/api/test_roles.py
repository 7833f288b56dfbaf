"""Every route as owner, operator, viewer, stranger and nobody."""

import pytest

from lebureau_app import db
from lebureau_app.models import Conversation, Operation, ProviderKey, Run
from lebureau_app.services import api_keys, provider_keys
from tests.api.routes import PUBLIC, ROUTES
from tests.conftest import make_desktop, make_snapshot

BODIES = {
    ("POST", "/api/desktops"): {},
    ("POST", "/api/desktops/{desktop_id}/chat"): {"message": "hello"},
    ("POST", "/api/desktops/{desktop_id}/exec"): {"command": "true"},
    ("POST", "/api/desktops/{desktop_id}/tickets"): {"channel": "vnc", "mode": "view"},
    ("PATCH", "/api/desktops/{desktop_id}"): {"labels": {"a": "b"}},
    ("PATCH", "/api/workspaces/{workspace_id}"): {"hibernateAfter": 900},
    ("POST", "/api/provider-keys"): {"name": "k", "provider": "openai", "key": "sk-12345678"},
    ("PUT", "/api/provider-keys/{key_id}"): {"key": "sk-87654321"},
    ("POST", "/api/api-keys"): {"name": "k"},
    ("POST", "/auth/password"): {
        "currentPassword": "wrong wrong",
        "newPassword": "long enough password",
    },
}

OF_THE_CALLER = {
    "/auth/sessions",
    "/auth/password",
    "/api/me",
    "/api/workspaces",
    "/api/tiers",
    "/api/hosts",
    "/api/images",
    "/api/api-keys",
    "/api/conversations",
    "/api/events",
    "/api/desktops",
    "/api/provider-keys",
}
"""Paths that show everybody what is theirs; a stranger's differ, not forbidden."""

OWNERS_ONLY = {("POST", "/api/images/build"), ("PATCH", "/api/workspaces/{workspace_id}")}

VIEWERS_TOO = {
    ("POST", "/api/desktops/{desktop_id}/tickets"): {201},
    ("POST", "/auth/password"): {401},
    ("POST", "/api/api-keys"): {201},
    ("DELETE", "/auth/sessions/{session_id}"): {404},
    ("DELETE", "/api/api-keys/{key_id}"): {404},
}
"""What viewers do with what is their own, and how it ends here."""

PRIVATE = [route for route in ROUTES if route[1] not in PUBLIC]
FINITE = [route for route in PRIVATE if route[1] != "/api/events"]
WORK = [
    (method, path)
    for method, path in FINITE
    if path != "/auth/password"
    and "session_id" not in path
    and not path.startswith("/api/api-keys/")
]


@pytest.fixture
async def office(people):
    """One of everything, of the office."""
    workspace = people.workspace_id
    desktop = await make_desktop(workspace)
    conversation = Conversation(workspace_id=workspace, desktop_id=desktop.id)
    common = {"workspace_id": workspace, "desktop_id": desktop.id}
    operation = Operation(**common, kind="create", status="failed")
    async with db.writing() as session:
        session.add_all([conversation, operation])
        await session.flush()
        run = Run(**common, conversation_id=conversation.id, status="done")
        session.add(run)
    snapshot = await make_snapshot(desktop)
    key = await provider_keys.create(
        people["owner"],
        name="k",
        provider="openai-compatible",
        key="",
        model="m",
        base_url="http://127.0.0.1:9/v1",
    )
    return {
        "desktop_id": desktop.id,
        "conversation_id": conversation.id,
        "operation_id": operation.id,
        "run_id": run.id,
        "snapshot_id": snapshot.id,
        "workspace_id": workspace,
        "key_id": key.id,
        "session_id": "ses_" + "0" * 26,
    }


async def call(client, method, path, ids):
    url = path.format(**ids)
    return await client.request(method, url, json=BODIES.get((method, path)))


async def test_the_sweep_knows_every_route(client):
    spec = (await client.get("/api/openapi.json")).json()
    documented = {
        (method.upper(), path) for path, methods in spec["paths"].items() for method in methods
    }
    assert documented == set(ROUTES)


async def test_nobody_is_401(as_, office):
    for method, path in PRIVATE:
        answer = await call(as_("nobody"), method, path, office)
        assert answer.status_code == 401, (method, path)
        assert answer.json()["error"]["code"] == "not_signed_in"


async def test_what_is_public_asks_for_no_credentials(as_, office):
    for path in ("/healthz", "/readyz", "/metrics", "/api/docs", "/api/openapi.json"):
        assert (await as_("nobody").get(path)).status_code == 200, path


async def test_a_stranger_sees_nothing(as_, people, office):
    for method, path in PRIVATE:
        if path not in OF_THE_CALLER | {"/api/images/build"}:
            answer = await call(as_("stranger"), method, path, office)
            assert answer.status_code == 404, (method, path, answer.text)


async def test_a_strangers_lists_have_nothing_of_the_office(as_, office):
    for path in OF_THE_CALLER - {"/auth/password", "/api/events"}:
        text = (await as_("stranger").get(path)).text
        assert not any(value in text for value in office.values()), path


async def test_a_viewer_only_looks(as_, office):
    for method, path in FINITE:
        answer = await call(as_("viewer"), method, path, office)
        expected = {200} if method == "GET" else VIEWERS_TOO.get((method, path), {403})
        assert answer.status_code in expected, (method, path, answer.text)


@pytest.mark.parametrize("name", ["operator", "owner"])
async def test_those_who_work_may_work(as_, office, name):
    destroying_last = sorted(WORK, key=lambda route: route[0] == "DELETE")
    for method, path in destroying_last:
        answer = await call(as_(name), method, path, office)
        if name == "operator" and (method, path) in OWNERS_ONLY:
            assert answer.status_code == 403
        else:
            assert answer.status_code in (200, 201, 202, 204, 409), (method, path, answer.text)


async def test_keys_need_the_scope_of_the_route(client, people, office):
    _, reading = await api_keys.create(people["owner"], "k", ["read"])
    _, changing = await api_keys.create(people["owner"], "k", ["write", "admin"])
    for method, path in FINITE:
        wrong = changing if method == "GET" else reading
        client.headers["Authorization"] = f"Bearer {wrong}"
        answer = await call(client, method, path, office)
        assert answer.status_code == 403, (method, path, answer.text)
        assert answer.json()["error"]["code"] == "missing_scope"


async def test_an_operator_gives_no_private_base_url(as_, people):
    body = {"name": "k", "provider": "openai-compatible", "model": "m"}
    for url in ("http://127.0.0.1/v1", "http://localhost:11434/v1", "http://[::1]/", "http://nas"):
        answer = await as_("operator").post("/api/provider-keys", json={**body, "baseUrl": url})
        assert answer.status_code == 403, url
    public = {**body, "baseUrl": "https://models.example.com/v1/"}
    answer = await as_("operator").post("/api/provider-keys", json=public)
    assert answer.json()["baseUrl"] == "https://models.example.com/v1"
    async with db.reading() as session:
        assert not (await session.get_one(ProviderKey, answer.json()["id"])).private
