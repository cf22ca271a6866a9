"""The library's requirements are ranges, the product's are pinned, and all of them install together."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from jobs import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FILES = sorted(ROOT.glob("requirements*.txt"))
TOOLS = ("pytest", "pytest-django", "playwright", "hypothesis", "ruff", "mypy", "build", "twine")
"""Packages that no server needs."""


def pins(path: Path) -> dict[str, str]:
    """Return the versions that a file pins, by name."""
    lines = re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\n]+)", path.read_text(), flags=re.M)
    return {name.lower(): version for name, version in lines}


def test_the_files_pin_the_same_versions() -> None:
    found: dict[str, dict[str, str]] = {}
    for path in FILES:
        for name, version in pins(path).items():
            found.setdefault(name, {})[path.name] = version
    assert {name: files for name, files in found.items() if len(set(files.values())) > 1} == {}


def test_a_server_gets_no_tools_of_tests() -> None:
    assert pins(ROOT / "requirements.txt").keys().isdisjoint(TOOLS)


def test_the_tests_get_pytest_django() -> None:
    assert "pytest-django" in pins(ROOT / "requirements-test.txt")


EXTRAS = [text for extra in PROJECT["optional-dependencies"].values() for text in extra]
"""Packages that some features of the library need. The product pins most of them."""


@pytest.mark.parametrize("text", [*PROJECT["dependencies"], *EXTRAS])
def test_what_the_product_pins_is_what_the_library_allows(text: str) -> None:
    requirement = Requirement(text)
    pinned = pins(ROOT / "requirements.txt").get(requirement.name.lower())
    assert pinned is not None or text in EXTRAS
    assert pinned is None or requirement.specifier.contains(pinned)
    assert requirement.specifier or requirement.name == "tzdata", "it needs a range; only the newest tzdata will do"
    assert not any(part.operator == "==" for part in requirement.specifier), "a library has ranges"


def test_the_version_stands_in_one_place() -> None:
    assert "version" in PROJECT["dynamic"]
    assert f"## Unreleased: {__version__}" in (ROOT / "CHANGELOG.md").read_text()
