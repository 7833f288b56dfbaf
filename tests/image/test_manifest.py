import hashlib
import io
import json
from pathlib import Path

from image.kernel import COMMAND_LINE
from image.manifest import write_manifest
from image.progress import Progress


def test_manifest_tells_sizes_digests_and_how_to_boot(tmp_path: Path) -> None:
    for name in ("disk.qcow2", "kernel", "initrd"):
        (tmp_path / name).write_bytes(name.encode())
    write_manifest(tmp_path, {"id": "standard-trixie-0"}, 4096)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["id"] == "standard-trixie-0"
    assert manifest["cmdline"] == COMMAND_LINE
    assert manifest["virtualSize"] == 4096
    assert manifest["size"] == len("disk.qcow2kernelinitrd")
    assert manifest["sha256"]["kernel"] == hashlib.sha256(b"kernel").hexdigest()


def test_progress_is_json_lines_without_repeats() -> None:
    out = io.StringIO()
    progress = Progress(out)
    progress.step("packages", "Installing", 10)
    progress.step("packages", "Installing", 10)
    progress.failed("It broke", "Mend it")
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [
        {"step": "packages", "percent": 10, "message": "Installing"},
        {"error": "It broke", "hint": "Mend it"},
    ]
