"""Every SQL statement of the scheduler's process is in `jobs/scheduler/store/`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCHEDULER = ROOT / "jobs" / "scheduler"
SQL_CALLS = {"cursor", "execute", "executemany", "executescript", "raw", "extra", "callproc"}


def modules() -> list[Path]:
    return [path for path in sorted(SCHEDULER.rglob("*.py")) if SCHEDULER / "store" not in path.parents]


def sql_calls(source: str) -> list[str]:
    calls = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [
        f"line {call.lineno}: {call.attr}()"
        for call in calls
        if isinstance(call, ast.Attribute) and call.attr in SQL_CALLS
    ]


@pytest.mark.parametrize(
    "source", ["connection.cursor()", "watched.execute('LISTEN x')", "Job.objects.raw('SELECT 1')"]
)
def test_a_statement_is_noticed(source: str) -> None:
    assert sql_calls(source)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_outside_of_the_store_has_no_sql(path: Path) -> None:
    assert sql_calls(path.read_text()) == []
