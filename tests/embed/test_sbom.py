"""`make sbom` lists what a server installs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_bill_of_materials_has_each_pinned_package(tmp_path: Path) -> None:
    recipe = re.search(r"^\t\$\(BIN\)/(cyclonedx-py .+)$", (ROOT / "Makefile").read_text(), flags=re.M)
    assert recipe is not None
    file = tmp_path / "sbom.json"
    command = f"{Path(sys.executable).parent}/{recipe[1]}".replace("dist/cronzimus.cdx.json", str(file))
    subprocess.run(command.split(), cwd=ROOT, check=True, capture_output=True, timeout=120)
    found = {(part["name"], part["version"]) for part in json.loads(file.read_text())["components"]}
    pinned = re.findall(r"^([a-z0-9-]+)==([^ ;\n]+)", (ROOT / "requirements.txt").read_text(), flags=re.M)
    assert set(pinned) <= found
