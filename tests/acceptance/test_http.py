"""Changes over HTTP reach the scheduler, which is another process, within a second."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.waiting import let_pass, until

from .conftest import MakeSite
from .support import Site, Web

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


def later(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_a_job_that_is_due_now_starts_within_a_second(site: Site, web: Web) -> None:
    delays = []
    for number in range(5):
        job_id = f"now-{number}"
        job = site.job(job_id, trigger="date", run_date=datetime.now(UTC).isoformat())
        asked = datetime.now(UTC)
        assert web.ask("POST", "/scheduler/jobs", job) == {"id": job_id, "status": "added"}
        (mark,) = until(lambda job_id=job_id: site.calls(job_id), 5, "the run")
        delays.append(mark.at - asked)
    assert max(delays) < SECOND
    until(lambda: all(site.statuses(f"now-{number}") == ["succeeded"] for number in range(5)), 5, "the records")


def test_a_job_starts_within_a_second_of_its_due_time(site: Site, web: Web) -> None:
    due = later(1.5)
    web.ask("POST", "/scheduler/jobs", site.job("soon", trigger="date", run_date=due.isoformat()))
    (mark,) = until(lambda: site.calls("soon"), 5, "the run")
    assert timedelta(0) <= mark.at - due < SECOND


def test_run_now_starts_within_a_second(site: Site, web: Web) -> None:
    web.ask("POST", "/scheduler/jobs", site.job("job", trigger="interval", hours=1))
    asked = datetime.now(UTC)
    run_id = web.ask("POST", "/scheduler/jobs/job/run", {})["run_id"]
    (mark,) = until(lambda: site.calls("job"), 5, "the run")
    assert mark.at - asked < SECOND
    until(lambda: web.ask("GET", f"/scheduler/runs/{run_id}")["status"] == "succeeded", 5, "its record")


def test_edits_are_in_force_within_a_second(site: Site, web: Web) -> None:
    for job in (site.job("paused"), site.job("moved", trigger="interval", hours=1), site.job("removed")):
        web.ask("POST", "/scheduler/jobs", job)
    until(lambda: site.calls("paused") and site.calls("removed"), 20, "the first runs")

    web.ask("PUT", "/scheduler/jobs/moved", {"trigger": "interval", "seconds": 1})
    moved = datetime.now(UTC)
    web.ask("POST", "/scheduler/jobs/paused/pause")
    paused = datetime.now(UTC)
    web.ask("DELETE", "/scheduler/jobs/removed")
    removed = datetime.now(UTC)
    mark = until(lambda: site.calls("moved"), 5, "the run of the job that was moved")[0]
    assert mark.at - moved < 2 * SECOND  # its interval of one second, and one

    let_pass(2)
    assert latest(site, "paused") < paused + SECOND / 10
    assert latest(site, "removed") < removed + SECOND / 10

    web.ask("POST", "/scheduler/jobs/paused/resume")
    resumed = datetime.now(UTC)
    until(lambda: latest(site, "paused") > resumed, 3, "the first run after the pause")
    assert all(row.fire_times == 1 for row in site.rows() if row.job_id == "paused")


def latest(site: Site, job_id: str) -> Any:
    """Return when the job was called last."""
    return max(mark.at for mark in site.calls(job_id))
