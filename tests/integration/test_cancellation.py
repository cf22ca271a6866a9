"""A person cancels a run: it ends at once if it has not started, or when its function asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jobs import services
from jobs.core.runs import RunStatus
from jobs.functions import registry
from jobs.functions.context import RunContext
from jobs.models import AuditEvent, Job, Run
from jobs.scheduler.scheduler import Scheduler as Loop
from jobs.scheduler.tick import STALL_SECONDS
from tests.fakes import NOW, FakeClock, InlineExecutor, after, by, make_job, make_run, make_scheduler

pytestmark = pytest.mark.django_db(transaction=True)

MakeLoop = Callable[..., Loop]
Calls = list[tuple[Any, ...]]


def work(loop: Loop) -> None:
    executor = loop.tick.executors.by_name["thread"]
    assert isinstance(executor, InlineExecutor)
    executor.work()
    loop.clock.advance(0.1)  # type: ignore[attr-defined]
    loop.tick.run()


def cancel(run_id: int, actor: str = "ann") -> Run:
    with by(actor):
        return services.cancel_run(run_id, now=NOW)


def test_a_waiting_run_is_cancelled_at_once() -> None:
    run = cancel(make_run().pk)
    assert (run.status, run.reason, run.finished_at) == (RunStatus.CANCELLED, "cancelled by ann", NOW)


def test_the_first_request_to_cancel_a_run_stands() -> None:
    make_job()
    run = make_run(status="running", scheduler=make_scheduler())
    with by("ann"):
        services.cancel_run(run.pk, now=NOW)
    with by("bob"):
        again = services.cancel_run(run.pk, now=after(5))
    assert (again.cancel_requested_at, again.reason) == (NOW, "cancelled by ann")
    assert AuditEvent.objects.filter(action="run_cancelled").count() == 1


def test_a_queued_run_that_is_cancelled_is_never_called(make_loop: MakeLoop, calls: Calls) -> None:
    make_job()
    loop = make_loop()
    loop.tick.run()
    run = cancel(Run.objects.get().pk)
    assert (run.status, run.cancel_requested_at) == (RunStatus.QUEUED, NOW)
    loop.tick.run()
    work(loop)
    run.refresh_from_db()
    assert calls == []
    assert (run.status, run.reason, run.started_at) == (RunStatus.CANCELLED, "cancelled by ann", None)


def test_a_cancelled_run_that_is_given_back_is_never_called(
    make_loop: MakeLoop, clock: FakeClock, calls: Calls
) -> None:
    make_run()
    loop = make_loop()
    loop.tick.run()
    run = cancel(Run.objects.get().pk)
    clock.advance(STALL_SECONDS + 0.1)  # nothing has started meanwhile: the next tick gives it back before it looks
    loop.tick.run()
    work(loop)
    run.refresh_from_db()
    assert calls == []
    assert (run.status, run.reason) == (RunStatus.CANCELLED, "cancelled by ann")
    assert run.finished_at == after(STALL_SECONDS + 0.1)


def during(monkeypatch: pytest.MonkeyPatch, loop: Loop, looks: bool) -> Run:
    """Cancel a run while its function is running; return it at its end. `looks`: the function asks whether to stop."""

    def call(context: RunContext) -> str:
        cancel(context.run_id)
        loop.tick.run()
        return "stopped" if looks and context.cancelled else "went on"

    monkeypatch.setitem(registry._functions, "tests:it", registry.Function("tests:it", call))
    make_run(func="tests:it")
    loop.tick.run()
    work(loop)
    return Run.objects.get(func="tests:it")


def test_a_function_that_asks_whether_it_is_cancelled_ends_as_cancelled(
    monkeypatch: pytest.MonkeyPatch, make_loop: MakeLoop
) -> None:
    run = during(monkeypatch, make_loop(), looks=True)
    assert (run.status, run.result, run.reason) == (RunStatus.CANCELLED, "stopped", "cancelled by ann")


def test_a_function_that_does_not_ask_ends_as_usual(monkeypatch: pytest.MonkeyPatch, make_loop: MakeLoop) -> None:
    run = during(monkeypatch, make_loop(), looks=False)
    assert (run.status, run.result, run.reason) == (RunStatus.SUCCEEDED, "went on", "cancelled by ann")


def test_a_cancelled_run_is_not_retried(make_loop: MakeLoop) -> None:
    make_job(retries={"max": 5, "delay": 0}, next_run_time=None)
    run = make_run()
    loop = make_loop()
    loop.tick.run()
    cancel(run.pk)
    loop.tick.run()
    work(loop)
    assert list(Run.objects.values_list("status", flat=True)) == ["cancelled"]


def test_the_next_run_starts_after_one_is_cancelled(make_loop: MakeLoop, calls: Calls) -> None:
    make_job(next_run_time=None)
    first, second = make_run(args=[1]), make_run(args=[2], scheduled_time=after(1))
    loop = make_loop()
    loop.tick.run()
    cancel(first.pk)
    for _ in range(4):
        loop.tick.run()
        work(loop)
    second.refresh_from_db()
    assert (calls, second.status) == ([(2,)], RunStatus.SUCCEEDED)


def test_a_cancelled_run_is_counted_for_its_job(make_loop: MakeLoop) -> None:
    make_job()
    loop = make_loop()
    loop.tick.run()
    cancel(Run.objects.get().pk)
    loop.tick.run()
    work(loop)
    job = Job.objects.get()
    assert (job.run_count, job.last_status) == (1, RunStatus.CANCELLED)
