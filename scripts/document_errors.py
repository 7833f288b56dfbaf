"""Write docs/errors.md from the error classes, or with --check say whether it is current."""

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

import lebureau_app
from lebureau_app.errors import LeBureauError

PAGE = Path(__file__).resolve().parent.parent / "docs" / "errors.md"
HEAD = """# Errors

Every error, on every route, has one shape:

```json
{"error": {"code": "desktop_not_found", "message": "…", "hint": "…", "fields": {}, "requestId": "…"}}
```

`code` is stable: programs may rely on it. `message` says what happened and why, and `hint` what to do next; both are
for people and may say more than below. `fields` maps a JSON field to its message. The `requestId` is in the server's
log line too. A 429 carries `Retry-After` in whole seconds. This page is written by `make docs`.

| code | status | message | hint |
|---|---|---|---|
"""


def page() -> str:
    """The whole page, a row for each code."""
    _import_everything()
    rows = sorted({(error.status, error.code): error for error in _tree(LeBureauError)}.items())
    return HEAD + "".join(
        f"| `{code}` | {status} | {error.message} | {error.hint} |\n"
        for (status, code), error in rows
    )


def _import_everything() -> None:
    for module in pkgutil.walk_packages(lebureau_app.__path__, "lebureau_app."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def _tree(root: type[LeBureauError]) -> Iterator[type[LeBureauError]]:
    for child in root.__subclasses__():
        yield from _tree(child)
    yield root


if __name__ == "__main__":
    written = page()
    if "--check" not in sys.argv:
        PAGE.write_text(written)
    elif PAGE.read_text() != written:
        sys.exit("docs/errors.md is not current: run `make docs` and commit it.")
