"""A scheduler or worker that is process 1 of a container: it reaps children, obeys signals, and keeps timeouts."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import skip_or_fail
from tests.waiting import let_pass, until

from .support import Process, Site, instant
from .worker_site import WorkerSite

UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


@pytest.fixture(scope="module", autouse=True)
def pid_namespaces() -> None:
    """Skip the tests if this user cannot make a PID namespace."""
    if shutil.which("unshare") is None or subprocess.run([*UNSHARE, "true"], check=False).returncode != 0:
        skip_or_fail("a PID namespace needs Linux, unshare(1) and root")


@pytest.fixture
def container(sqlite_site: Site) -> Process:
    """A scheduler that is process 1 of a PID namespace, with jobs in processes that leave orphans and time out."""
    rule = {"executor": "process", "trigger": "interval", "seconds": 2}
    sqlite_site.jobs = [
        {"id": "orphan", "func": "tests:orphan", "timeout": 1, **rule},
        {"id": "quick", "func": "tests:echo", "trigger": "interval", "seconds": 1},
    ]
    command = [*UNSHARE, sys.executable, "manage.py", "runscheduler", "--threads=2", "--processes=1"]
    process = Process(command, sqlite_site.environment, sqlite_site.folder / "log")
    sqlite_site.processes.append(process)
    until(lambda: process.logged("ready; its id is") or not process.alive, 30, "the scheduler's start")
    return process


def children(pid: int) -> list[int]:
    """Return the children of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def seconds_of_timeouts(site: Site) -> list[int]:
    """Return how long the runs took that timed out."""
    rows = site.query("SELECT started_at, finished_at FROM cronzimus_run WHERE status = 'timed_out'")
    return [round((instant(ended) - instant(began)).total_seconds()) for began, ended in rows]


def assert_reaps(container: Process, site: Site) -> None:
    """Wait for two timeouts; check that they took no longer, and that process 1 has no zombies."""
    until(lambda: len(seconds_of_timeouts(site)) >= 2, 40, "two timeouts")
    # Its timeout is 1 s; where nobody reaps, SIGKILL comes after 6 s, for each of them. On a busy machine SIGTERM may
    # come before the orphan is started, which then has to be killed too.
    until(lambda: min(seconds_of_timeouts(site)) <= 4, 60, "a timeout in time")
    (process_1,) = children(container.pid)
    assert "init_process" in Path(f"/proc/{process_1}/cmdline").read_text()
    until(lambda: not [pid for pid in children(process_1) if is_zombie(pid)], 20, "the end of the zombies")


def test_process_1_reaps_and_timeouts_take_no_longer(container: Process, sqlite_site: Site) -> None:
    assert_reaps(container, sqlite_site)


@pytest.mark.slow
@pytest.mark.parametrize("broker_name", ["redis"], indirect=True)
def test_a_worker_as_process_1_does_so_too_and_stops_when_it_is_told_to(
    make_fleet: Callable[..., WorkerSite],
) -> None:
    fleet = make_fleet("sqlite")
    rule = {"trigger": "interval", "seconds": 1, "executor": "celery", "queue": fleet.broker.queue}
    fleet.add({"id": f"{fleet.prefix}orphan", "func": "tests:orphan", "timeout": 1, **rule})
    fleet.may_be("timed_out", "orphan")
    fleet.site.scheduler()
    celery = str(Path(sys.executable).with_name("celery"))
    command = [*UNSHARE, celery, "-A", "cronzimus_site", "worker", "-Q", fleet.broker.queue, "-c", "1", "-l", "INFO"]
    container = Process(command, fleet.site.environment, fleet.site.folder / "log")
    fleet.site.processes.append(container)
    assert_reaps(fleet.until_ready(container), fleet.site)
    (process_1,) = children(container.pid)
    subprocess.run(["kill", "-TERM", str(process_1)], check=True)
    assert container.wait(40) == 0
    fleet.worker()  # for the runs that are left


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_process_1_passes_a_signal_on_and_ends_with_the_scheduler(container: Process, number: signal.Signals) -> None:
    (process_1,) = children(container.pid)
    let_pass(1)
    subprocess.run(["kill", f"-{number.name[3:]}", str(process_1)], check=True)
    assert container.wait(30) == 0
    assert container.logged("draining")
    assert container.logged("stopped")


def test_process_1_passes_on_that_a_scheduler_could_not_start(sqlite_site: Site) -> None:
    command = [*UNSHARE, sys.executable, "manage.py", "runscheduler"]
    environment = {**sqlite_site.environment, "JOBS": '[{"id": "wrong"}]'}
    process = Process(command, environment, sqlite_site.folder / "log")
    sqlite_site.processes.append(process)
    assert process.wait(30) == 1
    assert process.logged("CommandError: JOBS")
