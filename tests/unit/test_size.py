"""Modules have at most 400 lines, and functions at most 40."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE_LINES, FUNCTION_LINES = 400, 40


def modules() -> list[Path]:
    found = [path for folder in ("jobs", "cronzimus_site") for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path.relative_to(ROOT) for path in found if "migrations" not in path.parts]


def long_functions(path: Path) -> list[str]:
    functions = (
        n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return [f"{n.name}: {lines} lines" for n in functions if (lines := n.end_lineno - n.lineno + 1) > FUNCTION_LINES]


def test_there_are_modules_to_look_at() -> None:
    assert Path("jobs/scheduler/scheduler.py") in modules()


@pytest.mark.parametrize("path", modules(), ids=str)
def test_the_module_and_its_functions_are_small(path: Path) -> None:
    assert len((ROOT / path).read_text().splitlines()) <= MODULE_LINES
    assert long_functions(ROOT / path) == []
