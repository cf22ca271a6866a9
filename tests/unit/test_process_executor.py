"""The process executor without processes: it asks before it starts a run, and leaves nothing open."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
from typing import Any

import pytest

from jobs.calls.launch import Launcher
from jobs.calls.parent import ChildProcess, is_readable
from jobs.core.held import CallEnd
from jobs.core.runs import RunStatus
from jobs.scheduler.executors.process import ProcessExecutor
from jobs.scheduler.recorder import Recorder
from tests.fakes import held_run, make_hooks


class SlowWorker:
    """A worker that takes so long to load that the lease runs out; the lease is held again when a test says so."""

    runs = 0
    takes_runs = True

    def __init__(self) -> None:
        """Start while the lease is held."""
        self.lease_held = True
        self.called: list[int] = []

    def get_ready(self, output: Any) -> None:
        """Take long."""
        self.lease_held = False

    def call(self, run: Any, activity: Any) -> CallEnd:
        """Remember the call."""
        self.called.append(run.id)
        return CallEnd(RunStatus.SUCCEEDED)


def test_a_run_whose_lease_ran_out_while_its_process_was_starting_is_not_started() -> None:
    worker = SlowWorker()
    recorder = Recorder(lambda ended: None)
    hooks = make_hooks(recorder=recorder, may_start=lambda run: worker.lease_held)
    executor = ProcessExecutor(1, hooks, start_process=lambda: worker)  # type: ignore[arg-type, return-value]
    executor._run(held_run(7))
    assert worker.called == []
    assert not recorder.dirty
    worker.lease_held = True
    executor._run(held_run(8))
    assert worker.called == [8]
    assert recorder.unwritten() == {8}


def test_where_descriptors_run_out_a_process_that_does_not_start_leaves_none_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_pipe, opened, closed = os.pipe, list[int](), list[int]()

    def pipe() -> tuple[int, int]:
        if len(opened) >= 4:
            raise OSError(errno.EMFILE, "too many open files")
        made = make_pipe()
        opened.extend(made)
        return made

    close = os.close
    monkeypatch.setattr(os, "pipe", pipe)
    monkeypatch.setattr(os, "close", lambda descriptor: (closed.append(descriptor), close(descriptor)))
    with pytest.raises(OSError, match="too many open files"):
        ChildProcess(Launcher.of_this_process())
    assert closed == opened


def test_a_descriptor_above_those_of_select_can_be_waited_for() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limits[0], min(2048, limits[1])), limits[1]))
    reader, writer = os.pipe()
    high = fcntl.fcntl(reader, fcntl.F_DUPFD, 1100)
    try:
        assert not is_readable(high)
        os.write(writer, b"x")
        assert is_readable(high)
    finally:
        for descriptor in (reader, writer, high):
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
