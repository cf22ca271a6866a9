"""The contents of the wheel."""

from __future__ import annotations

import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from jobs import __version__

from .environments import ROOT

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    """The names of the files in the wheel."""
    return set(zipfile.ZipFile(wheel).namelist())


def below(folder: Path, *prefix: str) -> set[str]:
    """Return the files below `folder` in this tree, as the wheel names them."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(Path(*prefix, path)) for path in found if "__pycache__" not in path.parts}


def test_the_wheel_has_every_file_of_the_app_as_the_package_cronzimus(names: set[str]) -> None:
    assert below(ROOT / "jobs", "cronzimus") <= names


def test_the_wheel_has_the_templates_of_the_apps_pages(names: set[str]) -> None:
    wanted = set()
    for folder in ("cronzimus", "admin/cronzimus"):
        wanted |= below(ROOT / "templates" / folder, f"cronzimus/templates/{folder}")
    assert wanted
    assert wanted <= names


def test_the_wheel_has_nothing_else(names: set[str]) -> None:
    others = {name for name in names if not name.startswith(("cronzimus/", f"cronzimus-{__version__}.dist-info/"))}
    assert others == set()


def test_the_wheel_leaves_the_look_of_a_hosts_admin_alone(names: set[str]) -> None:
    templates = {name.removeprefix("cronzimus/templates/") for name in names if "/templates/" in name}
    assert {name for name in templates if not name.startswith(("cronzimus/", "admin/cronzimus/"))} == set()


def test_the_wheel_is_typed_and_has_the_version(wheel: Path, names: set[str]) -> None:
    assert "cronzimus/py.typed" in names
    metadata = zipfile.ZipFile(wheel).read(f"cronzimus-{__version__}.dist-info/METADATA")
    assert message_from_bytes(metadata)["Version"] == __version__
