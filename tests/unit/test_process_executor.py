"""The pool of processes, as far as it can be seen without one: it asks before it starts a run."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.core.runs import RunStatus
from jobs.scheduler.executors import ProcessExecutor, process
from jobs.scheduler.recorder import Recorder
from tests.fakes import FakeClock, held_run


class SlowWorker:
    """A worker that takes so long to load that the lease runs out."""

    runs = 0
    alive = True

    def __init__(self) -> None:
        """Note that there is one."""
        SlowWorker.lease_held = True
        SlowWorker.called: list[int] = []

    def get_ready(self, output: Any) -> None:
        """Take long."""
        SlowWorker.lease_held = False

    def call(self, run: Any, activity: Any) -> dict[str, Any]:
        """Note the call."""
        SlowWorker.called.append(run.id)
        return {"status": RunStatus.SUCCEEDED, "traceback": ""}


def test_a_run_whose_lease_ran_out_while_its_process_was_starting_is_not_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "Worker", SlowWorker)
    monkeypatch.setattr(SlowWorker, "lease_held", True, raising=False)
    recorder = Recorder(lambda ended: None)
    executor = ProcessExecutor(1, FakeClock(), recorder, lambda run: SlowWorker.lease_held, lambda: None)
    executor._call(held_run(7))
    assert SlowWorker.called == []
    assert not recorder.dirty
    monkeypatch.setattr(SlowWorker, "lease_held", True)
    executor._call(held_run(8))
    assert SlowWorker.called == [8]
    assert recorder.unwritten() == {8}
