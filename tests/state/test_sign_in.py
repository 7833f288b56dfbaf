import pytest

from lebureau_app.state.sign_in import own_path


@pytest.mark.parametrize("path", ["/", "/desktop/dsk_1", "/settings/?section=api"])
def test_our_own_paths_are_kept(path):
    assert own_path(path) == path


@pytest.mark.parametrize(
    "path", ["", "https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_nothing_leads_elsewhere(path):
    assert own_path(path) == "/"
