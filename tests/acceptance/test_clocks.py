"""Clocks that are wrong, and clocks that jump: on PostgreSQL the server's counts, on SQLite the machine's."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import skip_or_fail
from tests.waiting import let_pass, until

from .checker import Demand, Mark
from .support import Process, Site, instant
from .test_schedulers import assert_good, assert_in_time, stop

pytestmark = pytest.mark.slow

HOUR = 3600


class MovedClock:
    """A clock that a test moves, for processes that are started with its `environment`."""

    def __init__(self, library: Path, folder: Path, name: str, seconds: int = 0) -> None:
        """Make one that is `seconds` ahead."""
        self._file = folder / f"clock-{name}"
        self.move(seconds)
        self.environment = {
            "LD_PRELOAD": str(library),
            "PYTHONPATH": str(Path(__file__).parent / "clocks"),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            # Clocks that are monotonic are not set, in life as here.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def move(self, seconds: int) -> None:
        """Set it `seconds` ahead from now on."""
        part = self._file.with_suffix(".part")
        part.write_text(f"{seconds:+d}\n")
        os.replace(part, self._file)


@pytest.fixture
def moved_clock(tmp_path: Path) -> Callable[..., MovedClock]:
    """Return a function that makes a clock that a test moves."""
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not libraries:
        skip_or_fail("no libfaketime in /usr/lib (Debian: faketime)")
    return lambda name, seconds=0: MovedClock(libraries[0], tmp_path, name, seconds)


def ahead(mark: Mark) -> float:
    """Return the seconds by which the clock of the process of a mark was ahead."""
    assert mark.clock is not None
    return (mark.clock - mark.at).total_seconds()


def is_ahead(site: Site, process: Process, seconds: float) -> bool:
    """Tell whether the last call in `process` was by a clock that is `seconds` ahead."""
    marks = [mark for mark in site.marks() if mark.pid == process.pid]
    return bool(marks) and abs(ahead(marks[-1]) - seconds) < 5


def leases(site: Site) -> int:
    """Return the number of leases: one for each scheduler, unless a living one was given up."""
    ((count,),) = site.query("SELECT count(*) FROM cronzimus_scheduler")
    return int(count)


def all_beat(site: Site, seconds: float) -> bool:
    """Tell whether the last heartbeat of each scheduler was by a clock that is `seconds` ahead."""
    beats = site.query("SELECT heartbeat_at FROM cronzimus_scheduler WHERE stopped_at IS NULL")
    now = datetime.now(UTC)
    return all(abs((instant(beat) - now).total_seconds() - seconds) < 60 for (beat,) in beats)


@pytest.mark.postgresql
def test_on_postgresql_the_clocks_of_the_schedulers_count_for_nothing(
    make_site: Callable[[str], Site], moved_clock: Callable[..., MovedClock]
) -> None:
    site = make_site("postgresql")
    job_ids = [f"job-{number}" for number in range(12)]
    site.jobs = [site.job(job_id, seconds=0.2) for job_id in job_ids]
    slow, fast = moved_clock("slow", -90), moved_clock("fast", 90)
    right = site.scheduler(threads=4)
    behind = site.scheduler(threads=4, **slow.environment)
    before = site.scheduler(threads=4, **fast.environment)
    until(lambda: is_ahead(site, right, 0), 20, "the right one's runs")
    until(lambda: is_ahead(site, behind, -90), 20, "the slow one's runs")
    until(lambda: is_ahead(site, before, 90), 20, "the fast one's runs")
    slow.move(-HOUR)
    fast.move(HOUR)
    until(lambda: is_ahead(site, behind, -HOUR), 20, "the slow one's runs after the jump")
    until(lambda: is_ahead(site, before, HOUR), 20, "the fast one's runs after the jump")
    let_pass(6)  # a heartbeat, at which the server's clock is read again
    told = datetime.now(UTC)
    stop(right, behind, before)

    assert_good(site, *job_ids)
    lag, window = timedelta(seconds=6), timedelta(seconds=10)
    assert_in_time(site, Demand(job_ids=job_ids, until=told, lag=lag, window=window))
    assert leases(site) == 3


def test_on_sqlite_a_jump_of_the_machines_clock_loses_nothing_and_runs_nothing_twice(
    sqlite_site: Site, moved_clock: Callable[..., MovedClock]
) -> None:
    site, clock = sqlite_site, moved_clock("machine")
    job_ids = [f"job-{number}" for number in range(8)]
    site.jobs = [site.job(job_id, seconds=0.3) for job_id in job_ids]
    first, second = site.schedulers(2, threads=6, **clock.environment)
    until(lambda: is_ahead(site, first, 0) and is_ahead(site, second, 0), 20, "the first runs")
    clock.move(HOUR)
    until(lambda: is_ahead(site, first, HOUR) and is_ahead(site, second, HOUR), 20, "runs after the jump forward")
    until(lambda: all_beat(site, HOUR), 30, "a heartbeat of each")
    clock.move(0)
    until(lambda: all_beat(site, 0), 30, "a heartbeat of each after the jump back")
    let_pass(1)
    calls = len(site.marks())
    let_pass(3)
    assert len(site.marks()) == calls, "what has run does not run again where the clock goes through the hour again"
    clock.move(HOUR)
    until(lambda: len(site.marks()) >= calls + 2 * len(job_ids), 20, "runs as the old time is reached")
    stop(first, second)

    assert_good(site, *job_ids)
    assert leases(site) == 2
    assert {row.status for row in site.rows()} <= {"succeeded", "skipped", "queued"}
