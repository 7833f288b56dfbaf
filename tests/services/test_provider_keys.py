"""Provider keys: sealed, never shown, tested for real, and no way into private networks."""

import asyncio
import contextlib
import logging
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel import select

from lebureau_app import db
from lebureau_app.errors import Forbidden, Invalid
from lebureau_app.models import Event, IdempotentAnswer, ProviderKey
from lebureau_app.services import model_providers, provider_keys, vault
from tests.gateway.servers import served

SECRET = "sk-throwaway-0123456789-abcd"


@contextlib.asynccontextmanager
async def model_server(status=200):
    """A provider on loopback; yields its base URL and the requests that it saw."""
    app, seen = FastAPI(), []

    @app.get("/v1/models")
    async def models(request: Request):
        seen.append(request)
        if status == 302:
            return RedirectResponse("/elsewhere", 302)
        return Response("{}", status)

    @app.get("/elsewhere")
    async def elsewhere(request: Request):
        seen.append(request)

    async with served(app) as url:
        yield url.replace("ws://", "http://"), seen


def new(people, base_url, name: str = "owner", **values: Any):
    return provider_keys.create(
        people[name],
        **{"name": "k", "provider": "openai-compatible", "key": SECRET, "model": "m"} | values,
        base_url=base_url,
    )


@pytest.mark.parametrize(
    ("status", "ok", "kept"),
    [
        (200, True, "valid"),
        (401, False, "invalid"),
        (403, False, "invalid"),
        (404, False, "invalid"),
        (302, False, "invalid"),
        (429, None, "untested"),
        (500, None, "untested"),
    ],
)
async def test_a_key_is_tried_with_its_provider(people, status, ok, kept):
    async with model_server(status) as (url, seen):
        key = await new(people, f"{url}/v1")
        probe = await provider_keys.test(people["owner"], key.id)
    assert probe.valid is ok
    assert bool(probe.error) is not (ok is True)
    assert [request.url.path for request in seen] == ["/v1/models"]
    assert seen[0].headers["authorization"] == f"Bearer {SECRET}"
    assert seen[0].headers["host"] in url
    async with db.reading() as session:
        assert (await session.get_one(ProviderKey, key.id)).status == kept


async def test_anthropic_wants_its_own_headers(people):
    async with model_server() as (url, seen):
        key = await new(people, url, provider="anthropic", model=None)
        assert (await provider_keys.test(people["owner"], key.id)).valid
    assert seen[0].headers["x-api-key"] == SECRET
    assert seen[0].headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in seen[0].headers


async def test_nobody_there_says_so_and_proves_nothing(people):
    key = await new(people, "http://127.0.0.1:1/v1")
    probe = await provider_keys.test(people["owner"], key.id)
    assert probe.valid is None
    assert "cannot be reached" in str(probe.error)


async def test_a_public_name_that_leads_into_the_private_network_gets_no_key(people, monkeypatch):
    async with model_server() as (url, seen):
        port = url.rpartition(":")[2]

        async def rebound(host, port, **_options):
            return [(2, 1, 6, "", ("127.0.0.1", port))]

        key = await new(people, f"http://models.example.com:{port}/v1", name="operator")
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", rebound)
        probe = await provider_keys.test(people["operator"], key.id)
        assert probe.valid is False
        assert "private network" in str(probe.error)
    assert not seen


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x.example",
        "x.example",
        "http://",
        "http://user:password@x.example",
        "http://x.example/?a=b",
        "http://x.example/#a",
        "http://x.example:99999",
        "http://x .example",
        "http://[::1",
        "javascript:alert(1)",
        "http://x.example/\x00",
    ],
)
async def test_base_urls_that_cannot_be_used(people, url):
    with pytest.raises(Invalid) as refusal:
        await new(people, url)
    assert refusal.value.fields.keys() == {"baseUrl"}


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1",
        "http://127.1.2.3/v1",
        "http://localhost:11434",
        "http://ollama.localhost",
        "http://[::1]:80",
        "http://[::ffff:10.0.0.1]",
        "http://10.0.0.5",
        "http://192.168.1.2",
        "http://169.254.169.254",
        "http://nas",
        "http://nas.lan",
        "http://host.lebureau.internal:8080",
    ],
)
async def test_private_base_urls_need_an_owner(people, url):
    with pytest.raises(Forbidden):
        await new(people, url, name="operator")
    assert (await new(people, url)).private


async def test_keys_that_are_incomplete_are_refused(people):
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "baseUrl"),
        ({"model": None, "base_url": "https://x.example"}, "model"),
        ({"provider": "openai", "key": ""}, "key"),
        ({"provider": "openai", "key": "a b"}, "key"),
        ({"provider": "openai", "key": "x" * 5000}, "key"),
        ({"provider": "nobody"}, "provider"),
    ]
    for values, field in cases:
        with pytest.raises(Invalid) as refusal:
            await new(people, values.pop("base_url", None), **values)
        assert refusal.value.fields.keys() == {field}


async def test_the_secret_is_nowhere_to_be_read(as_, people, caplog, settings):
    caplog.set_level(logging.DEBUG)
    body = {"name": "k", "provider": "openai", "key": SECRET}
    client, headers = as_("owner"), {"Idempotency-Key": "once"}
    made = await client.post("/api/provider-keys", json=body, headers=headers)
    key_id = made.json()["id"]
    assert made.json()["last4"] == "abcd"
    shown = [
        made,
        await client.post("/api/provider-keys", json=body, headers=headers),
        await client.get("/api/provider-keys"),
        await client.put(f"/api/provider-keys/{key_id}", json={"key": SECRET + "x"}),
        await client.post("/api/provider-keys", json={**body, "key": SECRET + " \x00"}),
        await client.post("/api/provider-keys", json={**body, "provider": SECRET[:20]}),
    ]
    assert all(SECRET not in answer.text for answer in shown)
    assert SECRET not in caplog.text
    async with db.reading() as session:
        for table in (ProviderKey, Event, IdempotentAnswer):
            rows = list(await session.exec(select(table)))
            assert all(SECRET not in str(row.model_dump()) for row in rows)
        row = await session.get_one(ProviderKey, key_id)
    assert provider_keys.secret_of(row) == SECRET + "x"
    assert SECRET.encode() not in (settings.home / "lebureau.db").read_bytes()


async def test_changes_reach_running_desktops_and_deletion_is_real(people, living):
    key = await new(people, None, provider="openai")
    await provider_keys.rotate(people["owner"], key.id, "sk-another-key-9999")
    await provider_keys.delete(people["owner"], key.id)
    assert living.changed == [people.workspace_id] * 3
    async with db.reading() as session:
        assert await session.get(ProviderKey, key.id) is None


async def test_an_envelope_opens_only_in_its_own_place(people):
    key = await new(people, None, provider="openai")
    with pytest.raises(vault.VaultError):
        vault.unseal(key.secret, "provider_key/pk_other/secret")


def test_every_provider_is_asked_over_tls():
    known = [each.base_url for each in model_providers.PROVIDERS.values() if each.base_url]
    assert all(url.startswith("https://") for url in known)
    assert len(known) == 3
