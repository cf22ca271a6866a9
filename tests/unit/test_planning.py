"""Plans of due jobs: every policy, alone and together, with long gaps and with none."""

from __future__ import annotations

import sys
import tracemalloc
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.core.planning import CATCH_UP, Busy, Plan, Policy, plan
from jobs.core.runs import Overlap, RunStatus
from tests.fakes import NOW, after, trigger

from .strategies import BOUNDED_RULES

TEN = trigger(seconds=10, anchor=after(-10))
YEAR = 365 * 86400


def planned(
    late: float = 0, *, rule: Any = TEN, due_at: datetime = NOW, active: tuple[int, ...] = (), **policy: Any
) -> Plan:
    """Plan a job that is due at `due_at`, seen `late` seconds later."""
    return plan(rule, due_at, Policy(**policy), busy=Busy(held=active), now=due_at + timedelta(seconds=late))


def summary(result: Plan) -> list[tuple[str, float, int]]:
    """Return each run's status, its fire time in seconds after `NOW`, and how many fire times it stands for."""
    return [(run.status, (run.scheduled_time - NOW).total_seconds(), run.fire_times) for run in result.runs]


# --- one fire time ---------------------------------------------------------------------------------------------------


def test_a_fire_time_in_time_is_queued_and_the_job_moves_on() -> None:
    result = planned(0)
    assert summary(result) == [("queued", 0, 1)]
    assert result.next_run_time == after(10)


def test_a_queued_run_has_no_reason() -> None:
    assert planned(0).runs[0].reason == ""


@pytest.mark.parametrize("coalesce", [True, False])
def test_any_lateness_runs_without_a_grace(coalesce: bool) -> None:
    assert summary(planned(9.9, coalesce=coalesce)) == [("queued", 0, 1)]


@pytest.mark.parametrize("coalesce", [True, False])
def test_lateness_of_exactly_the_grace_runs(coalesce: bool) -> None:
    assert summary(planned(5, misfire_grace_time=5, coalesce=coalesce)) == [("queued", 0, 1)]


@pytest.mark.parametrize("coalesce", [True, False])
def test_lateness_beyond_the_grace_is_missed(coalesce: bool) -> None:
    assert summary(planned(5.000001, misfire_grace_time=5, coalesce=coalesce)) == [("missed", 0, 1)]


def test_a_missed_run_says_how_late_it_was_and_what_the_grace_is() -> None:
    assert planned(7.5, misfire_grace_time=5).runs[0].reason == "seen 7.5 s late; misfire_grace_time is 5 s"


def test_a_missed_job_moves_on_all_the_same() -> None:
    assert planned(7, misfire_grace_time=5).next_run_time == after(10)


def test_a_grace_of_zero_runs_what_is_seen_on_time() -> None:
    assert summary(planned(0, misfire_grace_time=0)) == [("queued", 0, 1)]


# --- several fire times, coalesced -----------------------------------------------------------------------------------


def test_several_fire_times_give_one_run_of_the_latest() -> None:
    result = planned(35)
    assert summary(result) == [("queued", 30, 4)]
    assert result.next_run_time == after(40)


def test_coalesced_fire_times_run_if_the_latest_is_within_the_grace() -> None:
    assert summary(planned(35, misfire_grace_time=5)) == [("queued", 30, 4)]


def test_coalesced_fire_times_are_missed_in_one_row_if_the_latest_is_beyond_the_grace() -> None:
    assert summary(planned(35, misfire_grace_time=4)) == [("missed", 30, 4)]


def test_coalesced_fire_times_that_overlap_are_skipped_in_one_row() -> None:
    assert summary(planned(35, active=(7,))) == [("skipped", 30, 4)]


# --- several fire times, one by one ----------------------------------------------------------------------------------


def test_fire_times_that_are_not_coalesced_give_a_run_each() -> None:
    result = planned(25, coalesce=False, max_instances=5)
    assert summary(result) == [("queued", 0, 1), ("queued", 10, 1), ("queued", 20, 1)]
    assert result.next_run_time == after(30)


def test_one_by_one_those_beyond_max_instances_are_skipped_in_one_row() -> None:
    result = planned(25, coalesce=False, max_instances=1)
    assert summary(result) == [("queued", 0, 1), ("skipped", 20, 2)]
    assert result.runs[1].reason == "more fire times were due at once than may run together; max_instances is 1"


def test_one_by_one_those_beyond_the_grace_are_missed_in_one_row() -> None:
    result = planned(35, coalesce=False, max_instances=5, misfire_grace_time=10)
    assert summary(result) == [("missed", 20, 3), ("queued", 30, 1)]


def test_one_by_one_all_may_be_missed() -> None:
    result = planned(35, coalesce=False, misfire_grace_time=2)
    assert summary(result) == [("missed", 30, 4)]
    assert result.next_run_time == after(40)


def test_missed_queued_and_skipped_come_in_one_plan() -> None:
    result = planned(55, coalesce=False, misfire_grace_time=25, max_instances=2)
    assert summary(result) == [("missed", 20, 3), ("queued", 30, 1), ("queued", 40, 1), ("skipped", 50, 1)]


def test_one_plan_catches_up_with_a_hundred_fire_times_and_leaves_the_rest_due() -> None:
    result = planned(10 * 250, coalesce=False, max_instances=1000)
    assert len(result.runs) == CATCH_UP
    assert result.next_run_time == after(10 * CATCH_UP)


def test_the_rest_is_caught_up_with_by_the_next_plans() -> None:
    due_at, now, runs = NOW, after(10 * 249), 0
    for _ in range(3):
        result = plan(TEN, due_at, Policy(coalesce=False, max_instances=1000), busy=Busy(), now=now)
        runs += len(result.runs)
        assert result.next_run_time is not None
        due_at = result.next_run_time
    assert (runs, due_at) == (250, after(2500))


def test_what_the_grace_excludes_is_not_bounded_by_the_catch_up() -> None:
    result = planned(10 * 5000, coalesce=False, max_instances=100, misfire_grace_time=60)
    assert summary(result)[0] == ("missed", 49930, 4994)
    assert len(result.runs) == 1 + 7


# --- overlap ---------------------------------------------------------------------------------------------------------


def test_an_overlap_is_skipped_and_names_the_run_that_was_active() -> None:
    run = planned(0, active=(42,)).runs[0]
    assert (run.status, run.reason) == (RunStatus.SKIPPED, "run 42 was active; max_instances is 1")


def test_a_job_with_room_for_another_instance_runs_it() -> None:
    assert summary(planned(0, active=(42,), max_instances=2)) == [("queued", 0, 1)]


def test_active_runs_beyond_max_instances_leave_no_room() -> None:
    assert summary(planned(0, active=(1, 2, 3), max_instances=2)) == [("skipped", 0, 1)]


def test_a_fire_time_both_late_and_overlapping_is_missed() -> None:
    assert summary(planned(7, active=(1,), misfire_grace_time=5)) == [("missed", 0, 1)]


def test_one_by_one_only_the_free_instances_run() -> None:
    result = planned(25, coalesce=False, max_instances=2, active=(9,))
    assert summary(result) == [("queued", 0, 1), ("skipped", 20, 2)]
    assert result.runs[1].reason == "run 9 was active; max_instances is 2"


# --- the end of a trigger --------------------------------------------------------------------------------------------


def test_a_date_runs_once_and_is_never_due_again() -> None:
    once = trigger({"type": "date", "run_date": "2030-01-01T12:00:00+00:00"})
    result = planned(3600, rule=once)
    assert summary(result) == [("queued", 0, 1)]
    assert result.next_run_time is None


def test_a_date_beyond_its_grace_is_missed_and_never_due_again() -> None:
    once = trigger({"type": "date", "run_date": "2030-01-01T12:00:00+00:00"})
    result = planned(3600, rule=once, misfire_grace_time=60)
    assert summary(result) == [("missed", 0, 1)]
    assert result.next_run_time is None


@pytest.mark.parametrize("coalesce", [True, False])
def test_a_trigger_that_reached_its_end_is_never_due_again(coalesce: bool) -> None:
    ending = trigger(seconds=10, anchor=after(-10), end_date="2030-01-01T12:00:25+00:00")
    result = planned(100, rule=ending, coalesce=coalesce, max_instances=9)
    assert sum(run.fire_times for run in result.runs) == 3
    assert result.next_run_time is None


def test_a_trigger_that_ended_within_the_grace_is_missed_only_for_what_came_before_it() -> None:
    ending = trigger(seconds=10, anchor=after(-10), end_date="2030-01-01T12:00:25+00:00")
    result = planned(40, rule=ending, coalesce=False, max_instances=9, misfire_grace_time=30)
    assert summary(result) == [("missed", 0, 1), ("queued", 10, 1), ("queued", 20, 1)]
    assert result.next_run_time is None


# --- long gaps -------------------------------------------------------------------------------------------------------

EVERY_SECOND = {
    "interval": trigger(seconds=1, anchor=after(-1)),
    "cron": trigger({"type": "cron", "second": "*"}),
}


@pytest.mark.parametrize("rule", EVERY_SECOND.values(), ids=EVERY_SECOND)
@pytest.mark.parametrize("policy", [{}, {"coalesce": False, "misfire_grace_time": 0}], ids=["coalesced", "one by one"])
def test_a_gap_of_a_year_of_every_second_is_planned_in_one_row(rule: Any, policy: dict[str, Any]) -> None:
    result = planned(YEAR, rule=rule, **policy)
    assert sum(run.fire_times for run in result.runs) == YEAR + 1
    assert len(result.runs) <= 2
    assert result.next_run_time == after(YEAR + 1)


@pytest.mark.parametrize("rule", EVERY_SECOND.values(), ids=EVERY_SECOND)
@pytest.mark.parametrize("coalesce", [True, False])
@pytest.mark.parametrize("grace", [None, 60, 10 * YEAR])
@pytest.mark.parametrize("active", [(), (7,)])
@pytest.mark.parametrize("max_instances", [1, 3])
@pytest.mark.parametrize("overlap", Overlap)
def test_a_gap_of_a_year_is_one_plan_and_a_few_rows_whatever_the_policies(
    rule: Any, coalesce: bool, grace: int | None, active: tuple[int, ...], max_instances: int, overlap: Overlap
) -> None:
    result = planned(
        YEAR, rule=rule, active=active, coalesce=coalesce, misfire_grace_time=grace, max_instances=max_instances,
        overlap=overlap, queue_limit=2,
    )  # fmt: skip
    assert sum(run.fire_times for run in result.runs) == YEAR + 1
    assert len([run for run in result.runs if run.status is not RunStatus.QUEUED]) <= 2
    assert len(result.runs) <= 2 + max_instances + 2
    assert result.next_run_time == after(YEAR + 1)


@pytest.mark.parametrize("rule", EVERY_SECOND.values(), ids=EVERY_SECOND)
def test_a_gap_of_a_year_takes_little_memory(rule: Any) -> None:
    planned(YEAR, rule=rule)
    tracemalloc.start()
    planned(YEAR, rule=rule)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("rule", EVERY_SECOND.values(), ids=EVERY_SECOND)
def test_a_gap_of_a_year_is_planned_in_a_few_steps(rule: Any) -> None:
    planned(YEAR, rule=rule)
    steps = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal steps
        steps += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        planned(YEAR, rule=rule)
    finally:
        sys.setprofile(None)
    assert steps < 1_000  # for 31,536,000 fire times


# --- the property ----------------------------------------------------------------------------------------------------

RULES = st.one_of(
    st.integers(1, 7200).map(lambda seconds: trigger(seconds=seconds, anchor=after(-seconds))),
    st.sampled_from(["*", "*/7", "3,50"]).map(lambda second: trigger({"type": "cron", "second": second})),
    st.sampled_from(["* * * * *", "*/5 * * * *", "0 12 * * *"]).map(lambda c: trigger({"type": "cron", "crontab": c})),
    *BOUNDED_RULES,
)
POLICIES = st.builds(
    Policy,
    misfire_grace_time=st.none() | st.integers(0, 7200),
    coalesce=st.booleans(),
    max_instances=st.integers(1, 150),
    overlap=st.sampled_from(Overlap),
    queue_limit=st.integers(1, 150),
    runs_left=st.none(),
)


@given(
    rule=RULES,
    policy=POLICIES,
    active=st.lists(st.integers(1, 99), max_size=3),
    late=st.floats(0, 7200).map(lambda seconds: timedelta(seconds=seconds)),
)
def test_every_fire_time_is_in_exactly_one_planned_run_or_left_due(
    rule: Any, policy: Policy, active: list[int], late: timedelta
) -> None:
    due_at = rule.next_after(after(-0.000001))
    assert due_at is not None
    now = due_at + late
    result = plan(rule, due_at, policy, busy=Busy(held=active), now=now)

    left = 0
    if result.next_run_time is not None and result.next_run_time <= now:
        left = 1 + rule.count(result.next_run_time, now)
    assert sum(run.fire_times for run in result.runs) + left == 1 + rule.count(due_at, now)


@given(rule=RULES, policy=POLICIES, active=st.lists(st.integers(1, 99), max_size=3), late=st.floats(0, 7200))
def test_a_plan_keeps_the_order_the_limits_and_the_reasons(
    rule: Any, policy: Policy, active: list[int], late: float
) -> None:
    due_at = rule.next_after(after(-0.000001))
    now = due_at + timedelta(seconds=late)
    result = plan(rule, due_at, policy, busy=Busy(held=active), now=now)

    times = [run.scheduled_time for run in result.runs]
    queued = [run for run in result.runs if run.status is RunStatus.QUEUED]
    assert times == sorted(set(times))
    assert due_at <= times[0] <= times[-1] <= now
    assert result.next_run_time is None or result.next_run_time > times[-1]
    starting = [run for run in queued if not run.waits]
    assert len(starting) <= max(policy.max_instances - len(active), 0)
    assert len(queued) <= CATCH_UP
    assert all(bool(run.reason) == (run.status is not RunStatus.QUEUED) for run in result.runs)
    if policy.misfire_grace_time is not None:
        grace = timedelta(seconds=policy.misfire_grace_time)
        assert all(now - run.scheduled_time <= grace for run in queued)
