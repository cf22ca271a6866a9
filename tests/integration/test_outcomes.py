"""Outcomes are written in batches, once, and only while the scheduler holds the runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection

from jobs.calls import runner
from jobs.calls.output import Output
from jobs.calls.runner import Activity
from jobs.core.held import CallEnd
from jobs.core.output import HEAD, LIMIT, TAIL, gap_line
from jobs.core.runs import RunStatus
from jobs.models import Job, Run
from jobs.scheduler.recorder import Recorder
from tests.fakes import NOW, FakeClock, after, held_run, make_job, make_run, outcome

from .conftest import failing_database
from .loop_support import flush, flush_live

pytestmark = pytest.mark.django_db


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(lambda ended: None)


def held(job_id: str = "job", **fields: Any) -> Run:
    return make_run(job_id, scheduler_id="s1", **fields)


def activity(run: Run, started_at: Any = NOW) -> Activity:
    return Activity(held_run(run.id, job_id=run.job_id), started_at, Output())


# --- starts and ends -------------------------------------------------------------------------------------------------


def test_a_start_is_written(recorder: Recorder) -> None:
    run = held()
    recorder.started(activity(run, after(3)))
    assert flush(recorder) == []
    run.refresh_from_db()
    assert (run.status, run.started_at, run.finished_at) == (RunStatus.RUNNING, after(3), None)


def test_an_end_is_written(recorder: Recorder) -> None:
    run = held()
    ended = outcome(
        run.id, started_at=after(1), finished_at=after(2.5), result='{"a": [1]}', output="hello\n", progress=(3, 4)
    )
    recorder.started(activity(run))
    recorder.finished(ended)
    assert flush(recorder) == [ended]
    run.refresh_from_db()
    assert (run.status, run.started_at, run.finished_at) == (RunStatus.SUCCEEDED, after(1), after(2.5))
    assert (run.result, run.output, run.progress_done, run.progress_total) == ({"a": [1]}, "hello\n", 3, 4)


def test_a_failure_is_written(recorder: Recorder) -> None:
    run = held()
    recorder.finished(outcome(run.id, status=RunStatus.FAILED, error="ValueError: bad", traceback="Traceback …"))
    flush(recorder)
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
        flush(recorder)
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
        assert len(flush(recorder)) == runs
    assert len(found) == 3
    assert Run.objects.filter(status=RunStatus.RUNNING).count() == runs
    assert Run.objects.filter(status=RunStatus.SUCCEEDED).count() == runs


def test_a_flush_of_nothing_takes_no_statement(recorder: Recorder, statements: Callable[[], Any]) -> None:
    with statements() as found:
        assert flush(recorder) == []
    assert found == []


# --- only what is held -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [RunStatus.LOST, RunStatus.CANCELLED, RunStatus.SUCCEEDED])
def test_a_run_that_was_given_up_stays_unchanged(recorder: Recorder, status: RunStatus) -> None:
    run = held(status=status)
    recorder.finished(outcome(run.id, status=RunStatus.FAILED))
    assert flush(recorder) == []
    run.refresh_from_db()
    assert (run.status, run.finished_at) == (status, NOW)
    assert not recorder.dirty


def test_a_run_that_another_scheduler_holds_is_not_written(recorder: Recorder) -> None:
    run = make_run(scheduler_id="s2")
    recorder.started(activity(run))
    flush(recorder)
    recorder.finished(outcome(run.id))
    assert flush(recorder) == []
    run.refresh_from_db()
    assert run.status == RunStatus.QUEUED


def test_a_run_that_was_given_up_does_not_keep_others_from_being_written(recorder: Recorder) -> None:
    lost, good = held("a", status=RunStatus.LOST), held("b")
    recorder.finished(outcome(lost.id, job_id="a"))
    recorder.finished(outcome(good.id, job_id="b"))
    assert [o.run_id for o in flush(recorder)] == [good.id]


def test_the_late_end_of_a_run_that_was_given_up_is_logged(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    run = held(status=RunStatus.LOST)
    recorder.finished(outcome(run.id))
    flush(recorder)
    assert [(record.action, record.run) for record in caplog.records] == [("run_not_held", run.id)]


# --- a database that fails -------------------------------------------------------------------------------------------


@pytest.fixture
def answer_lost(recorder: Recorder) -> Run:
    """A failed run with a retry. Its outcome is stored, but the database's answer never reached the recorder."""
    make_job(retries={"max": 1, "delay": 30})
    run = held()
    ended = outcome(run.id, status=RunStatus.FAILED, finished_at=after(1.234567))
    recorder.finished(ended)
    flush(recorder)
    recorder.finished(ended)
    return run


def test_an_outcome_whose_answer_was_lost_is_reported_like_any_other(
    recorder: Recorder, answer_lost: Run, caplog: pytest.LogCaptureFixture
) -> None:
    assert [ended.run_id for ended in flush(recorder)] == [answer_lost.id]
    assert caplog.records == []


@pytest.mark.usefixtures("answer_lost")
def test_an_outcome_whose_answer_was_lost_is_counted_once(recorder: Recorder) -> None:
    flush(recorder)
    assert (Job.objects.get().run_count, Run.objects.count()) == (1, 2)


def test_starts_and_outcomes_that_could_not_be_written_are_written_later(recorder: Recorder) -> None:
    started, ended = held("a"), held("b")
    recorder.started(activity(started))
    recorder.finished(outcome(ended.id, job_id="b"))
    with failing_database(OperationalError("gone")), pytest.raises(OperationalError):
        flush(recorder)
    assert recorder.dirty
    assert [o.run_id for o in flush(recorder)] == [ended.id]
    assert set(Run.objects.values_list("id", "status")) == {
        (started.id, RunStatus.RUNNING), (ended.id, RunStatus.SUCCEEDED)
    }  # fmt: skip


# --- counters --------------------------------------------------------------------------------------------------------


def test_the_counters_of_the_job_are_updated(recorder: Recorder) -> None:
    make_job()
    make_job("other")
    statuses = [RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.SUCCEEDED]
    for number, status in enumerate(statuses):
        run = held(scheduled_time=after(number))
        recorder.finished(outcome(run.id, status=status, finished_at=after(number)))
    flush(recorder)
    job = Job.objects.get(pk="job")
    assert (job.run_count, job.failure_count, job.last_status, job.last_run_at) == (3, 1, "succeeded", after(2))
    assert Job.objects.get(pk="other").run_count == 0


def test_the_last_status_is_that_of_the_run_that_ended_last(recorder: Recorder) -> None:
    make_job()
    late, early = held(scheduled_time=after(0)), held(scheduled_time=after(1))
    recorder.finished(outcome(late.id, status=RunStatus.FAILED, finished_at=after(9)))
    recorder.finished(outcome(early.id, finished_at=after(5)))
    flush(recorder)
    job = Job.objects.get()
    assert (job.last_status, job.last_run_at) == (RunStatus.FAILED, after(9))


def test_an_outcome_that_was_not_written_is_not_counted(recorder: Recorder) -> None:
    make_job()
    run = held(status=RunStatus.LOST)
    recorder.finished(outcome(run.id))
    flush(recorder)
    assert Job.objects.get().run_count == 0


def test_the_counters_leave_the_schedule_alone(recorder: Recorder) -> None:
    before = make_job()
    recorder.finished(outcome(held().id))
    flush(recorder)
    after_it = Job.objects.get()
    assert (after_it.next_run_time, after_it.updated_at) == (before.next_run_time, before.updated_at)


def test_the_outcome_of_a_removed_jobs_run_is_written(recorder: Recorder) -> None:
    run = held("removed")
    recorder.finished(outcome(run.id, job_id="removed"))
    flush(recorder)
    run.refresh_from_db()
    assert run.status == RunStatus.SUCCEEDED


# --- while it runs ---------------------------------------------------------------------------------------------------


def test_output_and_progress_are_shown_while_it_runs(recorder: Recorder) -> None:
    run = held(status=RunStatus.RUNNING)
    going = activity(run)
    recorder.started(going)
    going.output.write("so far")
    going.context.progress(1, 3)
    flush_live(recorder)
    run.refresh_from_db()
    assert (run.output, run.progress_done, run.progress_total) == ("so far", 1, 3)


def test_output_that_did_not_change_is_not_written_again(recorder: Recorder, statements: Callable[[], Any]) -> None:
    going = activity(held(status=RunStatus.RUNNING))
    recorder.started(going)
    going.output.write("so far")
    flush_live(recorder)
    with statements() as found:
        flush_live(recorder)
    assert found == []
    going.output.write(", and more")
    flush_live(recorder)
    assert Run.objects.get().output == "so far, and more"


def test_output_that_could_not_be_written_is_written_later(recorder: Recorder) -> None:
    going = activity(held(status=RunStatus.RUNNING))
    recorder.started(going)
    going.output.write("so far")
    with failing_database(OperationalError("gone")), pytest.raises(OperationalError):
        flush_live(recorder)
    flush_live(recorder)
    assert Run.objects.get().output == "so far"


def test_only_new_output_is_sent(recorder: Recorder) -> None:
    going = activity(held(status=RunStatus.RUNNING))
    recorder.started(going)
    going.output.write("größer\x00 " * 1000)
    flush_live(recorder)
    sent: list[int] = []

    def measure(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        sent.append(len(str(params)))
        return execute(sql, params, many, context)

    going.output.write("and more")
    with connection.execute_wrapper(measure):
        flush_live(recorder)
    assert sent[0] < 200
    assert Run.objects.get().output == going.output.stored().text
    going.context.progress(1)
    flush_live(recorder)
    assert Run.objects.get().output == going.output.stored().text


def test_the_head_and_the_tail_of_a_long_output_are_shown_while_it_grows(recorder: Recorder) -> None:
    going = activity(held(status=RunStatus.RUNNING))
    recorder.started(going)
    for text in ("a" * HEAD + "b" * 10, "c" * TAIL, "d" * TAIL, "e", "f" * LIMIT):
        going.output.write(text)
        flush_live(recorder)
        run = Run.objects.get()
        assert (run.output, run.output_omitted or 0) == going.output.stored()
        assert run.output_marks == going.output.marks()
    assert run.output == "a" * HEAD + gap_line(run.output_omitted) + "f" * TAIL
    recorder.finished(going.outcome(NOW, CallEnd(RunStatus.SUCCEEDED)))
    flush(recorder)
    run = Run.objects.get()
    assert (run.output, run.output_omitted) == going.output.stored()
    assert run.output_marks == going.output.marks()


def test_a_short_output_has_nothing_left_out(recorder: Recorder) -> None:
    going = activity(held(status=RunStatus.RUNNING))
    recorder.started(going)
    going.output.write("a" * LIMIT)
    flush_live(recorder)
    assert Run.objects.get().output_omitted is None
    recorder.finished(going.outcome(NOW, CallEnd(RunStatus.SUCCEEDED)))
    flush(recorder)
    assert Run.objects.get().output_omitted is None


def test_output_whose_answer_was_lost_is_not_written_twice(recorder: Recorder) -> None:
    going = activity(held(status=RunStatus.RUNNING))
    recorder.started(going)
    going.output.write("one, ")
    flush_live(recorder)
    known = dict(recorder._shown)
    going.output.write("two, ")
    flush_live(recorder)
    recorder._shown = known
    going.output.write("three")
    flush_live(recorder)
    assert Run.objects.get().output == "one, two, three"


def test_too_much_output_is_written_in_turns(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.scheduler.recorder.MAX_LIVE_CHARACTERS", 10)
    going = [activity(held(name, status=RunStatus.RUNNING)) for name in ("a", "b", "c")]
    shown = []
    for one in going:
        recorder.started(one)
        one.output.write("12345")
    for _ in range(2):
        flush_live(recorder)
        shown.append([run.output for run in Run.objects.order_by("id")])
        going[0].output.write("6")
    assert shown == [["12345", "12345", ""], ["12345", "12345", "12345"]]
    flush_live(recorder)
    assert Run.objects.earliest("id").output == "1234566"


def test_the_output_of_a_run_that_was_given_up_is_not_written(recorder: Recorder) -> None:
    run = held(status=RunStatus.LOST)
    going = activity(run)
    recorder.started(going)
    going.output.write("too late")
    flush_live(recorder)
    run.refresh_from_db()
    assert run.output == ""


# --- whatever a function does, its outcome can be written ------------------------------------------------------------


class Nul:
    """An object with a NUL in its `repr`, which `ascii` leaves in place."""

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
    flush(recorder)
    run.refresh_from_db()
    assert run.status == RunStatus.SUCCEEDED
    json.dumps(run.result)


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "\N{GRINNING FACE}", "x" * 2 * LIMIT, "%s %", "\\u0000"])
def test_awkward_output_and_errors_are_written(recorder: Recorder, clock: FakeClock, text: str) -> None:
    run = held()
    going = activity(run)
    recorder.started(going)
    going.output.write(text)
    flush_live(recorder)
    failed = runner.execute(held_run(run.id, func="tests:fail", args=[text]), clock, recorder.started)
    recorder.finished(failed)
    assert flush(recorder) == [failed]


@pytest.mark.parametrize("progress", [(True, False), (0, 2**63 - 1), (5, None)])
def test_awkward_progress_is_written(recorder: Recorder, progress: tuple[int, int | None]) -> None:
    run = held(status=RunStatus.RUNNING)
    going = activity(run)
    going.context.progress(*progress)
    recorder.started(going)
    flush_live(recorder)
    recorder.finished(outcome(run.id, progress=going.context.progress_made))
    flush(recorder)
    run.refresh_from_db()
    assert (run.progress_done, run.progress_total) == progress
