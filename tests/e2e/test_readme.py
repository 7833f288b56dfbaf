"""The README's lines work as they are written."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import readme
from tests.support.server import ACCOUNT, OWNER, PASSWORD, Server

pytestmark = pytest.mark.e2e


def test_from_signing_in_to_the_end_of_a_desktop(
    make_server: Callable[..., Server], tmp_path: Path
):
    server = make_server(LEBUREAU_PROVIDER="fake", **ACCOUNT)
    account = {"LB": server.url, "EMAIL": OWNER, "PASSWORD": PASSWORD}
    begin = readme.with_values(readme.lines_under("Sign in, and make an API key"), **account)
    keep = readme.lines_under("Keep it as it is")
    end = readme.lines_under("The end")
    printed = readme.run(begin + keep + end, tmp_path)
    assert '"free"' in printed
    assert '"name":"trial-2"' in printed
    assert '"readiness"' in printed or '"lights"' in printed
    assert not list(tmp_path.iterdir()), "the cookie jar is left behind"
