"""The app is the package `jobs` in this repository and `cronzimus` in the wheel: nothing in it depends on the name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
APP = sorted((ROOT / "jobs").rglob("*.py"))
TEMPLATES = sorted((ROOT / "templates").rglob("*.html")) + sorted((ROOT / "jobs" / "static").rglob("*.js"))


def absolute_imports(path: Path) -> list[str]:
    """Return the imports of `path` that name the app, or the product's site, by an absolute name."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.append(node.module or "")
    return [name for name in names if name.partition(".")[0] in ("jobs", "cronzimus", "cronzimus_site")]


def module_names(path: Path) -> list[str]:
    """Return the texts in the code of `path` that are names of modules of the app: "jobs.calls.child"."""
    tree = ast.parse(path.read_text())
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body
        if isinstance(node.body[0], ast.Expr)
    }
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]
    return [text for text in texts if text.startswith("jobs.") and text.replace(".", "").isidentifier()]


def test_there_are_files_to_look_at() -> None:
    assert ROOT / "jobs" / "apps.py" in APP
    assert TEMPLATES


@pytest.mark.parametrize("path", APP, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_app_imports_itself_relatively(path: Path) -> None:
    assert absolute_imports(path) == []
    assert module_names(path) == []


@pytest.mark.parametrize("path", [*APP, *TEMPLATES], ids=lambda path: str(path.relative_to(ROOT)))
def test_the_app_does_not_name_the_products_site(path: Path) -> None:
    assert re.search(r"\bcronzimus_site\b", path.read_text()) is None


@pytest.mark.parametrize("path", APP, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_docstring_begins_with_the_name_of_a_thing(path: Path) -> None:
    assert re.findall(r'^\s*"""(?:What|Those) \w.*', path.read_text(), re.MULTILINE) == []


def test_the_name_of_the_app_is_its_packages() -> None:
    from jobs import apps

    assert (apps.JobsConfig.name, apps.JobsConfig.label) == ("jobs", "cronzimus")
