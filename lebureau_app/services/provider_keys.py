"""The user's own model keys: sealed, write-only, tested on demand, removed for real."""

from urllib.parse import urlsplit

from sqlmodel import select

from lebureau_app import db
from lebureau_app.errors import Invalid, NotFound
from lebureau_app.gateway.egress.addresses import Kind, kind_of
from lebureau_app.models import ProviderKey, Role, utc_now
from lebureau_app.services import model_providers, vault
from lebureau_app.services.access import Caller, visible
from lebureau_app.services.live import live
from lebureau_app.services.model_providers import PROVIDERS, Probe
from lebureau_app.services.paging import DEFAULT_LIMIT, Page, page

_LONGEST = 4096
_LAST = 4
_LOCAL_SUFFIXES = ("localhost", "local", "internal", "lan", "home.arpa")


async def list_provider_keys(
    caller: Caller,
    *,
    workspace_id: str | None = None,
    limit: int = DEFAULT_LIMIT,
    cursor: str | None = None,
) -> Page[ProviderKey]:
    """The keys of the caller's workspaces, newest first."""
    caller.need_scope("read")
    query = visible(select(ProviderKey), ProviderKey, caller)
    if workspace_id:
        query = query.where(ProviderKey.workspace_id == workspace_id)
    async with db.reading() as session:
        return await page(session, query, ProviderKey, limit=limit, cursor=cursor)


async def create(
    caller: Caller,
    *,
    name: str,
    provider: str,
    key: str,
    workspace_id: str | None = None,
    base_url: str | None = None,
    model: str | None = None,
) -> ProviderKey:
    """Keep a model key for a workspace.

    Args:
        caller: An operator; a private base URL needs an owner.
        name: What people call it.
        provider: One of `model_providers.PROVIDERS`.
        key: The secret; may be empty for `openai-compatible`.
        workspace_id: Whose; may be left out by whoever belongs to one only.
        base_url: Where the provider answers; `openai-compatible` needs it.
        model: Which model agents use; `openai-compatible` needs it.

    Raises:
        Invalid: `fields` says which value is wrong.
        Forbidden: The caller's role does not reach.
    """
    caller.need_scope("admin")
    workspace_id = caller.only_workspace(workspace_id)
    caller.need_role(workspace_id, Role.OPERATOR)
    if provider not in PROVIDERS:
        raise Invalid(
            "There is no such provider.", fields={"provider": f"One of: {', '.join(PROVIDERS)}."}
        )
    own = PROVIDERS[provider].base_url is None
    key = _checked_secret(key, needed=not own)
    base_url, model = (base_url or "").strip() or None, (model or "").strip() or None
    _need(own and not base_url, "baseUrl", "This provider needs it.")
    _need(own and not model, "model", "This provider needs it.")
    if base_url:
        base_url = checked_base_url(base_url)
        if is_private(base_url):
            caller.need_role(workspace_id, Role.OWNER)
    row = ProviderKey(
        workspace_id=workspace_id,
        name=name,
        provider=provider,
        last4=_last4(key),
        base_url=base_url,
        model=model,
        private=base_url is not None and caller.roles[workspace_id] == Role.OWNER,
    )
    row.secret = vault.seal(key, _place(row.id))
    async with db.writing() as session:
        session.add(row)
    live().keys_changed(workspace_id)
    return row


async def rotate(caller: Caller, key_id: str, key: str) -> ProviderKey:
    """Put a new secret in the place of the old one; running desktops get it at once.

    Raises:
        NotFound: Not the caller's.
        Invalid: The secret cannot be used.
    """
    async with db.writing() as session:
        row = await _find(session, caller, key_id)
        key = _checked_secret(key, needed=PROVIDERS[row.provider].base_url is not None)
        row.secret, row.last4 = vault.seal(key, _place(row.id)), _last4(key)
        row.status, row.changed_at = "untested", utc_now()
        session.add(row)
    live().keys_changed(row.workspace_id)
    return row


async def delete(caller: Caller, key_id: str) -> None:
    """Remove a key, here and from running desktops.

    Raises:
        NotFound: Not the caller's.
    """
    async with db.writing() as session:
        row = await _find(session, caller, key_id)
        await session.delete(row)
    live().keys_changed(row.workspace_id)


async def test(caller: Caller, key_id: str) -> Probe:
    """Try a key with a real, cheap call to its provider, and keep what came of it.

    Raises:
        NotFound: Not the caller's.
    """
    async with db.reading() as session:
        row = await _find(session, caller, key_id)
    probe = await model_providers.probe(
        row.provider, secret_of(row), row.base_url, private=row.private
    )
    if probe.valid is not None:
        async with db.writing() as session:
            row = await _find(session, caller, key_id)
            row.status = "valid" if probe.valid else "invalid"
            session.add(row)
    return probe


def secret_of(row: ProviderKey) -> str:
    """The key itself, for those who bring it into a desktop.

    Raises:
        VaultError: It cannot be opened.
    """
    return vault.unseal(row.secret, _place(row.id))


def checked_base_url(text: str) -> str:
    """A base URL in its one form, without a slash at its end.

    Raises:
        Invalid: Not http or https, with credentials, a query or a fragment, or without a host.
    """
    try:
        url = urlsplit(text)
        fits = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        fits = False
    _need(not fits or not text.isprintable() or " " in text, "baseUrl", "An http or https address.")
    _need("@" in url.netloc, "baseUrl", "No user name or password: those go into the key.")
    _need(bool(url.query or url.fragment), "baseUrl", "No query and no fragment.")
    return text.rstrip("/")


def is_private(base_url: str) -> bool:
    """Whether a base URL plainly names something that is not on the public Internet."""
    host = (urlsplit(base_url).hostname or "").rstrip(".").lower()
    if not host:
        return False
    try:
        return kind_of(host) is not Kind.PUBLIC
    except ValueError:
        return "." not in host or host.endswith(tuple(f".{name}" for name in _LOCAL_SUFFIXES))


async def _find(session: db.AsyncSession, caller: Caller, key_id: str) -> ProviderKey:
    caller.need_scope("admin")
    query = visible(select(ProviderKey), ProviderKey, caller).where(ProviderKey.id == key_id)
    row = (await session.exec(query)).first()
    if row is None:
        raise NotFound("There is no such provider key.")
    caller.need_role(row.workspace_id, Role.OPERATOR)
    return row


def _checked_secret(key: str, *, needed: bool) -> str:
    key = key.strip()
    _need(needed and not key, "key", "Paste the key that the provider gave you.")
    fits = len(key) <= _LONGEST and all("!" <= character <= "~" for character in key)
    _need(not fits, "key", "Letters, digits and signs without spaces, at most 4096.")
    return key


def _need(wrong: bool, field: str, message: str) -> None:
    if wrong:
        raise Invalid("This provider key cannot be used.", fields={field: message})


def _last4(key: str) -> str:
    return key[-_LAST:] if len(key) >= 2 * _LAST else ""


def _place(key_id: str) -> str:
    return f"provider_key/{key_id}/secret"
