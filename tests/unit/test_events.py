"""Events are made only for somebody who hears them."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.core.planning import PlannedRun
from jobs.core.runs import RunStatus
from jobs.scheduler.events import Events
from tests.fakes import NOW, held_run, outcome


@pytest.mark.parametrize("is_heard", [True, False])
def test_events_are_made_only_while_somebody_hears_them(is_heard: bool) -> None:
    told: list[Any] = []
    events = Events(told.append, lambda: is_heard)
    events.submitted([held_run(1)])
    events.finished(outcome())
    events.born_finished([
        ("job", PlannedRun(scheduled_time=NOW, status=status)) for status in (RunStatus.SKIPPED, RunStatus.MISSED)
    ])  # fmt: skip
    assert len(told) == (4 if is_heard else 0)
