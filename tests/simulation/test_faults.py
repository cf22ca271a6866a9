"""Single faults, each at the worst moment: those that random histories have found, and the basic ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from jobs.models import Run, Scheduler, Worker

from .conftest import Begin
from .history import History
from .machine import CLAIM, END, START
from .plans import JobPlan
from .world import World

REMOTE = JobPlan(executor="celery", interval=10, seconds=2.0)
LOCAL = JobPlan(executor="thread", interval=10, seconds=2.0)
PROCESS = JobPlan(executor="process", interval=10, seconds=2.0)
RETRIED = JobPlan(executor="celery", interval=10, seconds=2.0, retries=1)
EACH = pytest.mark.parametrize("job", [REMOTE, LOCAL, PROCESS], ids=lambda job: job.executor)
FIRST, STARTED = 9.9, 10.5
"""Seconds after the beginning: just before the first fire time, and while its run is running."""
SCHEDULER, WORKER, OTHER_WORKER = 0, 1, 2
"""The numbers of the actors where there are one scheduler and two workers."""


def statuses() -> list[str]:
    """Return the statuses of the runs, the oldest first."""
    return list(Run.objects.order_by("id").values_list("status", flat=True))


def strike_at(history: History, who: int, what: str, kind: str, seconds: float = 0.0, *, after: str = "") -> None:
    """Have a fault hit a process when it comes to a point whose description has `what`, `after` another one."""
    history.strike(who, kind, 1, seconds, what, after)


def failing(job: JobPlan) -> JobPlan:
    """Return a job whose function fails, and is tried again once."""
    return replace(job, fails=True, retries=1, seconds=0.3)


@EACH
def test_without_a_fault_every_fire_time_runs(begin: Begin, job: JobPlan) -> None:
    history = begin(job, schedulers=1)
    history.go_on(35.0)
    assert statuses() == ["succeeded"] * 3
    assert history.verdict() == []


@EACH
def test_a_run_that_fails_is_tried_again(begin: Begin, job: JobPlan) -> None:
    history = begin(failing(job), schedulers=1)
    history.go_on(18.0)
    assert statuses() == ["failed", "failed"]
    assert history.verdict() == []


@EACH
def test_after_the_lost_answer_of_a_claim_its_run_runs_once(begin: Begin, job: JobPlan) -> None:
    history = begin(job, schedulers=1)
    strike_at(history, SCHEDULER, "after COMMIT", "sever", after=CLAIM)
    history.go_on(18.0)
    assert (statuses(), len(history.stage.calls)) == (["succeeded"], 1)
    assert history.verdict() == []


@EACH
@pytest.mark.parametrize("what", [f"after {CLAIM}", "after UPDATE cronzimus_job SET next_run_time"])
def test_a_scheduler_that_is_killed_in_the_middle_of_a_claim_leaves_the_fire_time_due(
    begin: Begin, job: JobPlan, what: str
) -> None:
    history = begin(job, schedulers=1)
    strike_at(history, SCHEDULER, what, "crash")
    history.go_on(FIRST + 0.5)
    assert statuses() == []
    history.start()
    history.go_on(5.0)
    assert statuses() == ["succeeded"]
    assert history.verdict() == []


def test_what_a_killed_scheduler_has_not_published_another_one_publishes(begin: Begin) -> None:
    history = begin(REMOTE, schedulers=2)
    history.go_on(FIRST)
    for who in (0, 1):
        strike_at(history, who, "before a message", "crash")
    history.go_on(1.0)
    history.start()
    history.go_on(15.0)
    assert statuses()[0] == "succeeded"
    assert history.verdict() == []


def test_a_message_without_an_answer_is_sent_again_and_starts_one_run(begin: Begin) -> None:
    history = begin(REMOTE, schedulers=1)
    history.go_on(FIRST)
    history.hold_messages(3.0)
    strike_at(history, SCHEDULER, "after a message", "sever")
    history.go_on(8.0)
    assert (len(history.stage.broker.ever), len(history.stage.calls)) == (2, 1)
    assert history.verdict() == []


@pytest.mark.parametrize("pushes", [False, True], ids=["redis", "rabbitmq"])
def test_a_worker_whose_broker_is_gone_waits_before_it_connects_again(begin: Begin, pushes: bool) -> None:
    history = begin(REMOTE, schedulers=1, pushes=pushes)
    strike_at(history, WORKER, "a message", "gone", 8.0)
    history.go_on(90.0)
    assert statuses()[0] == "succeeded"
    assert history.verdict() == []


def test_what_piles_up_behind_a_lost_message_runs_in_time_again(begin: Begin) -> None:
    history = begin(replace(REMOTE, interval=6, overlap="queue"), schedulers=1, workers=1)
    history.go_on(5.0)
    history.hold_messages(8.0)
    history.go_on(3.0)
    history.lose_message(0)
    history.go_on(3.0)
    assert history.verdict() == []


@pytest.mark.parametrize("pushes", [False, True], ids=["redis", "rabbitmq"])
def test_a_message_that_comes_five_times_starts_one_run(begin: Begin, pushes: bool) -> None:
    history = begin(REMOTE, schedulers=1, pushes=pushes)
    history.go_on(STARTED)
    for _ in range(5):
        history.repeat_message(0)
    history.go_on(8.0)
    history.repeat_message(0)
    history.go_on(1.0)
    assert (statuses(), len(history.stage.calls)) == (["succeeded"], 1)
    assert history.verdict() == []


def test_a_lost_message_is_sent_again_after_a_minute(begin: Begin) -> None:
    history = begin(JobPlan(executor="celery", interval=200), schedulers=1)
    history.hold_messages(300.0)
    history.go_on(201.0)
    history.lose_message(0)
    history.stage.broker.hold_until = 0.0
    history.go_on(59.0)
    assert statuses() == ["queued"]
    history.go_on(5.0)
    assert statuses() == ["succeeded"]


@pytest.mark.parametrize("kind", ["sever", "gone"])
def test_after_the_lost_answer_of_a_start_its_run_runs_once(begin: Begin, kind: str) -> None:
    history = begin(REMOTE, schedulers=1, workers=1)
    history.go_on(FIRST)
    strike_at(history, WORKER, f"after {START}", kind, 3.0)
    history.go_on(9.0)
    assert (statuses(), len(history.stage.calls)) == (["succeeded"], 1)
    assert history.verdict() == []


def test_a_run_that_is_cancelled_after_the_lost_answer_of_its_start_ends(begin: Begin) -> None:
    history = begin(REMOTE, schedulers=1, workers=1)
    history.go_on(FIRST)
    strike_at(history, WORKER, f"after {START}", "gone", 3.0)
    history.go_on(1.0)
    history.cancel(0)
    history.go_on(6.0)
    assert statuses() == ["cancelled"]
    assert history.verdict() == []


@EACH
def test_after_the_lost_answer_of_an_outcome_it_counts_once(begin: Begin, job: JobPlan) -> None:
    history = begin(job, schedulers=1, workers=1)
    history.go_on(STARTED)
    who = WORKER if job is REMOTE else SCHEDULER
    strike_at(history, who, "after COMMIT", "sever", after=END)
    history.go_on(6.4)
    assert statuses() == ["succeeded"]
    assert history.verdict() == []


@pytest.mark.parametrize("job", [RETRIED, JobPlan(executor="thread", seconds=2.0, retries=1)], ids=["celery", "thread"])
def test_the_runs_of_a_killed_process_are_lost_and_tried_again(begin: Begin, job: JobPlan) -> None:
    history = begin(job, schedulers=1, workers=1)
    history.go_on(STARTED)
    history.kill(WORKER if job is RETRIED else SCHEDULER)
    history.go_on(1.0)
    history.start()
    history.go_on(24.0)
    assert statuses()[0] == "lost"
    assert Run.objects.filter(attempt=2).exists()
    assert history.verdict() == []


@pytest.mark.parametrize("job", [LOCAL, PROCESS], ids=lambda job: job.executor)
@pytest.mark.parametrize("what", ["after COMMIT", "a queue"])
def test_a_scheduler_that_stands_still_beyond_its_lease_starts_nothing_of_what_it_held(
    begin: Begin, job: JobPlan, what: str
) -> None:
    history = begin(job, schedulers=2)
    history.go_on(1.0)
    for who in range(2):
        strike_at(history, who, what, "pause", 25.0, after=CLAIM)
    history.go_on(FIRST)
    for actor in history.actors:
        actor.process.fault = None
    history.go_on(40.0)
    assert (statuses()[0], history.stage.calls[0].scheduled_time > Run.objects.earliest("id").scheduled_time) == (
        "lost", True
    )  # fmt: skip
    assert history.verdict() == []


@pytest.mark.parametrize("what", [f"after {START}", "a queue"])
def test_a_worker_that_stands_still_beyond_its_lease_calls_nothing_of_what_it_started(begin: Begin, what: str) -> None:
    history = begin(REMOTE, schedulers=1, workers=1)
    strike_at(history, WORKER, what, "pause", 30.0, after=START)
    history.go_on(FIRST + 50.0)
    first = Run.objects.earliest("id")
    assert first.status == "lost"
    assert first.scheduled_time not in {call.scheduled_time for call in history.stage.calls}
    assert history.verdict() == []


def test_the_late_outcome_of_a_worker_that_stood_still_is_refused(begin: Begin) -> None:
    history = begin(RETRIED, schedulers=1, workers=1)
    history.go_on(STARTED)
    history.stood_still = True
    history.world.pause(history.workers[0].process, 40.0)
    history.go_on(60.0)
    first = Run.objects.earliest("id")
    assert (first.status, first.output) == ("lost", "")
    assert history.verdict() == []


@pytest.mark.parametrize("seconds", [3600.0, -20.0])
@pytest.mark.parametrize("job", [REMOTE, LOCAL, PROCESS], ids=lambda job: job.executor)
def test_when_the_clock_is_set_no_living_process_is_given_up(begin: Begin, job: JobPlan, seconds: float) -> None:
    history = begin(replace(job, seconds=25.0, interval=60), schedulers=2)
    history.go_on(61.0)
    history.set_clock(seconds)
    history.go_on(50.0)
    assert statuses()[0] == "succeeded"
    assert not Scheduler.objects.exclude(stopped_at=None).exists()
    assert not Worker.objects.exclude(stopped_at=None).exists()


def test_a_run_that_waits_for_the_broker_is_not_lost(begin: Begin) -> None:
    history = begin(REMOTE, schedulers=1)
    history.go_on(FIRST)
    history.lose_broker(30.0, silent=True)
    history.go_on(20.0)
    assert statuses() == ["queued", "skipped"]
    assert history.verdict() == []


@pytest.mark.parametrize("silent", [False, True], ids=["closed", "silent"])
@pytest.mark.parametrize("second", [60.5, 61.0, 64.9])
def test_a_worker_without_its_database_ends_its_runs_with_its_lease(begin: Begin, second: float, silent: bool) -> None:
    history = begin(JobPlan(executor="celery", interval=60, seconds=50.0), schedulers=1, workers=1)
    history.go_on(second)
    setattr(history.workers[0].process, "silent_until" if silent else "gone_until", history.world.monotonic + 30.0)
    history.go_on(40.0)
    (call,), run = history.stage.calls, Run.objects.get()
    assert run.status == "lost"
    assert call.ended_at is not None and run.finished_at is not None and call.ended_at <= run.finished_at


def test_a_worker_whose_database_is_gone_looks_for_it_every_two_seconds(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, reach = list[float](), World.reach

    def note(world: World, what: str, lose: Callable[[], Exception] | None = None) -> None:
        if what == "connecting" and world.task is not None and world.task.process is worker:
            tried.append(world.monotonic)
        reach(world, what, lose)

    history = begin(JobPlan(executor="celery", interval=600), schedulers=1, workers=1)
    history.go_on(20.0)
    worker = history.workers[0].process
    worker.gone_until = history.world.monotonic + 30.0
    monkeypatch.setattr(World, "reach", note)
    history.go_on(30.0)
    waits = [second - first for first, second in pairwise(tried)]
    assert waits[:3] == pytest.approx([0.4, 0.8, 1.6], abs=0.1)
    assert max(waits) == pytest.approx(2.0, abs=0.1)


def test_a_scheduler_that_is_still_stopping_is_started_again_before_a_history_is_judged(begin: Begin) -> None:
    history = begin(REMOTE, JobPlan(executor="thread", interval=6, seconds=7.0), schedulers=1, workers=1)
    history.go_on(7.0)
    history.stop(SCHEDULER)
    assert history.verdict() == []


def test_a_process_that_is_killed_fails_its_run_and_no_other(begin: Begin) -> None:
    history = begin(REMOTE, schedulers=1, workers=1)
    history.go_on(STARTED)
    history.kill_children(WORKER)
    history.go_on(13.0)
    assert statuses() == ["failed", "succeeded"]
    assert history.verdict() == []


@pytest.mark.parametrize("pushes", [False, True], ids=["redis", "rabbitmq"])
def test_a_busy_worker_that_stops_leaves_the_messages_that_it_does_not_need(begin: Begin, pushes: bool) -> None:
    long = JobPlan(executor="celery", interval=60, seconds=6.0)
    history = begin(long, long, schedulers=1, workers=1, pushes=pushes)
    history.go_on(62.0)
    assert statuses() == ["running", "running"], "all slots are busy"
    for _ in range(3):
        history.repeat_message(0)
    history.go_on(1.0)
    history.stop(WORKER)
    history.go_on(10.0)
    assert statuses() == ["succeeded", "succeeded"]
    assert len(history.stage.broker.waiting) == 3
    assert history.verdict() == []


@pytest.mark.parametrize("pushes", [False, True], ids=["redis", "rabbitmq"])
def test_a_worker_whose_processes_do_not_start_leaves_the_runs_to_others_and_serves_again(
    begin: Begin, pushes: bool
) -> None:
    history = begin(REMOTE, schedulers=1, workers=2, pushes=pushes)
    history.go_on(FIRST)
    history.lack_memory(WORKER, 60.0)
    history.go_on(55.0)
    assert set(statuses()) == {"succeeded"}
    assert sorted(Worker.objects.values_list("slots", flat=True)) == [0, 2]
    history.go_on(40.0)
    assert set(Worker.objects.values_list("slots", flat=True)) == {2}
    assert history.verdict() == []


@pytest.mark.parametrize(
    "reading", ['before UPDATE "cronzimus_scheduler" SET "heartbeat_at"', "before COMMIT"], ids=["loop", "publisher"]
)
def test_a_scheduler_that_stood_still_while_it_looked_for_dead_ones_gives_no_living_one_up(
    begin: Begin, reading: str
) -> None:
    history = begin(LOCAL, REMOTE, schedulers=2, workers=1)
    history.go_on(20.5)
    strike_at(history, SCHEDULER, "BEGIN", "pause", 20.0, after=reading)
    history.go_on(30.0)
    frozen = Scheduler.objects.exclude(stopped_at=None).values_list("started_at", flat=True)
    assert (len(frozen), Worker.objects.exclude(stopped_at=None).count()) == (1, 0)
    assert history.verdict() == []


def test_a_scheduler_whose_next_write_is_due_to_the_last_bit_does_not_go_round(begin: Begin) -> None:
    history = begin(replace(LOCAL, interval=6, fails=True, retries=1, overlap="queue"), schedulers=1, workers=0)
    for seconds in (1.0, 3.0, 3.0, 3.0):  # rounding makes the moment
        history.go_on(seconds)
    history.stop(SCHEDULER)
    assert history.verdict() == []


def test_a_scheduler_that_stood_still_while_it_looked_for_waiting_runs_takes_them_soon(begin: Begin) -> None:
    history = begin(replace(REMOTE, interval=6, seconds=0.0, overlap="queue"), schedulers=1, workers=1)
    history.go_on(11.9)
    strike_at(history, WORKER, "a message", "crash")
    history.go_on(6.2)
    strike_at(history, SCHEDULER, "before SELECT r.id, r.job_id, CASE", "pause", 30.0)
    history.go_on(3.0)
    assert statuses() == ["succeeded", "queued", "queued"]
    assert history.verdict() == []
