"""The scheduler prunes while it works: a little at a time, faster while there is more, and every job in turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError

from jobs.core.runs import RunStatus
from jobs.models import Job, Run
from jobs.scheduler import pruner
from jobs.scheduler.pruner import RESCAN_SECONDS, REST_SECONDS, ROUND_SECONDS, SLICE_SECONDS, TIME_SHARE, Pruner
from jobs.scheduler.scheduler import Scheduler as Loop
from tests.fakes import FakeClock, after, make_job, make_run

pytestmark = pytest.mark.django_db

DAY = 86400


def old_runs(job_id: str, count: int = 1, days: float = 5) -> None:
    for number in range(count):
        make_run(job_id, status=RunStatus.SUCCEEDED, scheduled_time=after(-days * DAY - number))


def left(job_id: str) -> int:
    return Run.objects.filter(job_id=job_id).count()


@pytest.fixture
def pruning(clock: FakeClock) -> Pruner:
    """A pruner whose first round is due."""
    made = Pruner(clock)
    clock.advance(ROUND_SECONDS)
    return made


def test_it_waits_for_its_first_round(clock: FakeClock) -> None:
    make_job(keep_days=1)
    old_runs("job")
    made = Pruner(clock)
    clock.advance(ROUND_SECONDS - 0.1)
    assert made.work() == 0
    clock.advance(0.1)
    assert made.work() == 1


def test_each_round_looks_at_the_next_jobs(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    monkeypatch.setattr(pruner, "JOBS_PER_ROUND", 2)
    for name in "abcde":
        make_job(name, keep_days=1)
        old_runs(name)
    made, deleted = Pruner(clock), []
    for _ in range(3):
        clock.advance(ROUND_SECONDS)
        deleted.append(made.work())
    assert deleted == [2, 2, 1]


def test_it_begins_again_after_a_rest(pruning: Pruner, clock: FakeClock) -> None:
    make_job(keep_days=1)
    old_runs("job")
    assert pruning.work() == 1
    old_runs("job")
    clock.advance(REST_SECONDS - ROUND_SECONDS)
    assert pruning.work() == 0
    clock.advance(ROUND_SECONDS)
    assert pruning.work() == 1


def test_it_goes_on_soon_while_there_is_more_and_jobs_take_turns(
    monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    monkeypatch.setattr(pruner, "MAX_BATCH", 2)
    for name, count in (("a", 5), ("b", 3)):
        make_job(name, keep_days=1)
        old_runs(name, count)
    made = Pruner(clock)
    clock.advance(ROUND_SECONDS)
    assert [made.work(), left("a"), left("b")] == [4, 3, 1]
    assert made.due < clock.monotonic() + ROUND_SECONDS
    assert [made.work(), left("a"), left("b")] == [3, 1, 0]
    assert [made.work(), made.due - clock.monotonic()] == [1, ROUND_SECONDS]


def slow(monkeypatch: pytest.MonkeyPatch, clock: FakeClock, seconds: float) -> None:
    """Make each deletion take some seconds."""
    prune_job = pruner.prune_job

    def take_time(*args: Any) -> int:
        clock.advance(seconds)
        return prune_job(*args)

    monkeypatch.setattr(pruner, "prune_job", take_time)


def test_it_stops_after_its_slice_and_rests_in_proportion(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    for name in "abc":
        make_job(name, keep_days=1)
        old_runs(name)
    slow(monkeypatch, clock, SLICE_SECONDS * 0.6)
    made = Pruner(clock)
    clock.advance(ROUND_SECONDS)
    started = clock.monotonic()
    assert made.work() == 2
    assert made.due == pytest.approx(started + SLICE_SECONDS * 1.2 / TIME_SHARE)
    assert made.work() == 0
    clock.advance(SLICE_SECONDS * 1.2 / TIME_SHARE)
    assert made.work() == 1


def test_batches_shrink_while_deleting_is_slow_and_grow_again(
    monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    monkeypatch.setattr(pruner, "MAX_BATCH", 8)
    monkeypatch.setattr(pruner, "MIN_BATCH", 2)
    make_job(keep_days=1)
    old_runs("job", 40)
    made, deleted = Pruner(clock), []
    for seconds in (SLICE_SECONDS * 2, SLICE_SECONDS * 2, SLICE_SECONDS * 2, 0, 0, 0):
        with monkeypatch.context() as patched:
            slow(patched, clock, seconds)
            clock.advance(ROUND_SECONDS)
            deleted.append(made.work())
    assert deleted == [8, 4, 2, 2, 4, 8]


def test_a_raised_limit_counts_at_once(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    monkeypatch.setattr(pruner, "MAX_BATCH", 2)
    make_job(keep_days=1)
    old_runs("job", 5)
    made = Pruner(clock)
    clock.advance(ROUND_SECONDS)
    made.work()
    Job.objects.update(keep_days=None)
    assert [made.work(), left("job")] == [0, 3]


def test_kept_failures_are_read_again_after_an_hour(pruning: Pruner, clock: FakeClock) -> None:
    make_job(keep_days=1, keep_failed_days=90)
    make_run(status=RunStatus.FAILED, scheduled_time=after(-9 * DAY))
    old_runs("job")
    assert pruning.work() == 1
    old_runs("job", days=7)  # as one that ended late
    clock.advance(REST_SECONDS)
    assert pruning.work() == 0
    old_runs("job", days=1 - 2 * REST_SECONDS / DAY)
    clock.advance(REST_SECONDS)
    assert pruning.work() == 1
    clock.advance(RESCAN_SECONDS)
    assert [pruning.work(), left("job")] == [1, 1]


def test_runs_of_removed_jobs_stay_without_default_limits(pruning: Pruner) -> None:
    old_runs("gone")
    assert pruning.work() == 0


def test_job_defaults_limit_the_runs_of_removed_jobs(settings: Any, pruning: Pruner) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"JOB_DEFAULTS": {"keep_days": 4, "keep_failed_days": 30}}
    make_job("there")
    for name in ("a-gone", "gone", "there", "z-gone"):
        old_runs(name, 2)
        old_runs(name, days=3)
        make_run(name, status=RunStatus.FAILED, scheduled_time=after(-20 * DAY))
    assert pruning.work() == 6
    assert [left(name) for name in ("a-gone", "gone", "there", "z-gone")] == [2, 2, 4, 2]


def test_each_round_looks_for_the_next_removed_jobs(
    monkeypatch: pytest.MonkeyPatch, settings: Any, clock: FakeClock
) -> None:
    monkeypatch.setattr(pruner, "IDS_PER_ROUND", 2)
    settings.CRONZIMUS = settings.CRONZIMUS | {"JOB_DEFAULTS": {"keep_days": 1}}
    made, deleted = Pruner(clock), []
    for name in "abcde":
        old_runs(name)
    for _ in range(3):
        clock.advance(ROUND_SECONDS)
        deleted.append(made.work())
    assert deleted == [2, 2, 1]


def test_a_damaged_job_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, pruning: Pruner, caplog: pytest.LogCaptureFixture
) -> None:
    make_job("a", keep_days=1)
    make_job("b", keep_days=1)
    old_runs("b")
    prune_job = pruner.prune_job

    def fail_on_a(job: Job, *args: Any) -> int:
        if job.pk == "a":
            raise ValueError(job.pk)
        return prune_job(job, *args)

    monkeypatch.setattr(pruner, "prune_job", fail_on_a)
    assert pruning.work() == 1
    assert [record.action for record in caplog.records] == ["prune_failed"]  # type: ignore[attr-defined]


def test_after_a_database_error_it_tries_again_a_round_later(
    monkeypatch: pytest.MonkeyPatch, pruning: Pruner, clock: FakeClock
) -> None:
    make_job(keep_days=1)
    old_runs("job")
    with monkeypatch.context() as patched:
        patched.setattr(pruner, "prune_job", lambda *args: (_ for _ in ()).throw(OperationalError("gone")))
        with pytest.raises(OperationalError):
            pruning.work()
    assert pruning.work() == 0
    clock.advance(REST_SECONDS)
    assert pruning.work() == 1


def test_a_round_with_nothing_to_delete_takes_three_statements(pruning: Pruner, statements: Any, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"JOB_DEFAULTS": {"keep_days": 1}}
    for number in range(30):
        make_job(f"j{number}", keep_days=7)
        old_runs(f"j{number}")
    with statements() as found:
        assert pruning.work() == 0
    assert len(found) == 3


@pytest.mark.django_db(transaction=True)
def test_a_scheduler_prunes_as_it_goes(make_loop: Callable[..., Loop], clock: FakeClock) -> None:
    make_job(keep_runs=1, next_run_time=None)
    old_runs("job", 3)
    loop = make_loop()
    clock.advance(5)
    loop.tick.run()
    assert left("job") == 1
