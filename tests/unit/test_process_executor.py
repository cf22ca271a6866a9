"""The process executor without processes: it asks before it starts a run."""

from __future__ import annotations

from typing import Any

from jobs.core.runs import RunStatus
from jobs.scheduler.executors.process import ProcessExecutor
from jobs.scheduler.recorder import Recorder
from tests.fakes import held_run, make_hooks


class SlowWorker:
    """A worker that takes so long to load that the lease runs out; the lease is held again when a test says so."""

    runs = 0
    alive = True

    def __init__(self) -> None:
        """Start while the lease is held."""
        self.lease_held = True
        self.called: list[int] = []

    def get_ready(self, output: Any) -> None:
        """Take long."""
        self.lease_held = False

    def call(self, run: Any, activity: Any) -> dict[str, Any]:
        """Remember the call."""
        self.called.append(run.id)
        return {"status": RunStatus.SUCCEEDED, "traceback": ""}


def test_a_run_whose_lease_ran_out_while_its_process_was_starting_is_not_started() -> None:
    worker = SlowWorker()
    recorder = Recorder(lambda ended: None)
    hooks = make_hooks(recorder=recorder, may_start=lambda run: worker.lease_held)
    executor = ProcessExecutor(1, hooks, start_worker=lambda: worker)  # type: ignore[arg-type, return-value]
    executor._run(held_run(7))
    assert worker.called == []
    assert not recorder.dirty
    worker.lease_held = True
    executor._run(held_run(8))
    assert worker.called == [8]
    assert recorder.unwritten() == {8}
