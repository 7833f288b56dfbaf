"""The command `lebureau`: arguments in, sentences out. The rules live elsewhere."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from lebureau_app.errors import LeBureauError
from lebureau_app.settings import get_settings

SYSTEM_CA = Path("/etc/ssl/certs/ca-certificates.crt")
SOURCE = Path(__file__).resolve().parent.parent

app = typer.Typer(
    name="lebureau",
    help="A full Linux computer for every AI agent, on hardware you own.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
image = typer.Typer(help="Golden images.")
user = typer.Typer(help="Accounts, in the database of this machine.")
desktop = typer.Typer(help="Desktops of a running server, over its REST interface.")
app.add_typer(image, name="image")
app.add_typer(user, name="user")
app.add_typer(desktop, name="desktop")

Answer = TypeVar("Answer")

out = Console()
err = Console(stderr=True)

_MARKS = {"ok": "[green]● ok[/]", "warn": "[yellow]▲ warn[/]", "fail": "[red]■ fail[/]"}

JsonFlag = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


def main() -> None:
    """Run the command; an error for people becomes a sentence and exit code 1."""
    trust_what_the_host_trusts()
    try:
        app(prog_name="lebureau")
    except LeBureauError as error:
        _complain(error.message, error.hint, error.fields)
    except ValidationError as error:
        fields = {_variable(each["loc"]): each["msg"] for each in error.errors()}
        _complain("Some settings are not right.", "README.md lists every setting.", fields)
    sys.exit(1)


def trust_what_the_host_trusts() -> None:
    """Have this process and its children believe the machine's own certificate authorities.

    httpx and bun bring lists of their own, which know nothing of a network that re-signs TLS.
    """
    if SYSTEM_CA.exists():
        os.environ.setdefault("SSL_CERT_FILE", str(SYSTEM_CA))
        os.environ.setdefault("NODE_EXTRA_CA_CERTS", os.environ["SSL_CERT_FILE"])


def _variable(location: tuple[Any, ...]) -> str:
    return "LEBUREAU_" + "_".join(map(str, location)).upper()


def _complain(message: str, hint: str, fields: dict[str, str]) -> None:
    err.print(message, style="red", highlight=False, markup=False, soft_wrap=True)
    for line in [*(f"  {name}: {reason}" for name, reason in fields.items()), hint]:
        err.print(line, highlight=False, markup=False, soft_wrap=True)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Serve pages, REST and WebSockets on one port, until interrupted."""
    from lebureau_app import server

    for name, value in (("LEBUREAU_HOST", host), ("LEBUREAU_PORT", port)):
        if value is not None:
            os.environ[name] = str(value)
    get_settings.cache_clear()
    server.serve(get_settings())


@app.command()
def build(
    force: Annotated[bool, typer.Option(help="Build even if nothing has changed.")] = False,
) -> None:
    """Build the front end, if its sources have changed."""
    from lebureau_app import frontend

    if not frontend.is_current():
        err.print("Building the front end …")
    try:
        frontend.build(force)
    except frontend.BuildFailed as error:
        raise LeBureauError(str(error), hint="Mend what it names, then `make build`.") from error


@app.command()
def doctor(as_json: JsonFlag = False) -> None:
    """Say what this machine has and lacks for Le Bureau."""
    from lebureau_app import doctor as physician

    checks = physician.examine(get_settings())
    if as_json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        table = Table(box=None, pad_edge=False)
        for column in ("", "check", "found", "what to do"):
            table.add_column(column, overflow="fold")
        for check in checks:
            table.add_row(_MARKS[check.verdict], check.name, check.what, check.fix)
        out.print(table)
    if not physician.healthy(checks):
        raise typer.Exit(1)


@image.command("list")
def list_images(as_json: JsonFlag = False) -> None:
    """List the golden images of this machine, newest first."""
    from lebureau_app.services import images

    found = images.ready()
    if as_json:
        print(json.dumps([each.json() for each in found], indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("id", "size", "created", ""):
        table.add_column(column)
    for each in found:
        size = f"{(each.size or 0) / (1 << 20):.0f} MiB"
        created = f"{each.created_at:%Y-%m-%d %H:%M}" if each.created_at else ""
        table.add_row(each.id, size, created, "current" if each.current else "")
    out.print(table)


@image.command("build")
def build_image() -> None:
    """Build the golden image of this version, unless it is there."""
    settings = get_settings()
    settings.make_folders()
    log = settings.home / "logs" / "image-build.log"
    log.parent.mkdir(mode=0o700, exist_ok=True)
    command = [sys.executable, "-m", "image.build", "--output", settings.images_dir, "--log", log]
    said: dict[str, Any] = {}
    with (
        subprocess.Popen(command, cwd=SOURCE, stdout=subprocess.PIPE, text=True) as build,
        out.status("The build begins") as status,
    ):
        for line in build.stdout or ():
            before, said = said, json.loads(line)
            if said.get("message") != before.get("message"):
                out.print(said.get("message", ""), highlight=False)
            if said.get("percent") is not None:
                status.update(f"{said['percent']} %")
    if build.returncode:
        raise LeBureauError(
            said.get("error", "The golden image could not be built."),
            hint=f"{said.get('hint', '')} The log is {log}.".strip(),
        )
    out.print("The server makes golden machines of it by itself, so that new desktops resume.")


@image.command("prune")
def prune_images() -> None:
    """Remove the golden images that no desktop is built on, all but the newest."""
    from lebureau_app.services import images

    for gone in _with_database(images.prune()):
        print(gone)


@user.command("list")
def list_users() -> None:
    """List the accounts, oldest first."""
    from lebureau_app.services import users

    for each in _with_database(users.list_users()):
        print(each.email)


@user.command("create")
def create_user(email: str) -> None:
    """Make an account with a workspace of its own; the password comes from a prompt or stdin."""
    from lebureau_app.services import users

    _with_database(users.create(email, _password()))


@user.command("password")
def set_password(email: str) -> None:
    """Set an account's password, from a prompt or stdin, and sign it out everywhere."""
    from lebureau_app.services import sessions, users

    async def change(password: str) -> None:
        changed = await users.set_password(email, password)
        await sessions.revoke_all(changed.id)

    _with_database(change(_password()))


def _password() -> str:
    if sys.stdin.isatty():
        return typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return sys.stdin.readline().rstrip("\n")


def _with_database(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Do one thing in the database of this machine's home, made and migrated first."""
    from lebureau_app import db

    async def do() -> Answer:
        try:
            await db.migrate()
            return await work
        finally:
            await db.dispose()

    get_settings().make_folders()
    return asyncio.run(do())


@desktop.command("list")
def list_desktops(as_json: JsonFlag = False) -> None:
    """List the living desktops."""
    items = _call("GET", "/api/desktops", params={"limit": 200})["items"]
    if as_json:
        print(json.dumps(items, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("id", "name", "tier", "status", "doing", "agent"):
        table.add_column(column)
    for item in items:
        doing = item["task"] or item["activity"] or ""
        table.add_row(
            item["id"],
            item["name"],
            item["tier"],
            item["status"],
            doing,
            item["readiness"]["agent"],
        )
    out.print(table)


@desktop.command("create")
def create_desktop(
    name: Annotated[str | None, typer.Argument(help="Made up when left out.")] = None,
    tier: str = "free",
    agent: Annotated[bool, typer.Option(help="With OpenClaw.")] = True,
) -> None:
    """Create a desktop; prints its id."""
    body = {"tier": tier, "agent": "openclaw" if agent else "none"} | (
        {"name": name} if name else {}
    )
    print(_call("POST", "/api/desktops", json=body)["id"])


@desktop.command("start")
def start_desktop(desktop_id: str) -> None:
    """Start a desktop."""
    _call("POST", f"/api/desktops/{desktop_id}/start")


@desktop.command("stop")
def stop_desktop(
    desktop_id: str,
    force: Annotated[bool, typer.Option(help="Pull the plug instead of shutting down.")] = False,
) -> None:
    """Stop a desktop."""
    _call("POST", f"/api/desktops/{desktop_id}/stop", json={"force": force})


@desktop.command("destroy")
def destroy_desktop(desktop_id: str) -> None:
    """Destroy a desktop with its disk."""
    _call("DELETE", f"/api/desktops/{desktop_id}")


@desktop.command("explain")
def explain_desktop(desktop_id: str) -> None:
    """Say why each light of a desktop is what it is."""
    out.print_json(data=_call("GET", f"/api/desktops/{desktop_id}/explain"))


def _call(method: str, path: str, **request: Any) -> Any:
    """One REST call to the server of LEBUREAU_URL with the key in LEBUREAU_API_KEY."""
    import httpx

    from lebureau_app.server import origin

    key = os.environ.get("LEBUREAU_API_KEY")
    if not key:
        raise LeBureauError(
            "LEBUREAU_API_KEY is not set.",
            hint="Make an API key in Settings, then: export LEBUREAU_API_KEY=lb_…",
        )
    url = os.environ.get("LEBUREAU_URL") or origin(get_settings())
    try:
        answer = httpx.request(
            method, url + path, headers={"Authorization": f"Bearer {key}"}, timeout=30, **request
        )
        body = answer.json() if answer.content else {}
    except (httpx.HTTPError, ValueError) as error:
        raise LeBureauError(
            f"Le Bureau does not answer at {url}: {error}",
            hint="Start it with `make run`, or set LEBUREAU_URL to where it is.",
        ) from error
    if answer.is_error:
        fault = body.get("error", {})
        raise LeBureauError(
            fault.get("message"), hint=fault.get("hint"), fields=fault.get("fields")
        )
    return body
