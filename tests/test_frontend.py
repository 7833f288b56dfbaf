import base64
import hashlib
from pathlib import Path

import pytest

from lebureau_app import frontend


def built(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", ".")
        path.write_text(text)
    return folder


def test_baked_addresses_become_those_of_the_page(tmp_path):
    built(
        tmp_path, a__js='x={EVENT:"ws://localhost:8000/_event",PING:`http://localhost:8000/ping`}'
    )
    frontend.SameOriginPlugin().post_build(static_dir=tmp_path)
    script = (tmp_path / "a.js").read_text()
    assert '"ws://localhost:8000/_event"' not in script
    assert 'location.origin:"http://localhost:8000").replace(/^http/,"ws")+"/_event"' in script
    assert '+"/ping"' in script


def test_a_build_without_baked_addresses_is_refused(tmp_path):
    built(tmp_path, a__js="x={}")
    with pytest.raises(RuntimeError, match="frontend"):
        frontend.SameOriginPlugin().post_build(static_dir=tmp_path)


def test_inline_scripts_are_hashed_and_others_are_not(tmp_path):
    script = "\nlet a = 1;"
    built(
        tmp_path,
        a__html=f'<script>{script}</script><script src="/x.js"></script>',
        b__html=f"<script type=module>{script}</script>",
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert frontend.script_hashes(tmp_path) == [f"'sha256-{digest}'"]


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    (tmp_path / "lebureau_app" / "pages").mkdir(parents=True)
    (tmp_path / "lebureau_app" / "pages" / "a.py").write_text("x = 1")
    static = tmp_path / ".web" / "build" / "client"
    static.mkdir(parents=True)
    (static / "index.html").write_text("<html></html>")
    monkeypatch.setattr(frontend, "ROOT", tmp_path)
    monkeypatch.setattr(frontend, "STATIC", static)
    monkeypatch.setattr(frontend, "_STAMP", tmp_path / ".web" / "lebureau.stamp")
    return tmp_path


def test_a_build_is_current_until_a_source_changes(project):
    assert not frontend.is_current()
    (project / ".web" / "lebureau.stamp").write_text(frontend.content_hash())
    assert frontend.is_current()
    (project / "lebureau_app" / "pages" / "a.py").write_text("x = 2")
    assert not frontend.is_current()


def test_what_is_no_source_does_not_count(project):
    before = frontend.content_hash()
    (project / "lebureau_app" / "models.py").write_text("")
    assert frontend.content_hash() == before


def test_building_what_is_current_does_nothing(project, monkeypatch):
    (project / ".web" / "lebureau.stamp").write_text(frontend.content_hash())
    monkeypatch.setattr(frontend.subprocess, "run", lambda *_, **__: pytest.fail("it built"))
    assert frontend.build() is False


def test_a_build_that_fails_shows_the_end_of_its_output(project, monkeypatch):
    failed = frontend.subprocess.CompletedProcess([], 1, stdout="no bun", stderr="")
    monkeypatch.setattr(frontend.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(frontend.BuildFailed, match="no bun"):
        frontend.build()
    assert not frontend.is_current()


def test_the_environment_of_the_build_names_no_registry():
    environment = frontend._build_environment()
    assert environment["REFLEX_USE_SYSTEM_BUN"] == "1"
    assert environment["PATH"].split(":")[0].endswith("bin")
