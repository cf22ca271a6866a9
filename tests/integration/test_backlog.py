"""The backlog, counted from indexes, up to a limit."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.selectors import backlog
from jobs.selectors.backlog import Backlog, due_jobs, waiting_runs
from tests.fakes import NOW, after, make_job, make_jobs, make_run

pytestmark = pytest.mark.django_db


def test_nothing_waits() -> None:
    make_job(next_run_time=after(1))
    make_job("paused", paused=True)
    assert due_jobs(NOW) == waiting_runs(NOW) == Backlog(number=0, oldest=0.0)


def test_jobs_wait_from_their_fire_time() -> None:
    make_job("a", next_run_time=after(-2.5))
    make_job("b", next_run_time=after(-61))
    make_job("c")
    assert due_jobs(NOW) == Backlog(number=3, oldest=61.0, overdue=1)


def test_runs_wait_from_when_they_may_start() -> None:
    make_run(scheduled_time=after(1), queued_at=after(-4))
    make_run(scheduled_time=after(2), queued_at=after(-9), available_at=after(-7))
    make_run(scheduled_time=after(3), queued_at=after(-9), available_at=after(1))
    make_run(scheduled_time=after(4), queued_at=after(-90), scheduler_id="s1")
    assert waiting_runs(NOW) == Backlog(number=2, oldest=7.0)


def test_no_more_is_counted_than_people_need_to_know(monkeypatch: pytest.MonkeyPatch, statements: Any) -> None:
    monkeypatch.setattr(backlog, "MAX_COUNTED", 3)
    make_jobs(5, next_run_time=after(-70))
    make_job("oldest", next_run_time=after(-80))
    for number in range(5):
        make_run(scheduled_time=after(number), queued_at=after(-number))
    with statements() as found:
        assert due_jobs(NOW) == Backlog(number=3, oldest=80.0, overdue=3)
        assert waiting_runs(NOW) == Backlog(number=3, oldest=4.0)
    assert len(found) == 3, "the third one is for runs that were left behind"
