"""Signing in and out, set-up, password and sessions."""

from typing import Any, TypeVar
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import ValidationError

from lebureau_app.api import shapes
from lebureau_app.api.dependencies import (
    Admin,
    Reader,
    address,
    need_no_foreign_origin,
    need_origin,
    well_formed,
)
from lebureau_app.api.problems import from_validation
from lebureau_app.api.schemas import PasswordChange, Payload, SetUp, SignIn
from lebureau_app.api.shapes import shows
from lebureau_app.errors import LeBureauError, Malformed
from lebureau_app.services import present, sessions, setup, users
from lebureau_app.services.sessions import COOKIE, SignedIn

router = APIRouter(prefix="/auth", tags=["sign-in"])

_COOKIE_AGE = 400 * 24 * 3600

P = TypeVar("P", bound=Payload)


@router.post("/login", openapi_extra=SignIn.as_form(), responses=shows(shapes.SignedIn))
async def sign_in(request: Request) -> Response:
    """Sign in with a form or JSON: sets the session cookie."""
    need_no_foreign_origin(request)
    wants_json = _wants_json(request)
    target = "/"
    try:
        payload = await _form_or_json(request, SignIn)
        target = local_path(payload.next)
        signed_in = await sessions.sign_in(
            payload.email,
            payload.password.get_secret_value(),
            address(request),
            request.headers.get("user-agent", ""),
        )
    except LeBureauError as error:
        if wants_json:
            raise
        return _back_to("/login", error, target)
    if wants_json:
        return _with_cookie(
            request, JSONResponse({"user": present.user(signed_in.user)}), signed_in
        )
    return _with_cookie(request, RedirectResponse(target, 303), signed_in)


@router.post("/logout")
async def sign_out(request: Request) -> Response:
    """Revoke the session and clear its cookie."""
    cookies = request.headers.get("cookie", "")
    if COOKIE in cookies:
        need_origin(request)
        await sessions.sign_out(cookies)
    response = (
        Response(status_code=204) if _wants_json(request) else RedirectResponse("/login", 303)
    )
    response.delete_cookie(COOKIE, path="/")
    return response


@router.post(
    "/setup", status_code=201, openapi_extra=SetUp.as_form(), responses=shows(shapes.SignedIn, 201)
)
async def set_up(request: Request) -> Response:
    """Make the owner account with the token of the one-time set-up link, and sign in."""
    need_no_foreign_origin(request)
    wants_json = _wants_json(request)
    try:
        payload = await _form_or_json(request, SetUp)
        owner = await setup.complete(
            payload.token.get_secret_value(), payload.email, payload.password.get_secret_value()
        )
    except LeBureauError as error:
        if wants_json:
            raise
        return _back_to("/setup", error)
    signed_in = await sessions.open_for(
        owner, address(request), request.headers.get("user-agent", "")
    )
    if wants_json:
        body = JSONResponse({"user": present.user(owner)}, 201)
        return _with_cookie(request, body, signed_in)
    return _with_cookie(request, RedirectResponse("/", 303), signed_in)


@router.post("/password", status_code=204)
async def change_password(caller: Admin, payload: PasswordChange) -> None:
    """Change the caller's own password; every other session of theirs ends."""
    await users.change_password(
        caller,
        payload.current_password.get_secret_value(),
        payload.new_password.get_secret_value(),
    )
    await sessions.revoke_others(caller)


@router.get("/sessions", responses=shows(shapes.Listing[shapes.Session]))
async def list_sessions(caller: Reader) -> dict[str, Any]:
    """The caller's browsers that are signed in."""
    rows = await sessions.list_sessions(caller)
    items = [present.session(row, row.id == caller.session_id) for row in rows]
    return {"items": items, "nextCursor": None}


@router.delete("/sessions/{session_id}", status_code=204)
async def revoke_session(caller: Admin, session_id: str) -> None:
    """Sign one of the caller's browsers out, and close what it has open."""
    await sessions.revoke(caller, well_formed(session_id))


def local_path(target: str) -> str:
    """Where to go after signing in: a path of ours, never another site's address."""
    if not target.startswith("/") or target.startswith("//") or "\\" in target:
        return "/"
    return target if target.isprintable() else "/"


async def _form_or_json(request: Request, kind: type[P]) -> P:
    is_json = "json" in request.headers.get("content-type", "")
    try:
        values = await request.json() if is_json else dict(await request.form())
    except (ValueError, RecursionError) as error:
        raise Malformed("The body is not valid JSON.") from error
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problems = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        raise from_validation(problems) from error


def _wants_json(request: Request) -> bool:
    accepts = request.headers.get("accept", "")
    return "application/json" in accepts or "json" in request.headers.get("content-type", "")


def _back_to(page: str, error: LeBureauError, target: str = "/") -> RedirectResponse:
    values = {"error": error.code} | ({"next": target} if target != "/" else {})
    return RedirectResponse(f"{page}?{urlencode(values)}", 303)


def _with_cookie(request: Request, response: Response, signed_in: SignedIn) -> Response:
    """Give the browser its session; the server decides how long that lasts."""
    response.set_cookie(
        COOKIE,
        signed_in.token,
        max_age=_COOKIE_AGE,
        path="/",
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return response
