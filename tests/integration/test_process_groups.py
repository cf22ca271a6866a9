"""Process groups: a group of zombies counts as ended, and ending one waits no longer than it must."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from jobs.functions.process_groups import end_group, group_lives, signal_group

pytestmark = pytest.mark.any_database

Start = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts a shell script in a process group of its own; all are killed afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    def run(script: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(["sh", "-c", script], process_group=0, stdout=subprocess.PIPE)
        started.append(process)
        return process

    yield run
    for process in started:
        signal_group(process.pid, signal.SIGKILL)
        process.communicate()


def test_a_group_with_a_process_lives(start: Start) -> None:
    assert group_lives(start("sleep 300").pid)


def test_a_group_without_a_process_does_not(start: Start) -> None:
    process = start("true")
    process.wait()
    assert not group_lives(process.pid)


def test_a_group_of_zombies_does_not(start: Start) -> None:
    process = start("true")
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has reaped it
    assert not group_lives(process.pid)


def test_a_group_with_a_zombie_and_a_process_lives(start: Start) -> None:
    process = start("sleep 300 & exit 0")
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert group_lives(process.pid)


def test_a_group_that_ends_when_it_is_told_to_is_not_waited_for_longer(start: Start) -> None:
    process = start("sleep 300 & sleep 300")
    began = time.monotonic()
    end_group(process, 60)
    assert time.monotonic() - began < 30
    assert process.returncode == -signal.SIGTERM
    assert not group_lives(process.pid)


def test_a_group_that_does_not_end_is_killed(start: Start) -> None:
    process = start("trap '' TERM; echo ready; while :; do sleep 1; done")
    assert process.stdout is not None
    process.stdout.readline()
    end_group(process, 0.1)
    assert process.returncode == -signal.SIGKILL
