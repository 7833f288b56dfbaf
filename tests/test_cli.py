"""The command `lebureau`: what it prints, and how it ends."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from lebureau_app import cli
from lebureau_app.doctor import Check, Verdict
from lebureau_app.settings import get_settings

DESKTOP = {
    "id": "dsk_1",
    "name": "dev-agent-01",
    "tier": "free",
    "status": "running",
    "task": None,
    "activity": "Idle",
    "readiness": {"agent": "ready"},
}


@pytest.fixture(autouse=True)
def fresh_settings(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LEBUREAU_HOME", str(tmp_path / "home"))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def lebureau(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the command in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["lebureau", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0)


class Server(BaseHTTPRequestHandler):
    """Just enough of the REST interface, and what it was asked."""

    asked: ClassVar[list[tuple[str, str, str | None]]] = []

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked.append((self.command, self.path, self.headers["Authorization"]))
        status, body = 200, {"items": [DESKTOP], "nextCursor": None}
        if self.path == "/api/desktops/dsk_gone/start":
            status, body = (
                404,
                {"error": {"code": "x", "message": "No such desktop.", "hint": "List."}},
            )
        elif self.command == "POST":
            status, body = 202, DESKTOP
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str, str | None]]]:
    Server.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        monkeypatch.setenv("LEBUREAU_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("LEBUREAU_API_KEY", "lb_test")
        yield Server.asked
        server.shutdown()


def test_python_dash_m_is_the_same_command():
    answer = subprocess.run(
        [sys.executable, "-m", "lebureau_app", "--help"], capture_output=True, text=True, timeout=60
    )
    assert answer.returncode == 0
    assert "Usage: lebureau" in answer.stdout


def test_the_machines_certificate_authorities_are_trusted_unless_others_are_named(
    tmp_path, monkeypatch
):
    bundle = tmp_path / "bundle.pem"
    bundle.touch()
    monkeypatch.setattr(cli, "SYSTEM_CA", bundle)
    environment = {"SSL_CERT_FILE": "/own.pem"}
    monkeypatch.setattr(os, "environ", environment)
    cli.trust_what_the_host_trusts()
    assert environment == {"SSL_CERT_FILE": "/own.pem", "NODE_EXTRA_CA_CERTS": "/own.pem"}


def test_a_wrong_setting_is_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setenv("LEBUREAU_PORT", "ninety")
    assert lebureau("serve", monkeypatch=monkeypatch) == 1
    said = capsys.readouterr().err
    assert "LEBUREAU_PORT" in said
    assert "Traceback" not in said


def test_serving_beyond_loopback_in_the_clear_ends_with_1(monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setenv("LEBUREAU_HOST", "127.0.0.1")
    assert lebureau("serve", "--host", "0.0.0.0", monkeypatch=monkeypatch) == 1
    assert "without TLS" in capsys.readouterr().err


@pytest.mark.parametrize(("verdict", "code"), [(Verdict.WARN, 0), (Verdict.FAIL, 1)])
def test_doctor_fails_only_on_a_failed_check(
    verdict: Verdict, code: int, monkeypatch: pytest.MonkeyPatch, capsys
):
    checks = [Check("socat", verdict, "not there", "make run")]
    monkeypatch.setattr("lebureau_app.doctor.examine", lambda _: checks)
    assert lebureau("doctor", "--json", monkeypatch=monkeypatch) == code
    assert json.loads(capsys.readouterr().out) == [
        {"name": "socat", "verdict": verdict, "what": "not there", "fix": "make run"}
    ]


def test_doctor_prints_a_table(monkeypatch: pytest.MonkeyPatch, capsys):
    checks = [Check("socat", Verdict.OK, "installed")]
    monkeypatch.setattr("lebureau_app.doctor.examine", lambda _: checks)
    assert lebureau("doctor", monkeypatch=monkeypatch) == 0
    assert "installed" in capsys.readouterr().out


def test_an_account_is_made_listed_and_given_a_new_password(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("a long enough password\n"))
    assert lebureau("user", "create", "Ada@example.org", monkeypatch=monkeypatch) == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO("another long password\n"))
    assert lebureau("user", "password", "ada@example.org", monkeypatch=monkeypatch) == 0
    assert lebureau("user", "list", monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out == "ada@example.org\n"


def test_a_password_that_is_too_short_is_refused(monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("short\n"))
    assert lebureau("user", "create", "ada@example.org", monkeypatch=monkeypatch) == 1
    assert "At least" in capsys.readouterr().err


def recipe(folder: Path, last: dict[str, str], code: int) -> Path:
    """A stand-in for the image package that reports one step and ends."""
    (folder / "image").mkdir()
    (folder / "image" / "__init__.py").touch()
    lines = [{"step": "packages", "percent": 12, "message": "Installing Debian packages"}, last]
    (folder / "image" / "build.py").write_text(
        f"import json\nfor line in {lines!r}:\n    print(json.dumps(line))\nraise SystemExit({code})\n"
    )
    return folder


def test_building_an_image_tells_each_step(tmp_path, monkeypatch: pytest.MonkeyPatch, capsys):
    last = {"step": "done", "message": "Image ready"}
    monkeypatch.setattr(cli, "SOURCE", recipe(tmp_path, last, code=0))
    assert lebureau("image", "build", monkeypatch=monkeypatch) == 0
    said = capsys.readouterr().out.split("\n")
    assert said[:2] == ["Installing Debian packages", "Image ready"]
    assert "golden machines" in said[2]


def test_a_failed_build_says_why_and_where_its_log_is(tmp_path, monkeypatch, capsys):
    last = {"error": "No Debian mirror is known.", "hint": "Set LEBUREAU_DEBIAN_MIRROR."}
    monkeypatch.setattr(cli, "SOURCE", recipe(tmp_path, last, code=1))
    assert lebureau("image", "build", monkeypatch=monkeypatch) == 1
    said = capsys.readouterr().err
    assert "No Debian mirror is known." in said
    assert "image-build.log" in said


def test_no_images_is_an_empty_list(monkeypatch: pytest.MonkeyPatch, capsys):
    assert lebureau("image", "list", "--json", monkeypatch=monkeypatch) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_pruning_nothing_removes_nothing(monkeypatch: pytest.MonkeyPatch, capsys):
    assert lebureau("image", "prune", monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out == ""


def test_desktops_are_listed(asked, monkeypatch: pytest.MonkeyPatch, capsys):
    assert lebureau("desktop", "list", monkeypatch=monkeypatch) == 0
    assert "dev-agent-01" in capsys.readouterr().out
    assert asked == [("GET", "/api/desktops?limit=200", "Bearer lb_test")]


def test_creating_prints_the_id_alone(asked, monkeypatch: pytest.MonkeyPatch, capsys):
    assert lebureau("desktop", "create", "dev-agent-01", monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out == "dsk_1\n"


def test_a_refusal_is_shown_with_its_hint(asked, monkeypatch: pytest.MonkeyPatch, capsys):
    assert lebureau("desktop", "start", "dsk_gone", monkeypatch=monkeypatch) == 1
    assert capsys.readouterr().err == "No such desktop.\nList.\n"


def test_without_an_api_key_the_next_step_is_named(monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.delenv("LEBUREAU_API_KEY", raising=False)
    assert lebureau("desktop", "list", monkeypatch=monkeypatch) == 1
    assert "export LEBUREAU_API_KEY" in capsys.readouterr().err


def test_a_server_that_is_not_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setenv("LEBUREAU_API_KEY", "lb_test")
    monkeypatch.setenv("LEBUREAU_URL", "http://127.0.0.1:9")
    assert lebureau("desktop", "list", monkeypatch=monkeypatch) == 1
    assert "does not answer" in capsys.readouterr().err
