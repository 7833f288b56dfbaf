from pathlib import Path

import pytest

from image.errors import BuildError
from image.mirrors import find_mirrors, read_sources

DEB822 = """\
# a comment
Types: deb
URIs: https://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://mirror.example/security
Suites: bookworm-security
Components: main
"""


@pytest.fixture(autouse=True)
def no_mirror_in_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEBUREAU_DEBIAN_MIRROR", raising=False)
    monkeypatch.delenv("LEBUREAU_DEBIAN_SECURITY_MIRROR", raising=False)


@pytest.fixture
def apt(tmp_path: Path) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


def test_deb822_sources_give_both_mirrors(apt: Path) -> None:
    (apt / "sources.list.d" / "debian.sources").write_text(DEB822)
    mirrors = find_mirrors(apt=apt)
    assert mirrors.main == "https://mirror.example/debian"
    assert mirrors.security == "https://mirror.example/security"


def test_one_line_sources_with_options_are_read(apt: Path) -> None:
    (apt / "sources.list").write_text(
        "# deb http://commented.example/debian trixie main\n"
        "deb-src http://source.example/debian trixie main\n"
        "deb [arch=amd64 signed-by=/k.gpg] http://one.example/debian/ trixie main # why\n"
        "deb http://one.example/debian-security trixie-security main\n"
    )
    mirrors = find_mirrors(apt=apt)
    assert mirrors.main == "http://one.example/debian"
    assert mirrors.security == "http://one.example/debian-security"


def test_sources_of_others_and_disabled_ones_do_not_count(apt: Path) -> None:
    (apt / "sources.list.d" / "a.list").write_text("deb http://vendor.example nodistro main\n")
    (apt / "sources.list.d" / "b.sources").write_text(DEB822 + "Enabled: no\n")
    assert find_mirrors(apt=apt).main == "https://mirror.example/debian"
    (apt / "sources.list.d" / "b.sources").write_text(
        DEB822.replace("Components: main", "Components: main\nEnabled: no")
    )
    with pytest.raises(BuildError):
        find_mirrors(apt=apt)


def test_security_mirror_is_guessed_beside_the_main_one(apt: Path) -> None:
    mirrors = find_mirrors("http://lan.example/pub/debian/", apt=apt)
    assert mirrors.security == "http://lan.example/pub/debian-security"


def test_environment_wins_over_apt_and_argument_over_environment(
    apt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (apt / "sources.list.d" / "debian.sources").write_text(DEB822)
    monkeypatch.setenv("LEBUREAU_DEBIAN_MIRROR", "http://env.example/debian")
    assert find_mirrors(apt=apt).main == "http://env.example/debian"
    assert find_mirrors("http://arg.example/debian", apt=apt).main == "http://arg.example/debian"


def test_without_any_mirror_the_error_says_what_to_do(apt: Path) -> None:
    with pytest.raises(BuildError) as caught:
        find_mirrors(apt=apt)
    assert "LEBUREAU_DEBIAN_MIRROR" in caught.value.hint


def test_folded_fields_continue(apt: Path) -> None:
    (apt / "sources.list.d" / "x.sources").write_text(
        "Types: deb\nURIs:\n http://a.example/debian\n http://b.example/debian\nSuites: trixie\n"
    )
    assert [source.uri for source in read_sources(apt)] == [
        "http://a.example/debian",
        "http://b.example/debian",
    ]


def test_lines_cover_updates_and_security(apt: Path) -> None:
    lines = find_mirrors("http://m.example/debian", apt=apt).lines("trixie")
    assert [line.split()[-2] for line in lines] == ["trixie", "trixie-updates", "trixie-security"]
