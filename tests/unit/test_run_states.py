"""The diagram of a run's states: the way that it took is lit, and no other."""

from __future__ import annotations

import re

import pytest

from jobs.admin.runs.states import diagram
from jobs.models import Run
from tests.fakes import NOW


def run(status: str, *, attempt: int = 1, started: bool = True) -> Run:
    return Run(status=status, attempt=attempt, scheduled_time=NOW, started_at=NOW if started else None)


def lit(svg: str) -> list[str]:
    """Return the words of the lit boxes."""
    return re.findall(r'<g class="box lit[^"]*">.*?<text[^>]*>([^<]*)', svg)


@pytest.mark.parametrize(
    ("status", "started", "words"),
    [
        ("queued", False, ["due", "queued"]),
        ("running", True, ["due", "queued", "running"]),
        ("succeeded", True, ["due", "queued", "running", "succeeded"]),
        ("timed_out", True, ["due", "queued", "running", "timed out"]),
        ("cancelled", True, ["due", "queued", "running", "cancelled"]),
        ("cancelled", False, ["due", "queued", "cancelled"]),
        ("missed", False, ["due", "missed"]),
        ("skipped", False, ["due", "skipped"]),
    ],
)
def test_the_way_is_lit(status: str, started: bool, words: list[str]) -> None:
    svg = diagram(run(status, started=started), [])
    assert lit(svg) == words
    assert svg.count('class="way lit"') == len(words) - 1
    assert f'aria-label="Its way: {", ".join(words)}"' in svg


def test_only_the_last_state_has_its_colour() -> None:
    assert re.findall(r"state-\w+", diagram(run("failed"), [])) == ["state-failed"]


def test_a_later_attempt_came_by_the_way_back() -> None:
    first, second = run("failed"), run("succeeded", attempt=2)
    assert 'class="way lit" d="M340 143V158H140V83"' in diagram(second, [first, second])
    assert "before it, 1 attempt" in diagram(second, [first, second])
    assert 'class="way" d="M340 143V158H140V83"' in diagram(first, [first, second])


def test_a_damaged_status_has_no_diagram() -> None:
    assert diagram(run("nonsense"), []) == ""
