"""What the end-to-end tests share: waiting with a reason, and a REST client."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx

Value = TypeVar("Value")


def until(
    look: Callable[[], Value | None], seconds: float, what: str, every: float = 0.25
) -> Value:
    """Look again and again until there is something true to see."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain until {what}"
        time.sleep(every)


def machines(mark: str) -> list[int]:
    """The PIDs of the QEMU processes whose command holds a mark, such as a home or a desktop's id."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if b"qemu-system" in command.split(b"\0")[0] and mark.encode() in command:
            found.append(int(entry.name))
    return found


class Client:
    """REST as a program uses it; an unexpected status is an assertion with the body in it."""

    def __init__(self, url: str, key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {"Origin": url}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=330)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def sign_in(self, email: str, password: str) -> None:
        answer = self._http.post(
            "/auth/login",
            data={"email": email, "password": password},
            headers={"Accept": "application/json"},
        )
        assert answer.status_code == 200, answer.text

    def call(self, method: str, path: str, *, status: int = 200, **more: Any) -> httpx.Response:
        answer = self._http.request(method, path, **more)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    def get(self, path: str, **more: Any) -> Any:
        return self.call("GET", path, **more).json()

    def post(self, path: str, body: Any = None, *, status: int = 202, **more: Any) -> Any:
        return self.call("POST", path, json=body, status=status, **more).json()

    def keep_model_key(self, url: str, key: str) -> None:
        """Let the agents of every desktop use the scripted model."""
        kept = {"name": "Scripted", "provider": "openai-compatible", "key": key}
        self.post("/api/provider-keys", kept | {"baseUrl": url, "model": "scripted-1"}, status=201)

    def desktop(self, desktop_id: str) -> dict[str, Any]:
        return self.get(f"/api/desktops/{desktop_id}")

    def exec(self, desktop_id: str, command: str, timeout: int = 60) -> dict[str, Any]:
        body = {"command": command, "timeout": timeout}
        return self.post(f"/api/desktops/{desktop_id}/exec", body, status=200)

    def ask(self, desktop_id: str, message: str, seconds: float = 600) -> dict[str, Any]:
        """Say something to the agent and wait for the end of its run."""
        sent = self.post(f"/api/desktops/{desktop_id}/chat", {"message": message})
        ended = ("done", "failed", "aborted")

        def over() -> dict[str, Any] | None:
            run = self.get(f"/api/runs/{sent['runId']}")
            return run if run["status"] in ended else None

        return until(over, seconds, f"the agent has answered {message!r}")

    def until_light(self, desktop_id: str, channel: str, seconds: float) -> dict[str, Any]:
        def ready() -> dict[str, Any] | None:
            desktop = self.desktop(desktop_id)
            assert desktop["status"] != "error", desktop
            return desktop if desktop["readiness"][channel] == "ready" else None

        return until(ready, seconds, f"the light {channel} of {desktop_id} is ready", every=0.5)

    def until_status(self, desktop_id: str, status: str, seconds: float) -> dict[str, Any]:
        def there() -> dict[str, Any] | None:
            desktop = self.desktop(desktop_id)
            return desktop if desktop["status"] == status and not desktop["task"] else None

        return until(there, seconds, f"{desktop_id} is {status}")
