"""How a scheduler that ends takes its processes along."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.models import Run
from tests.waiting import until

from .process_runs import PATIENCE, ended, have_ended, is_alive, pids, queued, started
from .support import Process

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[Process]:
    """A scheduler with one thread and one process."""
    with started(tmp_path / "log") as process:
        yield process


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_process_dies_with_its_scheduler(scheduler: Process, tmp_path: Path) -> None:
    queued("tests:stubborn", str(tmp_path / "pids"))
    (worker,) = pids(tmp_path / "pids")
    assert is_alive(worker)
    scheduler.popen.kill()
    scheduler.wait(20)
    until(lambda: have_ended(worker), 20, "its end")


def test_what_a_function_started_dies_with_the_scheduler(scheduler: Process, tmp_path: Path) -> None:
    queued("tests:family", str(tmp_path / "pids"))
    family = pids(tmp_path / "pids")
    assert all(is_alive(pid) for pid in family)
    scheduler.popen.kill()
    scheduler.wait(20)
    until(lambda: have_ended(*family), 20, "their end")


@pytest.mark.slow
def test_a_scheduler_that_is_told_to_stop_lets_a_process_end(scheduler: Process) -> None:
    run = queued("tests:wait", 5)
    until(lambda: Run.objects.filter(pk=run.pk, status="running").exists(), PATIENCE, "its start")
    scheduler.send(signal.SIGTERM)
    assert scheduler.wait(20) == 0
    assert ended(run).result == "waited"


@pytest.mark.slow
def test_a_scheduler_that_is_told_to_end_at_once_ends_its_processes(scheduler: Process, tmp_path: Path) -> None:
    run = queued("tests:family", str(tmp_path / "pids"))
    family = pids(tmp_path / "pids")
    assert scheduler.force() == 1
    assert ended(run).status == "lost"
    until(lambda: have_ended(*family), 20, "their end")
