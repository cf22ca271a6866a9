"""The slots of a Celery worker: what becomes of runs when it stops, and of those for which no process starts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED

from jobs.calls import parent
from jobs.calls.launch import Launcher
from jobs.calls.output import Output
from jobs.calls.parent import ChildProcess, Stopped
from jobs.calls.runner import Activity
from jobs.calls.slot import TRIES, Slot
from jobs.core.held import CallEnd, HeldRun, Outcome
from jobs.core.runs import RunStatus
from jobs.scheduler.recorder import Recorder
from jobs.scheduler.store.dispatch import Dispatch
from jobs.worker import slots as module
from jobs.worker.slots import Slots
from tests.fakes import NOW, held_run, outcome
from tests.waiting import until


class FakeLedger:
    """A ledger that lets every run start, and keeps what ended."""

    def __init__(self) -> None:
        """Have nothing."""
        self.recorder = Recorder(lambda ended: None)
        self.closed_for = ""
        self.drains = False
        self.announced: list[int] = []
        self.sent_back: list[Dispatch] = []

    def set_ready(self, slots: int) -> None:
        """Note it."""
        self.announced.append(slots)

    def send_back(self, dispatch: Dispatch) -> None:
        """Note it."""
        self.sent_back.append(dispatch)

    def start(self, is_told_to_stop: Any) -> None:
        """Do nothing."""

    def start_run(self, dispatch: Dispatch) -> HeldRun:
        """Start it."""
        return held_run(dispatch.run_id)._replace(func="tests:record")

    def may_call(self, run: HeldRun) -> bool:
        """Allow it."""
        return True

    def drain(self) -> None:
        """Note it."""
        self.drains = True

    def close(self, reason: str) -> None:
        """Note why."""
        self.closed_for = reason

    @property
    def ended(self) -> list[Outcome]:
        """What ended."""
        return list(self.recorder.batch().outcomes)


class Process:
    """A worker process whose function ends when it is told to; `ignores` SIGTERM."""

    runs = 0
    takes_runs = True
    calls = threading.Semaphore(0)

    def __init__(self, *, ignores: bool = False) -> None:
        """Have no run."""
        self.ignores, self.killed = ignores, False
        self._stopped: Stopped | None = None
        self._end = threading.Event()

    def get_ready(self, output: Any) -> None:
        """Be ready."""

    def call(self, run: HeldRun, activity: Any) -> CallEnd:
        """Take until the end."""
        Process.calls.release()
        self._end.wait(60)
        assert self._stopped is not None
        raise self._stopped

    def stop(self, run_id: int, status: Any, reason: str) -> None:
        """Take note of SIGTERM."""
        self._stopped = Stopped(status, reason)
        if not self.ignores:
            self._end.set()

    def end_at_once(self) -> None:
        """Take SIGKILL."""
        self.killed = True
        self._end.set()

    def close(self) -> None:
        """Do nothing."""


@pytest.fixture
def ledger() -> FakeLedger:
    return FakeLedger()


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.fixture
def slots(ledger: FakeLedger, process: Process, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slots]:
    """One slot, whose shutdown takes no time, and has much where the machine stalls."""
    monkeypatch.setattr(module, "DRAIN_SECONDS", 0.2)
    monkeypatch.setattr(module, "END_AT_ONCE_SECONDS", 30.0)
    monkeypatch.setattr(module, "IDLE_CHECK_SECONDS", 0.02)
    made = Slots("reports@host", ["reports"], 1, start_process=lambda: process)  # type: ignore[arg-type, return-value]
    made.ledger = ledger  # type: ignore[assignment]
    yield made
    made.end_at_once()


def busy(slots: Slots) -> None:
    """Have a function called in the slot."""
    slots.start(lambda: False)
    assert slots.offer(Dispatch(7, "reports", "0" * 32))
    assert Process.calls.acquire(timeout=60)
    until(lambda: slots._slot_of_run)


def test_a_run_ends_when_its_call_has_ended(slots: Slots, ledger: FakeLedger) -> None:
    busy(slots)
    before = slots._clock.now()
    slots.stop(lambda: False)
    (ended,) = ledger.ended
    assert ended.started_at is not None
    assert ended.started_at <= before < ended.finished_at


def test_a_run_that_outlasts_its_grace_is_stopped_and_lost(slots: Slots, ledger: FakeLedger, process: Process) -> None:
    busy(slots)
    slots.stop(lambda: False)
    assert ledger.drains
    (ended,) = ledger.ended
    assert (ended.status, ended.reason) == ("lost", "its worker was stopped, and it did not end within 0 s")
    assert not process.killed, "its function could tidy up"
    assert ledger.closed_for == "its worker was stopped"


@pytest.mark.parametrize("end", [lambda slots: slots.stop(lambda: False), lambda slots: slots.end_at_once()])
def test_slots_that_are_stopped_take_no_more_runs(slots: Slots, end: Callable[[Slots], None]) -> None:
    slots.start(lambda: False)
    assert slots.free == 1
    end(slots)
    assert not slots.offer(Dispatch(8, "reports", "1" * 32)), "it would be acknowledged, and nobody would run it"
    assert slots.free == 0


def test_a_slot_whose_run_is_stopped_with_the_worker_starts_no_other_process(slots: Slots, process: Process) -> None:
    started: list[int] = []
    slots._start_process = lambda: started.append(1) or process  # type: ignore[assignment, func-returns-value, return-value]
    busy(slots)
    slots.stop(lambda: False)
    until(lambda: not any(thread.is_alive() for thread in slots._threads))
    assert len(started) == 1


def test_a_second_signal_leaves_no_time_to_tidy_up_and_the_run_says_so(
    slots: Slots, ledger: FakeLedger, process: Process
) -> None:
    process.ignores = True
    busy(slots)
    slots.stop(lambda: True)
    assert process.killed
    assert [(ended.status, ended.reason) for ended in ledger.ended] == [("lost", "its worker was ended at once")]
    assert ledger.closed_for == "its worker was ended at once"


def test_the_log_says_when_a_worker_begins_to_stop_and_when_it_has_stopped(
    slots: Slots, caplog: pytest.LogCaptureFixture
) -> None:
    busy(slots)
    with caplog.at_level("INFO", "cronzimus.worker"):
        slots.stop(lambda: False)
        slots.end_at_once()
    assert [record.getMessage() for record in caplog.records] == ["draining 1 runs, for at most 0 s", "stopped"]


def test_a_run_that_others_gave_up_is_killed_and_the_others_are_not(
    slots: Slots, ledger: FakeLedger, process: Process
) -> None:
    process.ignores = True
    busy(slots)
    slots.kill_runs("others gave it up", {8})
    assert not process.killed
    slots.kill_runs("others gave it up", {7})
    assert process.killed
    (ended,) = until(lambda: ledger.ended)
    assert (ended.run_id, ended.status) == (7, "lost")


def test_a_slot_that_is_busy_takes_no_second_run(slots: Slots) -> None:
    busy(slots)
    assert not slots.offer(Dispatch(8, "reports", "1" * 32))


class Starts:
    """Starts processes while it `works`."""

    def __init__(self, *, works: bool) -> None:
        """Have started none."""
        self.works, self.started = works, list[Process]()

    def __call__(self) -> Any:
        """Start one. Raises `OSError`."""
        if not self.works:
            raise OSError("no memory")
        self.started.append(Process())
        return self.started[-1]


def test_a_worker_whose_processes_do_not_start_takes_no_run_until_one_does(
    ledger: FakeLedger, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 0.01)
    starts, told = Starts(works=False), list[int]()
    slots = Slots("reports@host", ["reports"], 2, start_process=starts)
    slots.ledger = ledger  # type: ignore[assignment]
    slots.on_free = lambda: told.append(slots.free)
    with caplog.at_level("INFO", "cronzimus.worker"):
        slots.start(lambda: False)
        assert (ledger.announced[-1], slots.free) == (0, 0)
        assert not slots.offer(Dispatch(7, "reports", "0" * 32))
        starts.works = True
        until(lambda: slots.free == 2)
        until(lambda: ledger.announced[-1] == 2)
        slots.end_at_once()
    assert [record.getMessage() for record in caplog.records] == [
        "a process does not start; its slot takes no run until one does: no memory",
        "all processes start again",
        "stopped",
    ]
    assert sorted(told) in ([1, 2], [2, 2])  # both may be free when the first one tells it


def test_the_log_has_what_a_process_says_that_cannot_load_its_settings(
    ledger: FakeLedger, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 0.01)
    right = Launcher.of_this_process()
    wrong = replace(right, environment={**right.environment, "DJANGO_SETTINGS_MODULE": "nowhere.settings"})
    launchers = [wrong] * TRIES
    slots = Slots(
        "reports@host", ["reports"], 1, start_process=lambda: ChildProcess(launchers.pop() if launchers else right)
    )
    slots.ledger = ledger  # type: ignore[assignment]
    slots.start(lambda: False)
    error = "the process exited with status 1: ModuleNotFoundError: No module named 'nowhere'"
    assert f"its slot takes no run until one does: {error}\nTraceback" in caplog.text
    until(lambda: slots.free)
    slots.end_at_once()


def test_a_run_for_which_no_process_is_ready_goes_back_and_was_not_started(ledger: FakeLedger) -> None:
    starts = Starts(works=True)
    slots = Slots("reports@host", ["reports"], 1, start_process=starts)
    slots.ledger = ledger  # type: ignore[assignment]
    slots.start(lambda: False)
    until(lambda: slots.free)
    starts.works, starts.started[0].takes_runs = False, False  # it ended while it had no run
    sent = Dispatch(7, "reports", "0" * 32)
    assert slots.offer(sent)
    until(lambda: ledger.announced)
    assert (ledger.sent_back, ledger.ended, ledger.announced, slots.free) == ([sent], [], [0], 0)
    slots.end_at_once()


def test_a_slot_is_free_when_its_next_process_is_ready(
    slots: Slots, ledger: FakeLedger, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = threading.Event()
    busy(slots)
    monkeypatch.setattr(process, "get_ready", lambda output: ready.wait(60))
    slots.kill_runs("others gave it up", {7})  # its process is replaced
    until(lambda: ledger.ended)
    assert not slots.free
    ready.set()
    until(lambda: slots.free)


def test_the_end_of_a_worker_does_not_wait_for_a_process_that_does_not_start(
    ledger: FakeLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 300.0)
    slots = Slots("reports@host", ["reports"], 1, start_process=Starts(works=False))
    slots.ledger = ledger  # type: ignore[assignment]
    slots.start(lambda: False)
    slots.stop(lambda: False)
    until(lambda: not any(thread.is_alive() for thread in slots._threads))


def test_the_ends_of_runs_are_logged_and_reported_to_the_listeners_as_a_scheduler_does(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[Any] = []
    slots = Slots("reports@host", ["reports"], 1, listeners=[heard.append], start_process=lambda: Process())  # type: ignore[arg-type, return-value]
    ended, slots.ledger = slots.ledger._on_ended, FakeLedger()  # type: ignore[assignment]
    slots.start(lambda: False)
    with caplog.at_level("INFO", "cronzimus.scheduler.events"):
        ended(outcome(7, result='{"a": 1}'))
        ended(outcome(8, status=RunStatus.FAILED, error="SystemExit: 3", traceback="Traceback …"))
    slots.stop(lambda: False)  # waits for the listeners
    assert [(event.code, event.run_id, event.status) for event in heard] == [
        (EVENT_JOB_EXECUTED, 7, "succeeded"), (EVENT_JOB_ERROR, 8, "failed")
    ]  # fmt: skip
    assert (heard[0].retval, str(heard[1].exception)) == ({"a": 1}, "SystemExit: 3")
    logged = [record for record in caplog.records if record.name == "cronzimus.scheduler.events"]
    assert [(record.levelname, record.action, record.run, record.job) for record in logged] == [  # type: ignore[attr-defined]
        ("INFO", "run_finished", 7, "job"), ("WARNING", "run_finished", 8, "job")
    ]  # fmt: skip
    assert logged[1].getMessage().endswith(": SystemExit: 3")


def test_a_run_that_is_stopped_while_its_call_begins_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    slot, output = Slot(lambda: ChildProcess(Launcher.of_this_process())), Output()
    slot.get_ready(output)
    run = held_run(7)._replace(func="tests:wait", args=[30], kwargs={})
    with_secrets = parent.with_secrets

    def stop_and_resolve(run: HeldRun) -> Any:
        slot.stop(7, RunStatus.CANCELLED, "cancelled by anna")
        return with_secrets(run)

    monkeypatch.setattr(parent, "with_secrets", stop_and_resolve)
    slot.take(7)
    ended = slot.call(run, Activity(run, NOW, output), lambda: True)
    slot.replace()
    assert ended == CallEnd(RunStatus.CANCELLED, "cancelled by anna")
