"""The routes of issues 2 and 3, as api.md has them: method and path."""

DESKTOP = "/api/desktops/{desktop_id}"

ROUTES = [
    ("POST", "/auth/login"),
    ("POST", "/auth/logout"),
    ("POST", "/auth/setup"),
    ("POST", "/auth/password"),
    ("GET", "/auth/sessions"),
    ("DELETE", "/auth/sessions/{session_id}"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/api/me"),
    ("GET", "/api/workspaces"),
    ("GET", "/api/workspaces/{workspace_id}"),
    ("PATCH", "/api/workspaces/{workspace_id}"),
    ("GET", "/api/tiers"),
    ("GET", "/api/desktops"),
    ("POST", "/api/desktops"),
    ("GET", DESKTOP),
    ("PATCH", DESKTOP),
    ("DELETE", DESKTOP),
    ("POST", f"{DESKTOP}/start"),
    ("POST", f"{DESKTOP}/stop"),
    ("POST", f"{DESKTOP}/restart"),
    ("POST", f"{DESKTOP}/hibernate"),
    ("POST", f"{DESKTOP}/keep-awake"),
    ("POST", f"{DESKTOP}/cancel"),
    ("POST", f"{DESKTOP}/fork"),
    ("GET", f"{DESKTOP}/snapshots"),
    ("POST", f"{DESKTOP}/snapshots"),
    ("GET", f"{DESKTOP}/snapshots/{{snapshot_id}}/picture"),
    ("POST", f"{DESKTOP}/snapshots/{{snapshot_id}}/restore"),
    ("DELETE", f"{DESKTOP}/snapshots/{{snapshot_id}}"),
    ("GET", f"{DESKTOP}/explain"),
    ("GET", f"{DESKTOP}/operations"),
    ("POST", "/api/operations/{operation_id}/retry"),
    ("POST", f"{DESKTOP}/chat"),
    ("POST", f"{DESKTOP}/chat/abort"),
    ("GET", "/api/runs/{run_id}"),
    ("GET", f"{DESKTOP}/messages"),
    ("GET", "/api/conversations"),
    ("GET", "/api/conversations/{conversation_id}/messages"),
    ("GET", f"{DESKTOP}/screenshot"),
    ("POST", f"{DESKTOP}/exec"),
    ("POST", f"{DESKTOP}/tickets"),
    ("GET", "/api/events"),
    ("GET", "/api/provider-keys"),
    ("POST", "/api/provider-keys"),
    ("POST", "/api/provider-keys/{key_id}/test"),
    ("PUT", "/api/provider-keys/{key_id}"),
    ("DELETE", "/api/provider-keys/{key_id}"),
    ("GET", "/api/api-keys"),
    ("POST", "/api/api-keys"),
    ("DELETE", "/api/api-keys/{key_id}"),
    ("GET", "/api/images"),
    ("POST", "/api/images/build"),
    ("GET", "/api/hosts"),
]

PUBLIC = {
    "/auth/login",
    "/auth/logout",
    "/auth/setup",
    "/healthz",
    "/readyz",
    "/metrics",
}


def filled(path: str, value: str) -> str:
    """The path with a value for each of its ids."""
    while "{" in path:
        before, _, rest = path.partition("{")
        path = before + value + rest.partition("}")[2]
    return path
