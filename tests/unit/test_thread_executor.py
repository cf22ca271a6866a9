"""The thread executor: every run that it gets is started once, taken back, or still queued."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

import pytest
from apscheduler.schedulers.blocking import BlockingScheduler

from jobs.core.held import HeldRun
from jobs.scheduler.executors.thread import ThreadExecutor
from tests.fakes import held_run, make_hooks

Make = Callable[..., ThreadExecutor]


class Threads(ThreadExecutor):
    """Threads that call a function of the test with each run."""

    call: Callable[[HeldRun], None]

    def _run(self, run: HeldRun) -> None:
        self.call(run)


@pytest.fixture
def make() -> Iterator[Make]:
    """Return a function that starts an executor; all are shut down afterwards."""
    made: list[ThreadExecutor] = []

    def start(
        call: Callable[[HeldRun], None], threads: int = 2, on_low: Callable[[str], None] = lambda name: None
    ) -> ThreadExecutor:
        executor = Threads(threads, make_hooks(on_low=on_low))
        executor.call = call
        executor.start(BlockingScheduler(), "test")
        made.append(executor)
        return executor

    yield start
    for executor in made:
        executor.shutdown()


def test_each_run_is_executed_once(make: Make) -> None:
    seen: list[int] = []
    executor = make(lambda run: seen.append(run.id), threads=4)
    executor.submit_all([held_run(number) for number in range(500)])
    executor.submit_job(held_run(500), [])
    executor.shutdown()
    assert sorted(seen) == list(range(501))


def test_runs_are_started_in_the_order_of_their_submission(make: Make) -> None:
    seen: list[int] = []
    executor = make(lambda run: seen.append(run.id), threads=1)
    executor.submit_all([held_run(number) for number in range(100)])
    executor.shutdown()
    assert seen == list(range(100))


def test_each_thread_has_a_run_at_once(make: Make) -> None:
    together = threading.Barrier(3)
    executor = make(lambda run: together.wait(timeout=60) and None, threads=3)
    executor.submit_all([held_run(number) for number in range(3)])
    executor.shutdown()
    assert not together.broken


def test_runs_that_have_not_started_can_be_taken_back(make: Make) -> None:
    started, release = threading.Event(), threading.Event()
    seen: list[int] = []

    def execute(run: HeldRun) -> None:
        seen.append(run.id)
        started.set()
        release.wait(timeout=60)

    executor = make(execute, threads=1)
    executor.submit_all([held_run(1), held_run(2), held_run(3)])
    assert started.wait(timeout=60)
    assert executor.queued == 2
    assert [run.id for run in executor.take_back()] == [2, 3]
    assert executor.queued == 0
    release.set()
    executor.shutdown()
    assert seen == [1]


def test_a_run_is_held_until_it_ends(make: Make) -> None:
    started, release, idle = threading.Event(), threading.Event(), threading.Event()

    def execute(run: HeldRun) -> None:
        started.set()
        release.wait(timeout=60)

    executor = make(execute, threads=1, on_low=lambda name: idle.set())
    assert idle.wait(timeout=60)
    idle.clear()
    executor.submit_all([held_run()])
    assert started.wait(timeout=60)
    assert (executor.queued, executor.taken, executor.held()) == (0, 1, {1})
    release.set()
    assert idle.wait(timeout=60)
    assert executor.taken == 0


def test_it_reports_that_its_queue_is_empty(make: Make) -> None:
    low, done = queue.SimpleQueue[str](), threading.Event()
    executor = make(lambda run: done.set(), threads=1, on_low=low.put)
    assert low.get(timeout=60) == "test"
    executor.submit_all([held_run()])
    assert done.wait(timeout=60)
    assert low.get(timeout=60) == "test"


def test_a_thread_survives_every_exception(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[int] = []

    def execute(run: HeldRun) -> None:
        seen.append(run.id)
        raise SystemExit

    executor = make(execute, threads=1)
    executor.submit_all([held_run(1), held_run(2)])
    executor.shutdown()
    assert seen == [1, 2]
    assert {record.action for record in caplog.records} == {"executor_failed"}


def test_shutdown_without_waiting_returns_while_runs_go_on(make: Make) -> None:
    started, release = threading.Event(), threading.Event()

    def execute(run: HeldRun) -> None:
        started.set()
        release.wait(timeout=60)

    executor = make(execute, threads=1)
    executor.submit_all([held_run()])
    assert started.wait(timeout=60)
    executor.shutdown(wait=False)
    assert executor.taken == 1
    release.set()
