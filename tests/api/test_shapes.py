"""The OpenAPI document says what the routes really answer."""

from pydantic import TypeAdapter

from lebureau_app.api import shapes
from lebureau_app.services import provider_keys, sessions, users
from tests.api.routes import ROUTES

NO_JSON = {"/api/events", "/metrics", "/healthz", "/readyz"}


def fits(shape, answer):
    assert answer.status_code < 300, answer.text
    return TypeAdapter(shape).validate_json(answer.content)


async def test_answers_are_what_the_document_says(as_, people, desktop):
    owner, path = as_("owner"), f"/api/desktops/{desktop.id}"
    await sessions.open_for(await users.get(people["owner"].user_id), "", "")
    await provider_keys.create(people["owner"], name="k", provider="openai", key="sk-12345678")
    said = await owner.post(f"{path}/chat", json={"message": "hello"})
    run_id = fits(shapes.Taken, said).run_id
    fits(shapes.Desktop, await owner.post(f"{path}/restart"))
    for shape, route in (
        (shapes.Me, "/api/me"),
        (shapes.Listing[shapes.Session], "/auth/sessions"),
        (shapes.Listing[shapes.Workspace], "/api/workspaces"),
        (shapes.Workspace, f"/api/workspaces/{people.workspace_id}"),
        (shapes.Listing[shapes.Tier], "/api/tiers"),
        (shapes.Listing[shapes.Host], "/api/hosts"),
        (shapes.Listing[shapes.Image], "/api/images"),
        (shapes.Listing[shapes.Desktop], "/api/desktops"),
        (shapes.Listing[shapes.Operation], f"{path}/operations"),
        (shapes.Listing[shapes.Message], f"{path}/messages"),
        (shapes.Listing[shapes.Conversation], "/api/conversations"),
        (shapes.Listing[shapes.ProviderKey], "/api/provider-keys"),
        (shapes.Listing[shapes.ApiKey], "/api/api-keys"),
    ):
        assert getattr(fits(shape, await owner.get(route)), "items", True), route
    fits(shapes.Explanation, await owner.get(f"{path}/explain"))
    fits(shapes.Run, await owner.get(f"/api/runs/{run_id}"))
    fits(shapes.Ticket, await owner.post(f"{path}/tickets", json={"channel": "vnc"}))
    fits(shapes.Executed, await owner.post(f"{path}/exec", json={"command": "true"}))
    fits(shapes.Aborted, await owner.post(f"{path}/chat/abort"))
    assert fits(shapes.ApiKey, await owner.post("/api/api-keys", json={"name": "k"})).key


async def test_every_answer_is_documented(client):
    paths = (await client.get("/api/openapi.json")).json()["paths"]
    for method, path in ROUTES:
        responses = paths[path][method.lower()]["responses"]
        good = [status for status in responses if status.startswith("2")]
        assert good, (method, path)
        assert {"4XX", "5XX"} <= responses.keys()
        if path not in NO_JSON and "204" not in good and "logout" not in path:
            content = responses[good[0]]["content"]
            assert all(each.get("schema") != {} for each in content.values()), (method, path)
