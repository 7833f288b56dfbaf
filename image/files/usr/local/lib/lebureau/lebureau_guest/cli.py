"""The command ``lebureau-guest``.

``boot`` takes over credentials before sshd starts, ``carry`` takes over what the former disk has
when the image is upgraded, ``grow`` fits the root file system to the disk, ``apply`` reads one JSON
object from standard input and answers with one JSON line, ``wait`` does so for whoever calls
``apply`` from now on.
"""

from __future__ import annotations

import json
import sys
from functools import partial

from lebureau_guest.machine import GuestError, Machine

USAGE = "Usage: lebureau-guest boot | carry | grow | wait | apply < request.json"


def main() -> int:
    """Run one command; return 0, 1 for a failure that was told, 2 for wrong usage."""
    machine = Machine()
    match sys.argv[1:]:
        case ["boot"]:
            from lebureau_guest.boot import boot

            boot(machine)
        case ["carry"]:
            from lebureau_guest.carry import carry

            carry(machine)
        case ["grow"]:
            from lebureau_guest.grow import grow

            grow(machine)
        case ["apply"]:
            return answer_apply(machine, sys.stdin.read())
        case ["wait"]:
            from lebureau_guest.waiting import wait

            wait(partial(answer_apply, machine))
        case ["--help"]:
            print(__doc__)
        case _:
            print(USAGE, file=sys.stderr)
            return 2
    return 0


def answer_apply(machine: Machine, request: str) -> int:
    """Apply a request and print the answer as one JSON line; errors never quote the request."""
    from lebureau_guest.apply import apply

    try:
        wanted = json.loads(request)
        if not isinstance(wanted, dict):
            raise GuestError("The request must be a JSON object.")
        answer = {"ok": True, **apply(machine, wanted)}
    except json.JSONDecodeError as error:
        answer = {"ok": False, "error": f"The request is not JSON (line {error.lineno})."}
    except (GuestError, OSError) as error:
        answer = {"ok": False, "error": str(error)}
    print(json.dumps(answer))
    return 0 if answer["ok"] else 1
