"""If the database refuses an outcome, only its run fails, with the reason, and everything else goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import DataError, IntegrityError, connection

from jobs.calls.output import Output
from jobs.calls.runner import Activity
from jobs.core.runs import RunStatus
from jobs.models import Job, Run
from jobs.scheduler.scheduler import Scheduler
from tests.fakes import FakeClock, after, held_run, make_job, make_run, outcome

from .loop_support import step

pytestmark = pytest.mark.django_db
MakeLoop = Callable[..., Scheduler]


@contextmanager
def refusing(text: str, error: type[Exception] = DataError) -> Iterator[None]:
    """Make the database refuse statements with `text` in their parameters, like one with another encoding."""
    tests_own = len(connection.savepoint_ids)

    def execute(run: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if text in str(params):
            if connection.vendor == "postgresql" and len(connection.savepoint_ids) > tests_own:
                run("SELECT 1/0", (), many, context)  # a statement that fails breaks the transaction
            raise error(f"character {text} has no equivalent in encoding LATIN1")
        return run(sql, params, many, context)

    with connection.execute_wrapper(execute):
        yield


def ended(loop: Scheduler, *outcomes: Any) -> None:
    """Let the loop record outcomes of runs that it holds."""
    for found in outcomes:
        loop.tick.recorder.finished(found)


def held(loop: Scheduler, job_id: str, **fields: Any) -> int:
    """Write a run that the loop is running."""
    make_job(job_id, next_run_time=None)
    run = make_run(job_id, status=RunStatus.RUNNING, scheduler_id=loop.tick.lease.scheduler_id, **fields)
    return run.pk


def write(loop: Scheduler, clock: FakeClock) -> None:
    clock.advance(1)
    step(loop)


@pytest.mark.parametrize("error", [DataError, IntegrityError, UnicodeError, TypeError])
@pytest.mark.parametrize("field", ["output", "error", "traceback", "result", "reason"])
def test_an_outcome_that_the_database_refuses_fails_and_the_others_are_written(
    make_loop: MakeLoop, clock: FakeClock, field: str, error: type[Exception]
) -> None:
    loop = make_loop()
    good, bad, later = (held(loop, name) for name in ("good", "bad", "later"))
    value = '"5 €"' if field == "result" else "5 €"
    ended(
        loop,
        outcome(good, job_id="good", output="fine"),
        outcome(bad, job_id="bad", **{field: value}),
        outcome(later, job_id="later", result="7"),
    )
    with refusing("€", error):
        write(loop, clock)
        assert not loop.tick.recorder.dirty
    runs = {run.job_id: run for run in Run.objects.all()}
    assert {name: run.status for name, run in runs.items()} == {
        "good": "succeeded", "bad": "failed", "later": "succeeded",
    }  # fmt: skip
    assert runs["bad"].error.startswith("the database refused to store its outcome, which was succeeded")
    assert runs["bad"].output == ("5 ?" if field == "output" else "")
    assert runs["later"].result == 7
    assert Job.objects.get(pk="bad").failure_count == 1
    assert Job.objects.get(pk="good").run_count == 1


def test_an_outcome_of_which_every_text_is_refused_fails_without_them(make_loop: MakeLoop, clock: FakeClock) -> None:
    loop = make_loop()
    run_id = held(loop, "bad")
    ended(loop, outcome(run_id, job_id="bad", output="too long", error="too long", status=RunStatus.TIMED_OUT))
    with refusing("too long"):
        write(loop, clock)
    run = Run.objects.get()
    assert (run.status, run.output) == ("failed", "")
    assert run.error == "the database refused to store its outcome, which was timed_out"


@pytest.mark.parametrize(
    ("text", "end"),
    [('"id":"bad"', ("lost", "the database refused to store its outcome, which was succeeded")), ("777777", None)],
    ids=["its job", "its row"],
)
def test_a_run_of_which_everything_is_refused_is_given_up_and_the_others_are_written(
    make_loop: MakeLoop, clock: FakeClock, caplog: pytest.LogCaptureFixture, text: str, end: tuple[str, str] | None
) -> None:
    loop = make_loop()
    good = held(loop, "good")
    bad = held(loop, "bad", id=777_777)
    ended(loop, outcome(bad, job_id="bad"), outcome(good, job_id="good"))
    with refusing(text):
        write(loop, clock)
        assert not loop.tick.recorder.dirty
    run = Run.objects.get(pk=bad)
    assert (run.status, run.reason) == (end or ("running", ""))
    assert Run.objects.get(pk=good).status == "succeeded"
    assert "of the end of run 777777: its outcome, succeeded, is lost" in caplog.text
    assert loop._backoff.failures == 0


def test_a_refused_outcome_does_not_keep_jobs_from_being_claimed(make_loop: MakeLoop, clock: FakeClock) -> None:
    loop = make_loop()
    ended(loop, outcome(held(loop, "bad"), job_id="bad", output="€"))
    make_job("due", next_run_time=after(1))
    with refusing("€"):
        write(loop, clock)
    assert set(Run.objects.values_list("job_id", "status")) == {("bad", "failed"), ("due", "queued")}


def test_refused_output_of_a_running_run_is_shown_with_question_marks(make_loop: MakeLoop, clock: FakeClock) -> None:
    loop = make_loop()
    running = []
    for name in ("good", "bad"):
        activity = Activity(held_run(held(loop, name), job_id=name), clock.now(), Output())
        loop.tick.recorder.started(activity)
        running.append(activity)
    running[0].output.write("fine")
    running[1].output.write("5 €, ")
    with refusing("€"):
        write(loop, clock)
        running[1].output.write("6 €")
        write(loop, clock)
    assert dict(Run.objects.values_list("job_id", "output")) == {"good": "fine", "bad": "5 ?, 6 ?"}
