"""Changes over HTTP reach the scheduler, which is another process, within a second."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.waiting import let_pass, until

from .checker import EARLY, Break, Mark, covered
from .conftest import MakeSite
from .support import Site, Web
from .test_races import status_of

SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def site(make_shared_site: MakeSite, request: pytest.FixtureRequest) -> Site:
    """A site with a scheduler, on each of the databases. The tests share it, each with jobs of its own."""
    site = make_shared_site(request.param)
    site.scheduler()
    return site


@pytest.fixture(scope="module")
def web(site: Site) -> Web:
    """Its web."""
    return site.web()


def add_due(site: Site, web: Web, job_id: str, seconds: float = 0) -> datetime:
    """Add a job that is due in `seconds`, and return when that is."""
    while True:
        due = datetime.now(UTC) + timedelta(seconds=seconds)
        job = site.job(job_id, trigger="date", run_date=due.isoformat())
        status, answer = status_of(web, "POST", "/scheduler/jobs", job)
        if status == 200:
            assert answer == {"id": job_id, "status": "added"}
            return due
        assert "lies in the past" in str(answer), answer  # the machine stalled


def first_call(site: Site, job_id: str) -> Mark:
    """Return the first call of a job."""
    return until(lambda: site.calls(job_id), 20, "the run")[0]


def shortest(delay: Callable[[int], timedelta], limit: timedelta) -> timedelta:
    """Return the shortest of up to three delays: a stall of the machine is in one of them, a fault in each."""
    found: list[timedelta] = []
    while len(found) < 3 and (not found or found[-1] >= limit):
        found.append(delay(len(found)))
    return min(found)


def test_a_job_that_is_due_now_starts_within_a_second(site: Site, web: Web) -> None:
    delays = []
    for number in range(5):
        due = add_due(site, web, f"now-{number}")
        delays.append(first_call(site, f"now-{number}").at - due)
    assert statistics.median(delays) < SECOND
    until(lambda: all(site.statuses(f"now-{number}") == ["succeeded"] for number in range(5)), 20, "the records")


def test_a_job_starts_within_a_second_of_its_due_time(site: Site, web: Web) -> None:
    def delay(number: int) -> timedelta:
        due = add_due(site, web, f"soon-{number}", seconds=1.5)
        return first_call(site, f"soon-{number}").at - due

    assert -EARLY <= shortest(delay, SECOND) < SECOND


def test_run_now_starts_within_a_second(site: Site, web: Web) -> None:
    def delay(number: int) -> timedelta:
        job_id = f"job-{number}"
        web.ask("POST", "/scheduler/jobs", site.job(job_id, trigger="interval", hours=1))
        asked = datetime.now(UTC)
        run_id = web.ask("POST", f"/scheduler/jobs/{job_id}/run", {})["run_id"]
        called = first_call(site, job_id).at
        until(lambda: web.ask("GET", f"/scheduler/runs/{run_id}")["status"] == "succeeded", 20, "its record")
        return called - asked

    assert shortest(delay, SECOND) < SECOND


def test_a_job_that_is_moved_starts_within_a_second_of_its_new_time(site: Site, web: Web) -> None:
    def delay(number: int) -> timedelta:
        job_id = f"moved-{number}"
        web.ask("POST", "/scheduler/jobs", site.job(job_id, trigger="interval", hours=1))
        web.ask("PUT", f"/scheduler/jobs/{job_id}", {"trigger": "interval", "seconds": 1})
        moved = datetime.now(UTC)
        return first_call(site, job_id).at - moved

    limit = 2 * SECOND  # its interval of one second, and one
    assert shortest(delay, limit) < limit


def test_a_job_that_is_paused_or_removed_starts_no_more(site: Site, web: Web) -> None:
    for job in (site.job("paused"), site.job("removed")):
        web.ask("POST", "/scheduler/jobs", job)
    until(lambda: site.calls("paused") and site.calls("removed"), 20, "the first runs")

    pausing = datetime.now(UTC)
    web.ask("POST", "/scheduler/jobs/paused/pause")
    paused = datetime.now(UTC)
    web.ask("DELETE", "/scheduler/jobs/removed")
    removed = datetime.now(UTC)

    let_pass(2)
    assert latest(site, "paused") < paused + EARLY
    assert latest(site, "removed") < removed + EARLY

    resuming = datetime.now(UTC)
    web.ask("POST", "/scheduler/jobs/paused/resume")
    resumed = datetime.now(UTC)
    until(lambda: latest(site, "paused") > resumed, 20, "the first run after the pause")
    off = Break(job_id="paused", start=(pausing, paused), end=(resuming, resumed))
    rows = [row for row in site.rows() if row.job_id == "paused"]
    assert not [at for _, at in covered(rows) if off.covers(at)]


def latest(site: Site, job_id: str) -> datetime:
    """Return the last fire time at which the job was called."""
    return max(mark.scheduled_time for mark in site.calls(job_id))
