"""The services of runs: run now, cancel, retry."""

from __future__ import annotations

from typing import Any

import pytest

from jobs import services
from jobs.core.exceptions import InvalidArguments, RunActive, RunFinished, RunNotFound
from jobs.core.runs import FINISHED, RunStatus, RunTrigger
from jobs.models import Control, Run
from jobs.scheduler.store import admission
from jobs.services.idempotency import once
from tests.fakes import NOW, after, by, make_job, make_run

pytestmark = pytest.mark.django_db

ENDED = list(FINISHED)


# --- run now ---------------------------------------------------------------------------------------------------------


def test_a_run_has_what_its_job_says_of_it() -> None:
    make_job(timeout=9, priority=3, concurrency_group="g")
    run = services.run_job("job", now=NOW)
    assert (run.executor, run.timeout, run.priority, run.concurrency_group) == ("process", 9, 3, "g")


def test_arguments_of_its_own_take_the_place_of_the_jobs() -> None:
    make_job(func="tests:mark", args=["/nowhere"], kwargs={"seconds": 5})
    run = services.run_job("job", now=NOW, args=["/elsewhere"])
    assert (run.args, run.kwargs) == (["/elsewhere"], {"seconds": 5})
    run = services.run_job("job", now=NOW, kwargs={})
    assert (run.args, run.kwargs) == (["/nowhere"], {})


@pytest.mark.parametrize(
    ("given", "field"),
    [({"args": "abc"}, "args"), ({"kwargs": [1]}, "kwargs"), ({"kwargs": {"nobody": 1}}, "kwargs"),
     ({"args": ["\x00"]}, "args")],
    ids=repr,
)  # fmt: skip
def test_arguments_that_do_not_fit_are_named_and_nothing_is_queued(given: dict[str, Any], field: str) -> None:
    make_job(func="tests:echo")
    with pytest.raises(InvalidArguments) as caught:
        services.run_job("job", now=NOW, **given)
    assert list(caught.value.fields) == [field]
    assert not Run.objects.exists()


def test_a_run_starts_only_when_its_job_has_an_instance_free() -> None:
    make_job()
    active = make_run(status=RunStatus.RUNNING, scheduler_id="s2", scheduled_time=after(-10))
    run = services.run_job("job", now=NOW)
    assert admission.admit("s1", {"thread": 5}, NOW) == []
    Run.objects.filter(pk=active.pk).update(status=RunStatus.SUCCEEDED, finished_at=NOW)
    assert [held.id for held in admission.admit("s1", {"thread": 5}, NOW)] == [run.pk]


# --- cancel ----------------------------------------------------------------------------------------------------------


def test_a_run_that_nobody_holds_ends_at_once() -> None:
    run = services.cancel_run(make_run().pk, now=after(1))
    assert (run.status, run.finished_at, run.reason) == (RunStatus.CANCELLED, after(1), "cancelled by a request")


@pytest.mark.parametrize("status", [RunStatus.QUEUED, RunStatus.RUNNING])
def test_the_end_of_a_run_that_a_scheduler_holds_is_asked_for(status: RunStatus) -> None:
    with by("ann"):
        run = services.cancel_run(make_run(status=status, scheduler_id="s1").pk, now=after(1))
    assert (run.status, run.finished_at) == (status, None)
    assert (run.cancel_requested_at, run.reason) == (after(1), "cancelled by ann")


@pytest.mark.parametrize("status", ENDED)
def test_a_run_that_has_ended_can_not_be_cancelled(status: RunStatus) -> None:
    run = make_run(status=status)
    with pytest.raises(RunFinished, match=f"run {run.pk} has ended already: {status.replace('_', ' ')}"):
        services.cancel_run(run.pk, now=NOW)


@pytest.mark.parametrize("run_id", [0, -1, 10**6, 2**63, 10**40, "x"])
@pytest.mark.parametrize("wish", [services.cancel_run, services.retry_run])
def test_a_wish_for_an_unknown_run_is_refused(wish: Any, run_id: Any) -> None:
    with pytest.raises(RunNotFound, match="there is no run"):
        wish(run_id, now=NOW)


# --- retry -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ENDED)
def test_a_run_that_has_ended_gets_one_more_attempt_with_all_that_it_had(status: RunStatus) -> None:
    run = make_run(status=status, args=[1], kwargs={"a": 2}, executor="process", timeout=5, priority=3,
                   concurrency_group="g", fire_times=7)  # fmt: skip
    with by("ann"):
        again = services.retry_run(run.pk, now=after(60))
    again.refresh_from_db()
    assert (again.status, again.attempt, again.trigger, again.actor) == ("queued", 2, RunTrigger.RETRY, "ann")
    assert (again.scheduled_time, again.queued_at, again.available_at) == (NOW, after(60), None)
    names = ("job_id", "func", "args", "kwargs", "executor", "timeout", "priority", "concurrency_group", "fire_times")
    assert [getattr(again, name) for name in names] == [getattr(run, name) for name in names]


def test_attempts_are_counted_on_from_the_last_whichever_is_named() -> None:
    first = make_run(status=RunStatus.FAILED)
    make_run(status=RunStatus.FAILED, attempt=2)
    assert services.retry_run(first.pk, now=NOW).attempt == 3


@pytest.mark.parametrize("status", [RunStatus.QUEUED, RunStatus.RUNNING])
def test_while_an_attempt_is_active_there_is_no_other(status: RunStatus) -> None:
    first = make_run(status=RunStatus.FAILED)
    active = make_run(status=status, attempt=2)
    for run in (first, active):
        with pytest.raises(RunActive, match=f"run {active.pk}, an attempt of the same fire time, is {status}"):
            services.retry_run(run.pk, now=NOW)


def test_the_run_of_a_removed_job_can_be_tried_again() -> None:
    run = make_run("removed", status=RunStatus.FAILED)
    services.retry_run(run.pk, now=NOW)
    assert [held.job_id for held in admission.admit("s1", {"thread": 5}, NOW)] == ["removed"]


LONG_NAME = "a.person.with.a.very.long.name@" + "x" * 300 + ".example.com"


def test_a_name_of_any_length_may_ask_for_anything() -> None:
    make_job()
    with by(LONG_NAME):
        run = services.run_job("job", now=NOW)
        services.cancel_run(run.pk, now=NOW)
        services.retry_run(run.pk, now=NOW)
        services.skip_next("job", now=NOW)
        services.pause_all(now=NOW)
    assert set(Run.objects.values_list("actor", flat=True)) == {LONG_NAME[:254]}
    assert Run.objects.filter(actor=LONG_NAME).count() == 3
    assert Control.objects.get().actor == LONG_NAME[:254]


def test_a_name_of_any_length_may_repeat_a_request() -> None:
    def ask() -> tuple[dict[str, Any], bool]:
        return once("key", actor=LONG_NAME, digest="d", now=NOW, work=lambda: {"a": 1})

    assert [ask(), ask()] == [({"a": 1}, False), ({"a": 1}, True)]
