"""The policies of jobs at work: queues, replacements, retries, and limits over all schedulers.

They are the same for runs in a scheduler and for runs on workers: nearly all tests run with both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from jobs.core.alerts import IncidentKind
from jobs.core.runs import DISPATCHED, RunStatus, RunTrigger
from jobs.models import Incident, Job, Run
from jobs.scheduler.executors import local_executors
from jobs.scheduler.scheduler import Scheduler as Loop
from jobs.scheduler.store import claims, recovery
from tests import job_functions
from tests.fakes import (
    NOW,
    ON_WORKERS,
    PLACE,
    FakeClock,
    RunningClock,
    after,
    make_job,
    make_jobs,
    make_run,
    make_scheduler,
    make_worker,
)

from . import loop_support
from .conftest import in_thread
from .loop_support import HOURLY, Calls, MakeLoop, executor, statuses

pytestmark = pytest.mark.django_db(transaction=True)

RETRIES = {"max": 2, "delay": 30, "backoff": 2, "max_delay": 3600, "jitter": 0}


@pytest.fixture(autouse=True, params=["in a scheduler", "on workers"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the jobs and runs of a test run."""
    if request.param == "on workers":
        for name, value in ON_WORKERS.items():
            monkeypatch.setitem(PLACE, name, value)
    return str(request.param)


HERE = pytest.mark.parametrize("place", ["in a scheduler"], indirect=True)
THERE = pytest.mark.parametrize("place", ["on workers"], indirect=True)


def room(count: int) -> dict[str, int]:
    """Return the capacity of a claim for so many runs."""
    return {"celery:reports" if PLACE else "thread": count}


def make_holder(name: str = "another", **fields: Any) -> None:
    """Write another scheduler, or another worker, that may hold runs."""
    make_worker(name, queues=["another"], **fields) if PLACE else make_scheduler(name, **fields)


settle = partial(loop_support.settle, seconds=0.1)
"""A run ends, and may be recorded, a tenth of a second after it started."""


# --- queue -----------------------------------------------------------------------------------------------------------


def test_fire_times_queue_up_to_the_limit_and_run_in_order(make_loop: MakeLoop, clock: FakeClock) -> None:
    make_job(overlap="queue", queue_limit=2)
    loop = make_loop()
    for _ in range(4):
        loop.tick.run()
        clock.advance(10)
    assert statuses() == ["queued", "queued", "queued", "skipped"]
    assert Run.objects.filter(scheduler_id__isnull=False, status="queued").count() == 1
    Job.objects.update(next_run_time=None)
    settle(loop, ticks=4)
    assert statuses() == ["succeeded", "succeeded", "succeeded", "skipped"]
    started = Run.objects.filter(status="succeeded").order_by("started_at")
    assert [run.scheduled_time for run in started] == [NOW, after(10), after(20)]


def test_a_queue_never_starts_more_than_max_instances_at_once(make_loop: MakeLoop) -> None:
    make_job(overlap="queue", coalesce=False, max_instances=2, next_run_time=after(-60), anchor=after(-70))
    loop = make_loop(threads=10)
    peak = 0
    for _ in range(6):
        loop.tick.run()
        peak = max(peak, executor(loop).queued)
        executor(loop).work()
        loop.clock.advance(0.1)  # type: ignore[attr-defined]
    loop.tick.run()
    assert (peak, statuses()) == (2, ["succeeded"] * 7)


# --- replace ---------------------------------------------------------------------------------------------------------


def test_a_new_run_replaces_the_oldest_and_starts_after_it_ended(make_loop: MakeLoop) -> None:
    make_holder()
    old = make_run(status=RunStatus.RUNNING, scheduler_id="another", scheduled_time=after(-10))
    make_job(overlap="replace")
    loop = make_loop()
    for _ in range(3):
        loop.tick.run()
    old.refresh_from_db()
    assert (old.status, old.cancel_requested_at) == (RunStatus.RUNNING, NOW)
    assert old.reason == "replaced by a newer run of its job"
    assert executor(loop).queued == 0
    Run.objects.filter(pk=old.pk).update(status=RunStatus.CANCELLED, finished_at=NOW)
    loop.clock.advance(0.2)  # type: ignore[attr-defined]
    settle(loop)
    assert statuses() == ["cancelled", "succeeded"]


@pytest.mark.parametrize("other", [0, 1])
def test_a_run_in_the_last_slot_is_replaced(make_loop: MakeLoop, clock: FakeClock, other: int) -> None:
    make_job(overlap="replace")
    loop = make_loop(threads=1, processes=other)
    loop.tick.run()
    (old,) = Run.objects.all()
    executor(loop).begin()
    clock.advance(10)
    loop.tick.run()
    old.refresh_from_db()
    assert old.reason == "replaced by a newer run of its job"
    assert statuses() == ["running", "queued"]


def test_a_fire_time_that_is_missed_as_the_last_slot_is_replaced_opens_an_incident(
    make_loop: MakeLoop, clock: FakeClock
) -> None:
    make_job(overlap="replace", misfire_grace_time=6, coalesce=False)
    loop = make_loop(threads=1)
    loop.tick.run()
    executor(loop).begin()
    clock.advance(25)
    loop.tick.run()
    assert sorted(statuses()) == ["missed", "queued", "running"]
    assert Incident.objects.get().kind == IncidentKind.NOT_RUN


def test_a_full_scheduler_claims_only_jobs_that_replace_a_run(make_loop: MakeLoop, clock: FakeClock) -> None:
    make_job("busy", func="tests:echo", next_run_time=NOW)
    loop = make_loop(threads=1)
    loop.tick.run()
    make_job("other", overlap="replace", next_run_time=after(1))
    clock.advance(2)
    loop.tick.run()
    assert statuses(job_id="other") == []


def test_a_run_that_has_not_started_is_replaced_without_being_called(
    make_loop: MakeLoop, clock: FakeClock, calls: Calls
) -> None:
    make_job(overlap="replace")
    loop = make_loop()
    loop.tick.run()
    clock.advance(10)
    loop.tick.run()
    settle(loop)
    assert statuses() == ["cancelled", "succeeded"]
    assert len(calls) == 1


def test_a_run_is_replaced_although_the_scheduler_dies_after_the_claim(
    make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_holder()
    old = make_run(status=RunStatus.RUNNING, scheduler_id="another", scheduled_time=after(-10))
    make_job(overlap="replace")
    loop = make_loop()

    def die(*args: Any) -> None:
        raise SystemExit

    monkeypatch.setattr(loop.tick, "_written", die)  # the claim is committed by then
    with pytest.raises(SystemExit):
        loop.tick.run()
    old.refresh_from_db()
    assert statuses() == ["running", "queued"]
    assert (old.cancel_requested_at, old.reason) == (NOW, "replaced by a newer run of its job")


# --- max_runs --------------------------------------------------------------------------------------------------------


def test_a_job_ends_after_max_runs(make_loop: MakeLoop, clock: FakeClock) -> None:
    make_job(max_runs=2)
    loop = make_loop()
    for _ in range(4):
        settle(loop)
        clock.advance(9.7)
    job = Job.objects.get()
    assert statuses() == ["succeeded", "succeeded"]
    assert (job.next_run_time, job.claimed_count) == (None, 2)


# --- retries ---------------------------------------------------------------------------------------------------------


def test_a_failed_run_is_retried_after_its_delay(make_loop: MakeLoop, clock: FakeClock) -> None:
    make_job(func="tests:fail", trigger=HOURLY, retries=RETRIES)
    loop = make_loop()
    settle(loop)
    first, second = Run.objects.order_by("id")
    assert (second.status, second.attempt, second.trigger) == (RunStatus.QUEUED, 2, RunTrigger.RETRY)
    assert (second.scheduled_time, second.scheduler_id) == (first.scheduled_time, None)
    assert timedelta(seconds=30) <= second.available_at - first.finished_at <= timedelta(seconds=30.2)
    settle(loop)
    assert statuses() == ["failed", "queued"]
    clock.advance(30)
    settle(loop)
    assert statuses() == ["failed", "failed", "queued"]


def test_a_run_is_retried_at_most_max_times(make_loop: MakeLoop, clock: FakeClock) -> None:
    make_job(func="tests:fail", trigger=HOURLY, retries=RETRIES)
    loop = make_loop()
    for _ in range(10):
        settle(loop)
        clock.advance(100)
    assert statuses() == ["failed"] * 3
    assert list(Run.objects.order_by("id").values_list("attempt", flat=True)) == [1, 2, 3]
    assert Job.objects.get().failure_count == 3


def test_a_run_that_succeeds_is_not_retried(make_loop: MakeLoop) -> None:
    make_job(retries=RETRIES, trigger=HOURLY)
    settle(make_loop())
    assert statuses() == ["succeeded"]


def test_a_run_that_a_person_asked_for_is_retried_too(make_loop: MakeLoop) -> None:
    make_job(func="tests:fail", retries=RETRIES, next_run_time=None)
    make_run(func="tests:fail", args=["mine"], trigger=RunTrigger.MANUAL)
    settle(make_loop())
    again = Run.objects.get(attempt=2)
    assert (again.args, again.trigger) == (["mine"], RunTrigger.RETRY)


def recover(now: datetime) -> None:
    """Find dead schedulers and workers."""
    recovery.recover(now, lambda: now)
    recovery.recover_workers(now, lambda: now)


@HERE
def test_a_lost_run_that_has_not_started_is_retried() -> None:
    assert_is_retried_when_lost(RunStatus.QUEUED)


def test_a_lost_run_is_retried() -> None:
    assert_is_retried_when_lost(RunStatus.RUNNING)


def assert_is_retried_when_lost(status: RunStatus) -> None:
    make_holder("dead", lease_until=NOW)
    make_job(retries=RETRIES, next_run_time=None)
    make_run(status=status, scheduler_id="dead", args=[1])
    recover(after(1))
    again = Run.objects.get(status=RunStatus.QUEUED)
    assert (again.attempt, again.available_at, again.args, again.scheduler_id) == (2, after(31), [1], None)


@THERE
def test_a_run_on_its_way_to_a_worker_is_not_lost() -> None:
    make_holder("dead", lease_until=NOW)
    make_job(retries=RETRIES, next_run_time=None)
    make_run(scheduler_id=DISPATCHED)
    recover(after(1))
    assert statuses() == ["queued"]


def test_a_lost_run_of_a_job_without_retries_is_not_retried() -> None:
    make_holder("dead", lease_until=NOW)
    make_job(next_run_time=None)
    make_run(status=RunStatus.RUNNING, scheduler_id="dead")
    recover(after(1))
    assert statuses() == ["lost"]


def test_the_schedule_goes_on_while_a_retry_waits_for_its_delay(make_loop: MakeLoop) -> None:
    make_job(func="tests:fail", retries={**RETRIES, "delay": 3600})
    loop = make_loop()
    settle(loop)
    loop.clock.advance(10)  # type: ignore[attr-defined]
    settle(loop)
    assert statuses(attempt=1) == ["failed", "failed"]
    assert statuses(attempt=2) == ["queued", "queued"]


def test_a_retry_whose_delay_is_over_counts_as_active(make_loop: MakeLoop) -> None:
    make_run(attempt=2, scheduled_time=after(-60), available_at=NOW, priority=-1)
    make_job()
    claims.claim_due("s1", room(1), NOW)
    assert statuses() == ["queued", "skipped"]


@pytest.mark.parametrize("damaged", [5, "x", [1], {"max": "many"}, {"min": 1}, {"max": 1, "delay": None}], ids=repr)
def test_damaged_retries_do_not_keep_outcomes_from_being_written(make_loop: MakeLoop, damaged: Any) -> None:
    make_job(func="tests:fail", retries=damaged, trigger=HOURLY)
    make_job("good", func="tests:fail", retries=RETRIES, trigger=HOURLY)
    settle(make_loop())
    assert statuses(job_id="job") == ["failed"]
    assert statuses(job_id="good") == ["failed", "queued"]


# --- priority --------------------------------------------------------------------------------------------------------


def test_the_waiting_run_of_higher_priority_starts_first(make_loop: MakeLoop, calls: Calls) -> None:
    for number, priority in enumerate([0, 5, -5, 9, 5]):
        make_run(f"job-{number}", priority=priority, args=[number])
    loop = make_loop(threads=1)
    settle(loop, ticks=6)
    assert calls == [(3,), (1,), (4,), (0,), (2,)]


def test_the_due_job_of_higher_priority_starts_first() -> None:
    for number, priority in enumerate([0, 5, -5, 9]):
        make_job(f"job-{number}", priority=priority, next_run_time=after(-number))
    claimed = claims.claim_due("s1", room(2), NOW)
    assert {run.job_id for run in claimed.runs} == {"job-3", "job-1"}


@pytest.mark.parametrize("count", range(1, 8))
def test_among_jobs_of_one_priority_the_ones_due_longest_come_first(count: int) -> None:
    order = [(9, 0), (5, -2), (5, -1), (0, -7), (0, -3), (-5, -9), (-5, -8)]
    for number, (priority, due) in reversed(list(enumerate(order))):
        make_job(f"job-{number}", priority=priority, next_run_time=after(due))
    claimed = claims.claim_due("s1", room(count), NOW)
    assert [run.job_id for run in claimed.runs] == [f"job-{number}" for number in range(count)]


def test_a_job_of_high_priority_is_claimed_before_a_long_backlog() -> None:
    make_jobs(50, next_run_time=after(-60))
    make_job("urgent", priority=1)
    assert [run.job_id for run in claims.claim_due("s1", room(1), NOW).runs] == ["urgent"]


def test_a_run_has_the_priority_and_the_timeout_of_its_job() -> None:
    make_job(priority=7, timeout=5, concurrency_group="g")
    claims.claim_due("s1", {"process": 1, **room(1)}, NOW)
    run = Run.objects.get()
    executor = "celery" if PLACE else "process"
    assert (run.priority, run.timeout, run.executor, run.concurrency_group) == (7, 5, executor, "g")


@HERE
def test_jobs_are_claimed_only_for_executors_with_capacity() -> None:
    make_job("a")
    make_job("b", executor="process")
    make_job("c", timeout=5)
    assert [run.job_id for run in claims.claim_due("s1", {"thread": 5, "process": 0}, NOW).runs] == ["a"]
    assert {run.job_id for run in claims.claim_due("s1", {"thread": 0, "process": 5}, NOW).runs} == {"b", "c"}


# --- misfires --------------------------------------------------------------------------------------------------------


def test_a_fire_time_that_nobody_had_room_for_in_time_is_missed(make_loop: MakeLoop, clock: FakeClock) -> None:
    make_job("first", func="tests:echo", trigger=HOURLY)
    make_job("late", misfire_grace_time=5, trigger=HOURLY, next_run_time=after(1), anchor=after(-3599))
    make_job("patient", misfire_grace_time=None, trigger=HOURLY, next_run_time=after(1), anchor=after(-3599))
    loop = make_loop(threads=1)
    loop.tick.run()
    executor(loop).begin()
    clock.advance(10)
    loop.tick.run()
    assert statuses() == ["running"], "the others stay due"
    Run.objects.update(status=RunStatus.SUCCEEDED, finished_at=clock.now())
    executor(loop).forget_begun()
    settle(loop)
    assert (statuses(job_id="late"), statuses(job_id="patient")) == (["missed"], ["succeeded"])


# --- over all schedulers ---------------------------------------------------------------------------------------------


@pytest.fixture
def peaks() -> Iterator[Counter[str]]:
    """The highest number of simultaneous calls of "tests:meet", by name."""
    job_functions.peaks.clear()
    yield job_functions.peaks


def run_two_schedulers() -> None:
    ended = [in_thread(Loop(local_executors(4, 1), RunningClock()).run_once) for _ in range(2)]  # type: ignore[arg-type]
    for end in ended:
        end()


@HERE
def test_a_group_never_has_more_runs_than_its_limit_over_all_schedulers(peaks: Counter[str]) -> None:
    for number in range(20):
        make_job(f"job-{number}", func="tests:meet", args=["group"], concurrency_group="g", concurrency_limit=2,
                 trigger=HOURLY)  # fmt: skip
    run_two_schedulers()
    assert statuses() == ["succeeded"] * 20
    assert 1 <= peaks["group"] <= 2


@HERE
def test_a_job_never_has_more_than_max_instances_over_all_schedulers(peaks: Counter[str]) -> None:
    make_job(func="tests:meet", args=["job"], overlap="queue", queue_limit=100, coalesce=False, max_instances=3,
             next_run_time=after(-19 * 3600), anchor=after(-20 * 3600), trigger=HOURLY)  # fmt: skip
    run_two_schedulers()
    assert statuses() == ["succeeded"] * 20
    assert 1 <= peaks["job"] <= 3


def most_at_once(loops: list[Loop], wanted: int) -> int:
    """Let schedulers tick in turn until so many runs have succeeded; return how many were active at once, at most."""
    most = 0
    for _ in range(10 * wanted):
        for loop in loops:
            loop.tick.run()
            most = max(most, Run.objects.active().filter(scheduler_id__isnull=False).count())
        for loop in loops:
            executor(loop).work(1)
            loop.tick.run()
        loops[0].clock.advance(0.1)  # type: ignore[attr-defined]
    assert statuses() == ["succeeded"] * wanted
    return most


def test_a_group_has_no_more_active_runs_than_its_limit(make_loop: MakeLoop) -> None:
    for number in range(10):
        make_job(f"job-{number}", concurrency_group="g", concurrency_limit=3, trigger=HOURLY)
    assert most_at_once([make_loop(), make_loop()], 10) == 3


def test_a_job_has_no_more_active_runs_than_max_instances(make_loop: MakeLoop) -> None:
    make_job(overlap="queue", queue_limit=100, coalesce=False, max_instances=3, max_runs=10, next_run_time=after(-90),
             anchor=after(-100))  # fmt: skip
    assert most_at_once([make_loop(), make_loop()], 10) == 3
