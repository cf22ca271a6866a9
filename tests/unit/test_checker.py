"""The checker of the acceptance tests finds errors; a checker that finds nothing would prove nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.acceptance.checker import Break, Demand, Mark, Outage, Row, harmed, problems, unmet
from tests.fakes import after


def row(second: int, status: str = "succeeded", job_id: str = "a", **fields: Any) -> Row:
    return Row(job_id=job_id, scheduled_time=after(second), status=status, **fields)


def mark(second: int, job_id: str = "a", at: float = 0) -> Mark:
    return Mark(job_id=job_id, scheduled_time=after(second), at=after(at))


def test_a_good_history_has_no_problems() -> None:
    rows = [row(0), row(1), row(2), row(0, job_id="b")]
    assert problems(rows, [mark(0), mark(1), mark(2), mark(0, "b")]) == []


def test_an_empty_history_has_no_problems() -> None:
    assert problems([], []) == []


def test_a_gap_is_found() -> None:
    assert problems([row(0), row(2)], [mark(0), mark(2)]) == [f"a {after(1)}: no row accounts for it"]


def test_a_row_that_stands_for_several_fire_times_leaves_no_gap() -> None:
    assert problems([row(0), row(4, fire_times=4)], [mark(0), mark(4)]) == []


@pytest.mark.parametrize("status", ["missed", "skipped", "lost", "cancelled"])
def test_a_fire_time_that_did_not_run_and_says_so_leaves_no_gap(status: str) -> None:
    assert problems([row(0), row(1, status), row(2)], [mark(0), mark(2)]) == []


def test_a_fire_time_in_two_rows_is_found() -> None:
    assert problems([row(0), row(1), row(2, fire_times=2)], [mark(0), mark(1), mark(2)]) == [
        f"a {after(1)}: accounted for 2 times"
    ]


def test_a_double_call_is_found() -> None:
    assert problems([row(0)], [mark(0), mark(0)]) == [f"a {after(0)}: called 2 times"]


def test_a_call_without_a_row_is_found() -> None:
    assert problems([], [mark(0)]) == [f"a {after(0)}: called, and no row says so"]


@pytest.mark.parametrize("status", ["queued", "missed", "skipped", "cancelled"])
def test_a_call_of_what_did_not_run_is_found(status: str) -> None:
    assert problems([row(0, status)], [mark(0)]) == [f"a {after(0)}: called, although it is {status}"]


def test_a_run_that_was_cancelled_after_its_start_may_have_been_called() -> None:
    assert problems([row(0, "cancelled", started_at=after(0))], [mark(0)]) == []


def test_a_success_without_a_call_is_found() -> None:
    assert problems([row(0)], []) == [f"a {after(0)}: succeeded, and was never called"]


@pytest.mark.parametrize("marks", [[], [mark(0)]])
def test_a_lost_run_may_have_been_called_or_not(marks: list[Mark]) -> None:
    assert problems([row(0, "lost", finished_at=after(20))], marks) == []


def test_a_call_after_it_was_given_up_is_found() -> None:
    assert problems([row(0, "lost", finished_at=after(20))], [mark(0, at=21)]) == [
        f"a {after(0)}: called after it was given up for lost"
    ]


def test_attempts_of_a_run_share_its_fire_time_and_each_has_its_own_call() -> None:
    rows = [row(0, "failed"), row(0, attempt=2), row(1)]
    assert problems(rows, [mark(0), mark(1)]) == [f"a {after(0)}, attempt 2: succeeded, and was never called"]
    second = replace(mark(0), attempt=2)
    assert problems(rows, [mark(0), second, mark(1)]) == []
    assert problems(rows, [mark(0), second, second, mark(1)]) == [f"a {after(0)}, attempt 2: called 2 times"]


# --- harm to runs on workers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["succeeded", "cancelled", "skipped", "missed"])
def test_a_run_that_went_well_or_was_not_wanted_came_to_no_harm(status: str) -> None:
    assert list(harmed([row(0, status, dispatches=1)], {}, messages_may_be_lost=False)) == []


@pytest.mark.parametrize("status", ["failed", "timed_out", "lost"])
def test_a_run_that_went_wrong_is_found_unless_its_job_is_allowed_to(status: str) -> None:
    rows = [row(0, status, started_at=after(0))]
    assert list(harmed(rows, {status: ["b"]}, messages_may_be_lost=True)) == [
        f"a {after(0)}: {status}, without a cause"
    ]
    assert list(harmed(rows, {status: ["a"]}, messages_may_be_lost=True)) == []


def test_a_run_that_is_lost_and_never_started_is_found() -> None:
    rows = [row(0, "lost")]
    assert list(harmed(rows, {"lost": ["a"]}, messages_may_be_lost=True)) == [f"a {after(0)}: lost, and never started"]


def test_a_run_that_was_sent_again_is_found_unless_messages_may_be_lost() -> None:
    rows = [row(0, dispatches=2)]
    assert list(harmed(rows, {}, messages_may_be_lost=False)) == [
        f"a {after(0)}: sent 2 times, although no message may be lost"
    ]
    assert list(harmed(rows, {}, messages_may_be_lost=True)) == []


# --- breaks ----------------------------------------------------------------------------------------------------------


def pause(*seconds: float, job_id: str = "a") -> list[Break]:
    """Return a break that was asked for, answered, and whose end was asked for and answered at `seconds`."""
    start, started, end, ended = map(after, seconds)
    return [Break(job_id=job_id, start=(start, started), end=(end, ended))]


def test_a_fire_time_in_a_break_has_no_row() -> None:
    rows, marks = ran(0, 3)
    assert problems(rows, marks, breaks=pause(0.5, 0.6, 2.5, 2.6)) == []


def test_a_gap_beside_a_break_is_found() -> None:
    rows, marks = ran(0, 4)
    assert problems(rows, marks, breaks=pause(1, 1.1, 2.5, 2.9)) == [
        f"a {after(1)}: no row accounts for it",
        f"a {after(3)}: no row accounts for it",
    ]


def test_a_gap_in_the_break_of_another_job_is_found() -> None:
    rows, marks = ran(0, 2)
    assert problems(rows, marks, breaks=pause(0.5, 0.6, 1.5, 1.6, job_id="b")) == [
        f"a {after(1)}: no row accounts for it"
    ]


def test_a_row_in_a_break_is_found() -> None:
    rows, marks = ran(0, 1, 2)
    assert problems(rows, marks, breaks=pause(0.5, 0.6, 1.5, 1.6)) == [f"a {after(1)}: has a row, and lies in a break"]


@pytest.mark.parametrize("rows_of", [(0, 1, 2, 3), (0, 3)], ids=["before and after", "within"])
def test_a_fire_time_between_a_request_and_its_answer_is_before_the_break_or_in_it(rows_of: tuple[int, ...]) -> None:
    rows, marks = ran(*rows_of)
    assert problems(rows, marks, breaks=pause(0.9, 1.1, 1.9, 2.1)) == []


# --- in time ---------------------------------------------------------------------------------------------------------


def demand(until: float = 3, **fields: Any) -> Demand:
    return Demand(job_ids=fields.pop("job_ids", ["a"]), until=after(until), **fields)


def ran(*seconds: int) -> tuple[list[Row], list[Mark]]:
    """Return rows and marks of fire times that ran in time."""
    return [row(second) for second in seconds], [mark(second, at=second + 0.1) for second in seconds]


def outage(start: float, end: float) -> list[Outage]:
    return [Outage(start=after(start), end=after(end))]


def test_what_ran_in_time_meets_the_demand() -> None:
    assert unmet(*ran(0, 1, 2, 3), demand()) == []


def test_a_late_call_is_found() -> None:
    assert unmet([row(0)], [mark(0, at=5.1)], demand()) == [f"a {after(0)}: called late, at {after(5.1)}"]


def test_a_late_call_is_excused_by_an_outage_that_reaches_into_its_window() -> None:
    assert unmet([row(0)], [mark(0, at=20)], demand(outages=outage(4, 19))) == []


@pytest.mark.parametrize(("start", "end"), [(5.1, 19), (-20, -1)], ids=["after", "before"])
def test_a_late_call_is_not_excused_by_another_outage(start: float, end: float) -> None:
    assert len(unmet([row(0)], [mark(0, at=20)], demand(outages=outage(start, end)))) == 1


def test_an_early_call_is_found_even_in_an_outage() -> None:
    found = [f"a {after(3)}: called early, at {after(2.5)}"]
    assert unmet([row(3)], [mark(3, at=2.5)], demand(outages=outage(0, 9))) == found


def test_a_job_without_a_row_is_found() -> None:
    assert unmet(*ran(0, 1, 2, 3), demand(job_ids=["a", "b"])) == ["b: no row at all"]


def test_a_job_whose_rows_end_is_found() -> None:
    rows, marks = ran(0, 1)
    assert unmet(rows, marks, demand(until=7)) == []
    assert unmet(rows, marks, demand(until=7.1)) == [f"a {after(1)}: no row after it, up to {after(7.1)}"]


def test_a_fire_time_that_another_row_stands_for_is_found() -> None:
    rows, marks = [row(0), row(2, fire_times=2)], [mark(0), mark(2, at=2)]
    assert unmet(rows, marks, demand()) == [f"a {after(1)}: the row of {after(2)} stands for it"]
    assert unmet(rows, marks, demand(outages=outage(0, 1))) == []


def test_fire_times_within_the_lag_of_a_busy_machine_may_run_as_one() -> None:
    rows, marks = [row(0), row(3, fire_times=3)], [mark(0), mark(3, at=3)]
    assert unmet(rows, marks, demand(until=4, lag=timedelta(seconds=2))) == []
    assert unmet(rows, marks, demand(until=4, lag=timedelta(seconds=1))) == [
        f"a {after(1)}: the row of {after(3)} stands for it"
    ]


@pytest.mark.parametrize("status", ["missed", "cancelled", "failed", "timed_out", "lost", "skipped"])
def test_a_fire_time_that_did_not_run_without_a_cause_is_found(status: str) -> None:
    rows = [row(3, status, finished_at=after(3.5))]
    assert unmet(rows, [], demand()) == [f"a {after(3)}: {status}, without a cause"]
    assert unmet(rows, [], demand(outages=outage(3, 4))) == []


def test_a_loss_is_excused_by_a_death_while_its_run_was_active() -> None:
    rows = [row(3, "lost", finished_at=after(20))]
    assert unmet(rows, [], demand(deaths=[after(4)])) == []


@pytest.mark.parametrize("death", [-3, 21], ids=["before", "after"])
def test_a_loss_is_not_excused_by_another_death(death: float) -> None:
    rows = [row(3, "lost", finished_at=after(20))]
    assert unmet(rows, [], demand(deaths=[after(death)])) == [f"a {after(3)}: lost, without a cause"]


def test_a_skip_is_excused_by_a_run_of_its_job_that_was_active() -> None:
    rows = [row(0, finished_at=after(9)), row(9, "skipped", finished_at=after(9))]
    assert unmet(rows, [], demand()) == []


def test_a_skip_is_not_excused_by_a_run_that_ended_before() -> None:
    rows = [row(0, finished_at=after(1)), row(9, "skipped", finished_at=after(9))]
    assert unmet(rows, [], demand()) == [f"a {after(9)}: skipped, without a cause"]


def test_a_skip_is_not_excused_by_a_run_of_another_job() -> None:
    rows = [row(0, finished_at=after(9), job_id="b"), row(9, "skipped", finished_at=after(9))]
    assert unmet(rows, [], demand()) == [f"a {after(9)}: skipped, without a cause"]


@pytest.mark.parametrize("status", ["queued", "running"])
def test_a_run_that_has_not_ended_is_found_once_its_window_is_over(status: str) -> None:
    assert unmet([row(3, status)], [], demand(until=8)) == []
    assert unmet([row(3, status)], [], demand(until=8.1)) == [f"a {after(3)}: {status}, without a cause"]
