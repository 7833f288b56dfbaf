"""Who is calling, and what they may see and do. The only place that scopes rows to a caller."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from sqlmodel import SQLModel
from sqlmodel.sql.expression import SelectOfScalar

from lebureau_app.errors import Forbidden, Invalid, MissingScope, NotFound
from lebureau_app.models import Role

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "write", "admin")

Row = TypeVar("Row", bound=SQLModel)

_RANK = {Role.VIEWER: 0, Role.OPERATOR: 1, Role.OWNER: 2}


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who has been authenticated.

    Attributes:
        roles: Workspace id to the caller's role there.
        session_id: Set for a signed-in browser.
        api_key_id: Set for an API key.
        scopes: What the API key allows; a browser has all.
        address: Where the request came from, for rate limits and the journal.
    """

    user_id: str
    email: str
    roles: Mapping[str, Role] = field(default_factory=dict)
    session_id: str | None = None
    api_key_id: str | None = None
    scopes: frozenset[str] = frozenset(SCOPES)
    address: str = ""

    @property
    def key(self) -> str:
        """Who this is for idempotency and rate limits."""
        return self.api_key_id or self.user_id

    def need_scope(self, scope: Scope) -> None:
        """Refuse an API key that lacks `scope`.

        Raises:
            MissingScope: The key was made without it.
        """
        if scope not in self.scopes:
            raise MissingScope(f"This API key does not have the scope `{scope}`.")

    def need_role(self, workspace_id: str, role: Role) -> None:
        """Refuse a member whose role is below `role`.

        Raises:
            NotFound: The workspace is not the caller's.
            Forbidden: The caller's role does not reach.
        """
        own = self.roles.get(workspace_id)
        if own is None:
            raise NotFound("There is no such workspace.")
        if _RANK[own] < _RANK[role]:
            raise Forbidden(f"This needs the role {role} in the workspace; yours is {own}.")

    def only_workspace(self, workspace_id: str | None) -> str:
        """The workspace meant: the given one, or the only one there is.

        Raises:
            Invalid: None was given and the caller has several, or none.
            NotFound: The given one is not the caller's.
        """
        if workspace_id is not None:
            if workspace_id not in self.roles:
                raise NotFound("There is no such workspace.")
            return workspace_id
        if len(self.roles) == 1:
            return next(iter(self.roles))
        raise Invalid(
            "Which workspace?",
            fields={"workspaceId": "You belong to several workspaces (or none): name one."},
        )


def visible(query: SelectOfScalar[Row], model: Any, caller: Caller) -> SelectOfScalar[Row]:
    """Narrow a query to the rows of the caller's workspaces.

    Args:
        query: A select of `model`.
        model: A table with a `workspace_id`.
        caller: Who asks.
    """
    return query.where(model.workspace_id.in_(list(caller.roles)))
