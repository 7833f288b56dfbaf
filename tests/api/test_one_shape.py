"""Every error of every route has one shape, whatever is sent."""

import json
import random

import pytest

from tests.api.routes import ROUTES, filled

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def is_error(answer):
    body = answer.json()
    assert body.keys() == {"error"}, answer.text
    error = body["error"]
    assert error.keys() == {"code", "message", "hint", "fields", "requestId"}
    assert error["message"]
    assert error["hint"]
    assert error["requestId"] == answer.headers["x-request-id"]
    return error


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/nothing", "/auth/nothing", "/ws/nothing", "/api/desktops/x/y/z"]
)
async def test_unknown_paths(client, path):
    for method in METHODS:
        answer = await client.request(method, path)
        assert answer.status_code == 404
        assert is_error(answer)["code"] == "not_found"


async def test_wrong_method_names_the_right_ones(as_):
    answer = await as_("owner").put("/api/desktops", json={})
    assert answer.status_code == 405
    assert is_error(answer)["code"] == "method_not_allowed"
    assert answer.headers["allow"] == "GET, POST"
    assert (await as_("owner").post("/api/docs")).status_code == 405


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if "{" in route[1]])
async def test_malformed_ids_are_unknown(as_, method, path):
    for bad in ("x", "dsk_UPPER", "dsk_" + "0" * 300, "dsk_é", "..", "%00", "dsk_01' OR 1=1--"):
        answer = await as_("owner").request(method, filled(path, bad), json={"wait": 1})
        assert 400 <= answer.status_code < 500, (bad, answer.status_code)
        is_error(answer)


RUBBISH = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"0",
    b'"text"',
    b"\xff\xfe\x00",
    b'{"name": "\\u0000", "message": "\\u0000", "command": "\\u0000"}',
    b'{"name": "\\ud800", "message": "\\ud800", "command": "\\ud800", "email": "\\ud800"}',
    b'{"name": 1e400, "wait": 99999999999999999999999999, "timeout": -1, "labels": 5}',
    b'{"name": ' + b"9" * 5000 + b"}",
    b"[" * 50_000,
    json.dumps({"name": "x" * 100_000, "labels": {"a": "b" * 70}, "unknown": {}}).encode(),
    json.dumps({"labels": {"a": {"b": 1}}, "providerKeys": ["x", 5], "scopes": ["root"]}).encode(),
    b'{"expiresAt": "9999-12-31T23:59:59.999999-23:59", "name": "x"}',
    b'{"channel": "x", "mode": {}, "provider": "x", "key": 5, "token": "\\u0000"}',
]


@pytest.mark.parametrize(
    ("method", "path"), [route for route in ROUTES if route[0] in ("POST", "PUT", "PATCH")]
)
async def test_rubbish_is_never_a_500(as_, desktop, method, path):
    types = (
        "application/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "",
        "multipart/form-data",
    )
    rng = random.Random(path)
    for body in RUBBISH:
        answer = await as_("owner").request(
            method,
            filled(path, desktop.id),
            content=body,
            headers={"Content-Type": rng.choice(types), "Idempotency-Key": f"k{rng.random()}"},
        )
        assert answer.status_code < 500 or answer.status_code == 503, (body[:40], answer.text)
        if answer.status_code >= 400:
            is_error(answer)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=x",
        "limit=99999999999999999999999999999",
        "cursor=%ff%fe",
        "cursor=x",
        "cursor=" + "A" * 5000,
        "cursor=",
        "workspaceId=x",
        "workspaceId=%00",
        "status=nonsense",
        "label=nocolon",
        "q=" + "x" * 101,
        "q=%00",
    ],
)
async def test_wrong_query_values(as_, query):
    answer = await as_("owner").get(f"/api/desktops?{query}")
    assert 400 <= answer.status_code < 500
    is_error(answer)


async def test_query_values_that_only_look_dangerous(as_, desktop):
    for query in ("q=%25_'\"--", "q=%F0%9F%92%A5", "label=a.b['c]:d", "label=%22:%25"):
        answer = await as_("owner").get(f"/api/desktops?{query}")
        assert (answer.status_code, answer.json()["items"]) == (200, [])


async def test_a_large_body_is_413(as_):
    body = json.dumps({"name": "x" * (1 << 20)}).encode()
    answer = await as_("owner").post("/api/api-keys", content=body)
    assert answer.status_code == 413
    assert is_error(answer)["code"] == "too_large"

    async def pieces():
        for _ in range(40):
            yield b"x" * 50_000

    answer = await as_("owner").post("/api/api-keys", content=pieces())
    assert answer.status_code == 413
    is_error(answer)


async def test_a_fault_of_ours_is_a_500_in_shape(as_, monkeypatch):
    from lebureau_app.services import workspaces

    async def broken(*_args, **_values):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(workspaces, "list_workspaces", broken)
    answer = await as_("owner").get("/api/workspaces")
    assert answer.status_code == 500
    assert is_error(answer)["code"] == "internal_error"
    assert "secret detail" not in answer.text


async def test_too_many_calls_are_told_when_to_come_back(as_, monkeypatch):
    from lebureau_app.settings import get_settings

    monkeypatch.setattr(get_settings(), "rate_limit", 3)
    answers = [await as_("owner").get("/api/me") for _ in range(8)]
    limited = [answer for answer in answers if answer.status_code == 429]
    assert limited
    assert is_error(limited[0])["code"] == "rate_limited"
    assert limited[0].headers["retry-after"] == "1"


async def test_headers_that_browsers_obey(client):
    answer = await client.get("/healthz", headers={"X-Request-ID": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "strict-transport-security" not in answer.headers
    odd = await client.get("/healthz", headers={"X-Request-ID": "a b\tc" + "x" * 100})
    assert odd.headers["x-request-id"].startswith("req_")
