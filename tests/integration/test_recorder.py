"""What came of runs is written behind them, in batches, once, and only while the scheduler holds them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection

from jobs.core.runs import RunStatus
from jobs.models import Job, Run
from jobs.scheduler.recorder import Recorder
from jobs.worker import runner
from jobs.worker.output import LIMIT, Output
from jobs.worker.runner import Activity
from tests.fakes import NOW, FakeClock, after, held_run, make_job, make_run, outcome

from .conftest import failing_database

pytestmark = pytest.mark.django_db


@pytest.fixture
def rings() -> list[int]:
    """One entry for each time that the recorder rang."""
    return []


@pytest.fixture
def recorder(rings: list[int]) -> Recorder:
    return Recorder(lambda ended: rings.append(1))


def held(job_id: str = "job", **fields: Any) -> Run:
    return make_run(job_id, scheduler_id="s1", **fields)


def activity(run: Run, started_at: Any = NOW) -> Activity:
    return Activity(held_run(run.id, job_id=run.job_id), started_at, Output())


# --- starts and ends -------------------------------------------------------------------------------------------------


def test_a_start_is_written(recorder: Recorder) -> None:
    run = held()
    recorder.started(activity(run, after(3)))
    assert recorder.flush("s1", NOW) == []
    run.refresh_from_db()
    assert (run.status, run.started_at, run.finished_at) == (RunStatus.RUNNING, after(3), None)


def test_an_end_is_written(recorder: Recorder) -> None:
    run = held()
    ended = outcome(
        run.id, started_at=after(1), finished_at=after(2.5), result='{"a": [1]}', output="hello\n", progress=(3, 4)
    )
    recorder.started(activity(run))
    recorder.finished(ended)
    assert recorder.flush("s1", NOW) == [ended]
    run.refresh_from_db()
    assert (run.status, run.started_at, run.finished_at) == (RunStatus.SUCCEEDED, after(1), after(2.5))
    assert (run.result, run.output, run.progress_done, run.progress_total) == ({"a": [1]}, "hello\n", 3, 4)


def test_a_failure_is_written(recorder: Recorder) -> None:
    run = held()
    recorder.finished(outcome(run.id, status=RunStatus.FAILED, error="ValueError: bad", traceback="Traceback …"))
    recorder.flush("s1", NOW)
    run.refresh_from_db()
    assert (run.status, run.error, run.traceback) == (RunStatus.FAILED, "ValueError: bad", "Traceback …")
    assert (run.result, run.progress_done, run.progress_total) == (None, None, None)


def test_a_run_that_started_and_ended_between_two_flushes_is_written_once(
    recorder: Recorder, statements: Callable[[], Any]
) -> None:
    run = held()
    recorder.started(activity(run))
    recorder.finished(outcome(run.id))
    with statements() as found:
        recorder.flush("s1", NOW)
    # The run, and its job's counters.
    assert len(found) == 2


@pytest.mark.parametrize("runs", [1, 500])
def test_a_flush_takes_three_statements(recorder: Recorder, statements: Callable[[], Any], runs: int) -> None:
    for number in range(runs):
        started, ended = held(f"a-{number}"), held(f"b-{number}")
        recorder.started(activity(started))
        recorder.started(activity(ended))
        recorder.finished(outcome(ended.id, job_id=ended.job_id))
    with statements() as found:
        assert len(recorder.flush("s1", NOW)) == runs
    assert len(found) == 3
    assert Run.objects.filter(status=RunStatus.RUNNING).count() == runs
    assert Run.objects.filter(status=RunStatus.SUCCEEDED).count() == runs


def test_a_flush_of_nothing_takes_no_statement(recorder: Recorder, statements: Callable[[], Any]) -> None:
    with statements() as found:
        assert recorder.flush("s1", NOW) == []
    assert found == []


def test_it_is_dirty_until_all_is_written(recorder: Recorder) -> None:
    run = held()
    assert not recorder.dirty
    recorder.started(activity(run))
    assert recorder.dirty
    recorder.flush("s1", NOW)
    assert not recorder.dirty
    recorder.finished(outcome(run.id))
    assert recorder.dirty
    recorder.flush("s1", NOW)
    assert not recorder.dirty


def test_it_tells_whenever_there_is_more_to_write(recorder: Recorder, rings: list[int]) -> None:
    first, second = held("a"), held("b")
    recorder.started(activity(first))
    recorder.started(activity(second))
    recorder.finished(outcome(first.id))
    assert len(rings) == 3


def test_it_knows_what_is_running(recorder: Recorder) -> None:
    first, second = held("a"), held("b")
    recorder.started(activity(first))
    recorder.started(activity(second))
    recorder.finished(outcome(first.id))
    assert recorder.running == 1
    assert [a.run.id for a in recorder.activities()] == [second.id]


# --- only what is held -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [RunStatus.LOST, RunStatus.CANCELLED, RunStatus.SUCCEEDED])
def test_a_run_that_was_given_up_stays_as_it_is(recorder: Recorder, status: RunStatus) -> None:
    run = held(status=status)
    recorder.finished(outcome(run.id, status=RunStatus.FAILED))
    assert recorder.flush("s1", NOW) == []
    run.refresh_from_db()
    assert (run.status, run.finished_at) == (status, NOW)
    assert not recorder.dirty


def test_a_run_that_another_scheduler_holds_is_not_written(recorder: Recorder) -> None:
    run = make_run(scheduler_id="s2")
    recorder.started(activity(run))
    recorder.flush("s1", NOW)
    recorder.finished(outcome(run.id))
    assert recorder.flush("s1", NOW) == []
    run.refresh_from_db()
    assert run.status == RunStatus.QUEUED


def test_a_run_that_was_given_up_does_not_keep_others_from_being_written(recorder: Recorder) -> None:
    lost, good = held("a", status=RunStatus.LOST), held("b")
    recorder.finished(outcome(lost.id, job_id="a"))
    recorder.finished(outcome(good.id, job_id="b"))
    assert [o.run_id for o in recorder.flush("s1", NOW)] == [good.id]


def test_what_was_given_up_is_said(recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    run = held(status=RunStatus.LOST)
    recorder.finished(outcome(run.id))
    recorder.flush("s1", NOW)
    assert [(record.action, record.run) for record in caplog.records] == [("run_not_held", run.id)]


# --- a database that fails -------------------------------------------------------------------------------------------


@pytest.fixture
def answer_lost(recorder: Recorder) -> Run:
    """A run that failed and is to be tried again; its outcome is on record, and the recorder never heard of it."""
    make_job(retries={"max": 1, "delay": 30})
    run = held()
    ended = outcome(run.id, status=RunStatus.FAILED, finished_at=after(1.234567))
    recorder.finished(ended)
    recorder.flush("s1", NOW)
    recorder.finished(ended)
    return run


def test_what_is_on_record_although_the_answer_was_lost_is_told_as_any_other(
    recorder: Recorder, answer_lost: Run, caplog: pytest.LogCaptureFixture
) -> None:
    assert [ended.run_id for ended in recorder.flush("s1", NOW)] == [answer_lost.id]
    assert caplog.records == []


@pytest.mark.usefixtures("answer_lost")
def test_what_is_on_record_although_the_answer_was_lost_counts_once(recorder: Recorder) -> None:
    recorder.flush("s1", NOW)
    assert (Job.objects.get().run_count, Run.objects.count()) == (1, 2)


def test_what_could_not_be_written_is_kept_and_written_later(recorder: Recorder) -> None:
    started, ended = held("a"), held("b")
    recorder.started(activity(started))
    recorder.finished(outcome(ended.id, job_id="b"))
    with failing_database(OperationalError("gone")), pytest.raises(OperationalError):
        recorder.flush("s1", NOW)
    assert recorder.dirty
    assert [o.run_id for o in recorder.flush("s1", NOW)] == [ended.id]
    assert set(Run.objects.values_list("id", "status")) == {
        (started.id, RunStatus.RUNNING), (ended.id, RunStatus.SUCCEEDED)
    }  # fmt: skip


def test_what_is_not_written_yet_can_be_asked_for(recorder: Recorder) -> None:
    run = held()
    recorder.finished(outcome(run.id))
    assert recorder.unwritten() == {run.id}
    recorder.flush("s1", NOW)
    assert recorder.unwritten() == set()


# --- counters --------------------------------------------------------------------------------------------------------


def test_the_jobs_counters_follow(recorder: Recorder) -> None:
    make_job()
    make_job("other")
    statuses = [RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.SUCCEEDED]
    for number, status in enumerate(statuses):
        run = held(scheduled_time=after(number))
        recorder.finished(outcome(run.id, status=status, finished_at=after(number)))
    recorder.flush("s1", NOW)
    job = Job.objects.get(pk="job")
    assert (job.run_count, job.failure_count, job.last_status, job.last_run_at) == (3, 1, "succeeded", after(2))
    assert Job.objects.get(pk="other").run_count == 0


def test_the_last_status_is_that_of_the_run_that_ended_last(recorder: Recorder) -> None:
    make_job()
    late, early = held(scheduled_time=after(0)), held(scheduled_time=after(1))
    recorder.finished(outcome(late.id, status=RunStatus.FAILED, finished_at=after(9)))
    recorder.finished(outcome(early.id, finished_at=after(5)))
    recorder.flush("s1", NOW)
    job = Job.objects.get()
    assert (job.last_status, job.last_run_at) == (RunStatus.FAILED, after(9))


def test_what_was_not_written_is_not_counted(recorder: Recorder) -> None:
    make_job()
    run = held(status=RunStatus.LOST)
    recorder.finished(outcome(run.id))
    recorder.flush("s1", NOW)
    assert Job.objects.get().run_count == 0


def test_the_counters_leave_the_schedule_alone(recorder: Recorder) -> None:
    before = make_job()
    recorder.finished(outcome(held().id))
    recorder.flush("s1", NOW)
    after_it = Job.objects.get()
    assert (after_it.next_run_time, after_it.updated_at) == (before.next_run_time, before.updated_at)


def test_the_run_of_a_job_that_was_removed_is_written(recorder: Recorder) -> None:
    run = held("removed")
    recorder.finished(outcome(run.id, job_id="removed"))
    recorder.flush("s1", NOW)
    run.refresh_from_db()
    assert run.status == RunStatus.SUCCEEDED


# --- while it runs ---------------------------------------------------------------------------------------------------


def test_output_and_progress_are_shown_while_it_runs(recorder: Recorder) -> None:
    run = held(status=RunStatus.RUNNING)
    going = activity(run)
    recorder.started(going)
    going.output.write("so far")
    going.context.progress(1, 3)
    recorder.flush_live("s1")
    run.refresh_from_db()
    assert (run.output, run.progress_done, run.progress_total) == ("so far", 1, 3)


def test_what_did_not_change_is_not_written_again(recorder: Recorder, statements: Callable[[], Any]) -> None:
    going = activity(held(status=RunStatus.RUNNING))
    recorder.started(going)
    going.output.write("so far")
    recorder.flush_live("s1")
    with statements() as found:
        recorder.flush_live("s1")
    assert found == []
    going.output.write(", and more")
    recorder.flush_live("s1")
    assert Run.objects.get().output == "so far, and more"


def test_what_could_not_be_shown_is_shown_later(recorder: Recorder) -> None:
    going = activity(held(status=RunStatus.RUNNING))
    recorder.started(going)
    going.output.write("so far")
    with failing_database(OperationalError("gone")), pytest.raises(OperationalError):
        recorder.flush_live("s1")
    recorder.flush_live("s1")
    assert Run.objects.get().output == "so far"


def test_only_what_is_new_is_sent(recorder: Recorder) -> None:
    going = activity(held(status=RunStatus.RUNNING))
    recorder.started(going)
    going.output.write("größer\x00 " * 1000)
    recorder.flush_live("s1")
    sent: list[int] = []

    def measure(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        sent.append(len(str(params)))
        return execute(sql, params, many, context)

    going.output.write("and more")
    with connection.execute_wrapper(measure):
        recorder.flush_live("s1")
    assert sent[0] < 200
    assert Run.objects.get().output == going.output.getvalue()
    going.context.progress(1)
    recorder.flush_live("s1")
    assert Run.objects.get().output == going.output.getvalue()


def test_what_was_shown_although_its_answer_was_lost_is_not_shown_twice(recorder: Recorder) -> None:
    going = activity(held(status=RunStatus.RUNNING))
    recorder.started(going)
    going.output.write("one, ")
    recorder.flush_live("s1")
    known = dict(recorder._shown)
    going.output.write("two, ")
    recorder.flush_live("s1")
    recorder._shown = known
    going.output.write("three")
    recorder.flush_live("s1")
    assert Run.objects.get().output == "one, two, three"


def test_what_is_too_much_at_once_is_shown_in_turns(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.scheduler.recorder.LIVE_AT_ONCE", 10)
    going = [activity(held(name, status=RunStatus.RUNNING)) for name in ("a", "b", "c")]
    shown = []
    for one in going:
        recorder.started(one)
        one.output.write("12345")
    for _ in range(2):
        recorder.flush_live("s1")
        shown.append([run.output for run in Run.objects.order_by("id")])
        going[0].output.write("6")
    assert shown == [["12345", "12345", ""], ["12345", "12345", "12345"]]
    recorder.flush_live("s1")
    assert Run.objects.earliest("id").output == "1234566"


def test_a_run_that_was_given_up_shows_nothing_more(recorder: Recorder) -> None:
    run = held(status=RunStatus.LOST)
    going = activity(run)
    recorder.started(going)
    going.output.write("too late")
    recorder.flush_live("s1")
    run.refresh_from_db()
    assert run.output == ""


# --- whatever a function does, its outcome can be written ------------------------------------------------------------


class Nul:
    """What holds a NUL where `ascii` leaves it."""

    def __repr__(self) -> str:
        return "a\x00b"


def deep(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


AWKWARD: dict[str, Any] = {
    "nul": "a\x00b",
    "nul in a key": {"a\x00": 1},
    "nul in a repr": [Nul()],
    "lone surrogate": {"\udfff": "\ud800"},
    "emoji": {"\N{GRINNING FACE}": ["\N{GRINNING FACE}"]},
    "escaped": "\\u0000 \\ud800 \\",
    "not a number": [float("nan"), float("-inf")],
    "long number": 10**4000,
    "endless number": 10**10_000,
    "small number": 5e-324,
    "great number": 1.7e308,
    "huge": "x" * 10**6,
    "ninety levels": deep(90),
    "three hundred levels": deep(300),
    "nine hundred levels": deep(900),
    "quotes": "'; \"%s %(a)s \\' $1 ?",
    "same key twice": {1: "a", "1": "b"},
    "bytes": b"\x00\xff",
}


@pytest.mark.parametrize("value", AWKWARD.values(), ids=AWKWARD)
def test_an_awkward_result_is_written(recorder: Recorder, clock: FakeClock, value: Any) -> None:
    run = held()
    recorder.finished(runner.execute(held_run(run.id, func="tests:echo", args=[value]), clock, recorder.started))
    recorder.flush("s1", NOW)
    run.refresh_from_db()
    assert run.status == RunStatus.SUCCEEDED
    json.dumps(run.result)


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "\N{GRINNING FACE}", "x" * 2 * LIMIT, "%s %", "\\u0000"])
def test_awkward_output_and_errors_are_written(recorder: Recorder, clock: FakeClock, text: str) -> None:
    run = held()
    going = activity(run)
    recorder.started(going)
    going.output.write(text)
    recorder.flush_live("s1")
    failed = runner.execute(held_run(run.id, func="tests:fail", args=[text]), clock, recorder.started)
    recorder.finished(failed)
    assert recorder.flush("s1", NOW) == [failed]


@pytest.mark.parametrize("progress", [(True, False), (0, 2**63 - 1), (5, None)])
def test_awkward_progress_is_written(recorder: Recorder, progress: tuple[int, int | None]) -> None:
    run = held(status=RunStatus.RUNNING)
    going = activity(run)
    going.context.progress(*progress)
    recorder.started(going)
    recorder.flush_live("s1")
    recorder.finished(outcome(run.id, progress=going.context.progress_made))
    recorder.flush("s1", NOW)
    run.refresh_from_db()
    assert (run.progress_done, run.progress_total) == progress
