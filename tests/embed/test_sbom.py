"""`make sbom` lists what a server and its workers install, each package once."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_bill_of_materials_has_each_pinned_package(tmp_path: Path) -> None:
    recipe = re.search(r"^\t(awk .+\n.+cdx\.json.*)$", (ROOT / "Makefile").read_text(), flags=re.M)
    assert recipe is not None
    file = tmp_path / "sbom.json"
    command = recipe[1].replace("$$", "$").replace("$(BIN)", str(Path(sys.executable).parent))
    command = command.replace("dist/cronzimus.cdx.json", str(file))
    subprocess.run(["sh", "-c", command], cwd=ROOT, check=True, capture_output=True, timeout=120)
    found = [(part["name"], part["version"]) for part in json.loads(file.read_text())["components"]]
    text = "".join((ROOT / name).read_text() for name in ("requirements.txt", "requirements-celery.txt"))
    pinned = re.findall(r"^([a-z0-9-]+)==([^ ;\n]+)", text, flags=re.M)
    assert set(pinned) <= set(found)
    assert len(found) == len(set(found))
