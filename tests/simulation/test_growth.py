"""Several schedulers and many jobs on one database: they share the work, and go on with that of one that dies."""

from __future__ import annotations

from collections import Counter

from jobs.models import Run

from .conftest import Begin
from .history import History
from .plans import JobPlan

JOBS, SCHEDULERS, INTERVAL = 50, 4, 100
DUE = INTERVAL - 0.1
"""Seconds after the beginning: just before all jobs are due at once."""


def grown(begin: Begin) -> History:
    """Begin a history of many jobs with several schedulers, just before the first fire time of all."""
    job = JobPlan(executor="thread", interval=INTERVAL, seconds=0.5, retries=1)
    history = begin(*[job] * JOBS, schedulers=SCHEDULERS, workers=0)
    history.go_on(DUE)
    return history


def test_all_schedulers_take_a_part_of_what_is_due_at_once(begin: Begin) -> None:
    history = grown(begin)
    history.go_on(5.0)
    shares = Counter(Run.objects.filter(status="succeeded").values_list("scheduler_id", flat=True))
    assert shares.total() == JOBS
    assert len(shares) == SCHEDULERS
    assert history.verdict() == []


def test_what_dead_schedulers_held_is_tried_again_by_the_others(begin: Begin) -> None:
    history = grown(begin)
    history.go_on(0.3)
    history.kill(0)
    history.strike(1, "pause", 1, 40.0)
    history.go_on(60.0)
    assert Counter(Run.objects.values_list("status", flat=True)).keys() == {"succeeded", "lost"}
    assert Run.objects.filter(status="succeeded").values("job_id").distinct().count() == JOBS
    assert history.verdict() == []
