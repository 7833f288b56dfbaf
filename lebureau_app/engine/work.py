"""What a step of an operation works on and with."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from lebureau_app.engine.identity import Identities
from lebureau_app.engine.links import Links
from lebureau_app.engine.turns import Turns
from lebureau_app.errors import Conflict
from lebureau_app.models import Desktop, Operation
from lebureau_app.providers.base import Machine, Power, Provider

Ability = TypeVar("Ability")


class StartOver(Exception):
    """Carry on with the operation from an earlier step, in another way.

    Args:
        step: The step's name.
        params: What the operation's parameters become beside what they are; it is journalled.
    """

    def __init__(self, step: str, **params: Any) -> None:
        super().__init__(step)
        self.step = step
        self.params = params


@dataclass(slots=True)
class Work:
    """What a step works on and with. `desktop` is read anew before every call of a step.

    Attributes:
        turns: Who is resumed now.
        public_key: Our SSH public key, which new machines trust.
        say: Tells the person who waits what is happening now.
        first: This is the first call of the step by this process.
        waited: Seconds since that first call.
    """

    operation: Operation
    desktop: Desktop
    provider: Provider
    links: Links
    identities: Identities
    turns: Turns
    public_key: str
    say: Callable[[str], Awaitable[None]]
    first: bool = True
    waited: float = 0.0

    @property
    def machine(self) -> tuple[str, str]:
        """How the provider knows the desktop: our id and its identity."""
        return self.desktop.id, self.desktop.ref

    @property
    def snapshot_id(self) -> str:
        """The snapshot that the operation is about, or empty."""
        return self.operation.params.get("snapshot", "")

    async def inspect(self) -> Machine | None:
        """The machine as it is now, if it was ever made."""
        return await self.provider.inspect(*self.machine) if self.desktop.ref else None

    async def power(self) -> Power | None:
        """What the machine is doing; None where there is no machine."""
        machine = await self.inspect()
        return machine.power if machine else None

    def able(self, ability: type[Ability]) -> Ability:
        """The provider, seen as one that has an ability.

        Raises:
            Conflict: It has not.
        """
        if not isinstance(self.provider, ability):
            raise Conflict(
                f"Desktops of the provider “{self.provider.name}” cannot do that.",
                hint="Stop the desktop instead: its disk is kept.",
            )
        return self.provider


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name in the journal, what a person reads meanwhile, and what it does.

    A step is idempotent: after a crash it is carried out again. It raises `NotYet` to be called
    again soon, `StartOver` to go back, and any other error of ours to fail.

    Attributes:
        patient: The operation's deadline begins only after this step.
        limit: Seconds after which the next step takes over; None waits for the deadline.
    """

    name: str
    message: str
    act: Callable[[Work], Awaitable[None]]
    patient: bool = False
    limit: float | None = None
