"""Fire times that come while their job is busy, with each kind of overlap, and the last runs of `max_runs`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.core.planning import Busy, Plan, Policy, plan
from jobs.core.runs import Overlap, RunStatus
from tests.fakes import NOW, after, trigger

TEN = trigger(seconds=10, anchor=after(-10))

Ids = tuple[int, ...]


def planned(overlap: str, held: Ids = (), waiting: Ids = (), late: float = 0, **policy: Any) -> Plan:
    """Plan a job that fires every ten seconds, seen `late` seconds after `NOW`."""
    busy = Busy(held=held, waiting=waiting)
    return plan(TEN, NOW, Policy(overlap=Overlap(overlap), **policy), busy=busy, now=after(late))


def summary(result: Plan) -> list[tuple[str, float, bool]]:
    """Return each run's status, its fire time in seconds after `NOW`, and whether it waits."""
    return [(run.status, (run.scheduled_time - NOW).total_seconds(), run.waits) for run in result.runs]


START, WAIT, SKIP = ("queued", 0, False), ("queued", 0, True), ("skipped", 0, False)


@pytest.mark.parametrize(
    ("held", "waiting", "expected"),
    [((), (), START), ((1,), (), SKIP), ((), (2,), SKIP), ((1,), (2,), SKIP)],
)
def test_skip(held: Ids, waiting: Ids, expected: Any) -> None:
    result = planned("skip", held, waiting)
    assert (summary(result), result.replaced) == ([expected], ())


@pytest.mark.parametrize(
    ("held", "waiting", "expected"),
    [((), (), START), ((1,), (), WAIT), ((), (2,), WAIT), ((1,), (2,), WAIT), ((1,), (2, 3), SKIP)],
)
def test_queue_of_two(held: Ids, waiting: Ids, expected: Any) -> None:
    result = planned("queue", held, waiting, queue_limit=2)
    assert (summary(result), result.replaced) == ([expected], ())


@pytest.mark.parametrize(
    ("held", "waiting", "expected", "replaced"),
    [((), (), START, ()), ((1,), (), WAIT, (1,)), ((), (2,), START, (2,)), ((1,), (2,), WAIT, (1, 2))],
)
def test_replace(held: Ids, waiting: Ids, expected: Any, replaced: Ids) -> None:
    result = planned("replace", held, waiting)
    assert (summary(result), result.replaced) == ([expected], replaced)


# --- queue -----------------------------------------------------------------------------------------------------------


def test_a_full_queue_is_said() -> None:
    (run,) = planned("queue", (4,), (5,), queue_limit=1).runs
    assert run.reason == "run 4 was active; max_instances is 1, and the queue of 1 is full"


def test_several_fire_times_start_as_far_as_there_are_instances_and_wait_as_far_as_there_is_room() -> None:
    result = planned("queue", late=45, coalesce=False, max_instances=2, queue_limit=2)
    assert summary(result) == [
        ("queued", 0, False), ("queued", 10, False), ("queued", 20, True), ("queued", 30, True), ("skipped", 40, False)
    ]  # fmt: skip


def test_what_waits_takes_the_room_of_the_queue() -> None:
    result = planned("queue", (1,), (2,), late=25, coalesce=False, queue_limit=2)
    assert summary(result) == [("queued", 0, True), ("skipped", 20, False)]
    assert result.runs[1].fire_times == 2


# --- replace ---------------------------------------------------------------------------------------------------------


def test_the_oldest_are_replaced() -> None:
    assert planned("replace", (1, 2), max_instances=2).replaced == (1,)


def test_a_job_with_an_instance_free_replaces_nothing() -> None:
    assert planned("replace", (1,), max_instances=2).replaced == ()


def test_of_several_fire_times_the_newest_run() -> None:
    result = planned("replace", late=25, coalesce=False)
    assert summary(result) == [("skipped", 10, False), ("queued", 20, False)]
    assert result.runs[0].fire_times == 2


def test_nothing_is_replaced_where_nothing_runs() -> None:
    result = planned("replace", (1,), (2,), late=7, misfire_grace_time=5)
    assert (summary(result), result.replaced) == ([("missed", 0, False)], ())


# --- retries that wait for their delay -------------------------------------------------------------------------------


@pytest.mark.parametrize("overlap", ["skip", "queue"])
def test_a_retry_whose_delay_is_not_over_does_not_stop_the_schedule(overlap: str) -> None:
    result = plan(TEN, NOW, Policy(overlap=Overlap(overlap), queue_limit=1), busy=Busy(later=(5,)), now=NOW)
    assert (summary(result), result.replaced) == ([START], ())


def test_a_retry_whose_delay_is_not_over_takes_no_place_in_the_queue() -> None:
    policy = Policy(overlap=Overlap.QUEUE, queue_limit=1)
    result = plan(TEN, NOW, policy, busy=Busy(held=(6,), later=(5,)), now=NOW)
    assert summary(result) == [WAIT]


def test_a_retry_whose_delay_is_not_over_is_replaced_by_a_newer_run() -> None:
    result = plan(TEN, NOW, Policy(overlap=Overlap.REPLACE), busy=Busy(later=(5,)), now=NOW)
    assert (summary(result), result.replaced) == ([START], (5,))


# --- the last runs ---------------------------------------------------------------------------------------------------


def test_the_last_run_ends_the_schedule() -> None:
    result = planned("skip", runs_left=1)
    assert (summary(result), result.next_run_time) == ([START], None)


def test_a_job_with_runs_left_goes_on() -> None:
    assert planned("skip", runs_left=2).next_run_time == after(10)


def test_a_job_with_no_runs_left_is_over() -> None:
    result = planned("skip", runs_left=0)
    assert (result.runs, result.next_run_time) == ((), None)


def test_a_skipped_fire_time_is_not_one_of_its_runs() -> None:
    result = planned("skip", (1,), runs_left=1)
    assert (summary(result), result.next_run_time) == ([SKIP], after(10))


def test_no_more_runs_are_queued_than_are_left() -> None:
    result = planned("skip", late=45, coalesce=False, max_instances=9, runs_left=2)
    assert summary(result) == [("queued", 0, False), ("queued", 10, False)]
    assert result.next_run_time is None


def test_fire_times_that_do_not_run_are_on_record_while_runs_are_left() -> None:
    result = planned("skip", late=45, coalesce=False, max_instances=1, runs_left=2)
    assert summary(result) == [("queued", 0, False), ("skipped", 40, False)]
    assert result.runs[1].fire_times == 4
    assert result.next_run_time == after(50)


# --- the property ----------------------------------------------------------------------------------------------------


@given(
    overlap=st.sampled_from(Overlap),
    held=st.integers(0, 4),
    waiting=st.integers(0, 4),
    max_instances=st.integers(1, 4),
    queue_limit=st.integers(1, 4),
    runs_left=st.none() | st.integers(0, 4),
    coalesce=st.booleans(),
    late=st.integers(0, 90),
)
def test_no_plan_goes_beyond_the_limits_or_forgets_a_fire_time(
    overlap: Overlap, held: int, waiting: int, max_instances: int, queue_limit: int, runs_left: int | None,
    coalesce: bool, late: int,
) -> None:  # fmt: skip
    busy = Busy(held=range(held), waiting=range(10, 10 + waiting))
    policy = Policy(
        overlap=overlap, max_instances=max_instances, queue_limit=queue_limit, runs_left=runs_left, coalesce=coalesce
    )
    now = NOW + timedelta(seconds=late)
    result = plan(TEN, NOW, policy, busy=busy, now=now)

    queued = [run for run in result.runs if run.status is RunStatus.QUEUED]
    started = [run for run in queued if not run.waits]
    left = held + waiting - len(result.replaced)
    assert runs_left is None or len(queued) <= runs_left
    assert len(started) <= max(max_instances - held, 0)
    if overlap is Overlap.QUEUE:
        assert waiting + len(queued) - len(started) <= max(queue_limit, waiting)
    elif queued:
        assert left + len(queued) <= max_instances
    assert set(result.replaced) <= set(busy.all)
    assert not result.replaced or overlap is Overlap.REPLACE
    if result.next_run_time is not None:
        assert sum(run.fire_times for run in result.runs) == 1 + late // 10
    times = [run.scheduled_time for run in result.runs]
    assert times == sorted(set(times))
