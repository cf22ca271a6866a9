"""The processes of a slot that end when nobody expects it: which runs fail, and which get another process."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jobs.calls import parent
from jobs.calls.call_note import CallNote, open_memory
from jobs.calls.launch import Launcher
from jobs.calls.output import Output
from jobs.calls.parent import ChildProcess
from jobs.calls.runner import Activity
from jobs.calls.slot import TOO_LATE, TRIES, Slot
from jobs.core.held import CallEnd
from jobs.core.runs import RunStatus
from tests.fakes import NOW, held_run

Ran = Callable[..., CallEnd]


class Processes:
    """Starts the processes of a slot, and may end each before anybody can use it."""

    def __init__(self) -> None:
        """Have started none."""
        self.started: list[ChildProcess] = []
        self.doomed, self.number = 0, signal.SIGKILL

    def start(self) -> ChildProcess:
        """Start one; end it if it is one of the next `doomed`."""
        worker = ChildProcess(Launcher.of_this_process())
        self.started.append(worker)
        if self.doomed:
            self.doomed -= 1
            os.kill(worker._process.pid, self.number)
        return worker

    def end_last(self, number: int) -> None:
        """Send a signal to the last one."""
        os.kill(self.started[-1]._process.pid, number)


@pytest.fixture
def processes() -> Processes:
    return Processes()


@pytest.fixture
def slot(processes: Processes) -> Iterator[Slot]:
    made = Slot(processes.start)
    yield made
    made.replace()


@pytest.fixture
def ran(slot: Slot) -> Ran:
    """Call a function in the slot as an executor does, and return how its run ended."""

    def run(
        func: str, *args: Any, before: Callable[[], object] = lambda: None, may_call: Any = lambda: True, **kwargs: Any
    ) -> CallEnd:
        output = Output()
        slot.get_ready(output)
        slot.take(7)
        before()
        called = held_run(7)._replace(func=func, args=list(args), kwargs=kwargs)
        return slot.call(called, Activity(called, NOW, output), may_call)

    return run


def test_the_run_after_one_whose_process_was_told_to_end_gets_another_process(
    ran: Ran, processes: Processes, tmp_path: Path
) -> None:
    ended = ran("tests:signal_itself", signal.SIGTERM, marks=str(tmp_path / "marks"))
    assert (ended.status, ended.error) == ("failed", "SystemExit: 143")
    assert ran("tests:echo", "called").result == '"called"'
    assert len(processes.started) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_is_told_to_end_before_it_calls_the_function_is_replaced(
    ran: Ran, processes: Processes, number: int
) -> None:
    ended = ran("tests:echo", "called", before=lambda: processes.end_last(number))
    assert ended.result == '"called"'
    assert len(processes.started) == 2


def test_a_function_that_was_called_is_not_called_again(ran: Ran, processes: Processes, tmp_path: Path) -> None:
    ended = ran("tests:signal_itself", signal.SIGKILL, marks=str(tmp_path / "marks"))
    assert ended == CallEnd(RunStatus.FAILED, error="the process was ended by SIGKILL")
    assert len((tmp_path / "marks").read_text().splitlines()) == 1
    assert len(processes.started) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_is_ended_while_it_starts_is_replaced(ran: Ran, processes: Processes, number: int) -> None:
    processes.doomed, processes.number = 1, number
    assert ran("tests:echo", "called").result == '"called"'
    assert len(processes.started) == 2


def test_a_run_fails_if_no_process_lives_long_enough(ran: Ran, processes: Processes) -> None:
    processes.doomed = 100
    ended = ran("tests:echo", "called")
    assert ended == CallEnd(RunStatus.FAILED, error="the process was ended by SIGKILL before it called the function")
    assert len(processes.started) == TRIES


def test_a_process_that_is_not_ready_in_time_fails_the_run_and_is_not_tried_again(
    ran: Ran, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parent, "START_SECONDS", 0.0)
    ended = ran("tests:echo", "called")
    assert ended == CallEnd(RunStatus.FAILED, error="no process could run it: it was not ready within 0 s")
    assert len(processes.started) == 1
    monkeypatch.undo()
    assert ran("tests:echo", "called").result == '"called"'


def test_a_long_result_is_not_cut_by_what_another_process_of_the_function_reports(ran: Ran) -> None:
    result = "ö" * 30_000  # 180,000 bytes on its way, and a pipe holds 65,536
    for _ in range(3):
        ended = ran("tests:report_beside", result)
        assert (ended.status, ended.result) == ("succeeded", f'"{result}"')


@pytest.mark.parametrize("end", ['{"status": "x"}', '{"status": "succeeded", "result": 1}', "7"])
def test_a_run_whose_function_makes_up_an_end_fails(ran: Ran, end: str) -> None:
    error = "no process could run it: the end that its process reported is malformed"
    assert ran("tests:make_up_an_end", end) == CallEnd(RunStatus.FAILED, error=error)
    assert ran("tests:echo", "called").result == '"called"'


@pytest.mark.parametrize("system", ["linux", "others"])
def test_a_note_of_a_call_is_read_where_it_was_not_written(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if system == "others":
        monkeypatch.delattr(os, "memfd_create", raising=False)
    memory = open_memory()
    here, there = CallNote(memory), CallNote(memory)
    os.close(memory)
    assert here.run_id == 0
    there.write(2**63 - 1)
    there.close()
    assert here.run_id == 2**63 - 1
    here.close()


def test_a_run_is_not_called_by_another_process_after_its_lease(ran: Ran, processes: Processes) -> None:
    answers = iter([True, False])
    end = lambda: processes.end_last(signal.SIGKILL)  # noqa: E731
    ended = ran("tests:echo", "called", before=end, may_call=lambda: next(answers))
    assert ended == CallEnd(RunStatus.LOST, reason=TOO_LATE)


def test_a_run_that_was_stopped_is_not_called_by_another_process(ran: Ran, slot: Slot, processes: Processes) -> None:
    def stop() -> bool:
        if len(processes.started) == 2:
            slot.stop(7, RunStatus.CANCELLED, "cancelled by anna")
        return True

    ended = ran("tests:echo", "called", before=lambda: processes.end_last(signal.SIGKILL), may_call=stop)
    assert ended == CallEnd(RunStatus.CANCELLED, reason="cancelled by anna")


def test_the_end_of_a_scheduler_starts_no_other_process(ran: Ran, slot: Slot, processes: Processes) -> None:
    end = partial(slot.stop, 7, RunStatus.LOST, "its scheduler was ended at once", at_once=True)
    assert ran("tests:echo", "called", before=end).status == "lost"
    assert len(processes.started) == 1
