"""How a scheduler stops on a signal: runs may end, unless a second signal comes."""

from __future__ import annotations

import signal

import pytest

from tests.conftest import thinned
from tests.waiting import until

from .support import Site


@pytest.mark.parametrize("number", thinned([signal.SIGTERM, signal.SIGINT], every=2))
def test_a_scheduler_that_is_told_to_stop_lets_what_runs_end(sqlite_site: Site, number: signal.Signals) -> None:
    site = sqlite_site
    site.jobs = [site.job("slow", seconds=3)]
    scheduler = site.scheduler()
    until(lambda: site.calls("slow"), 20, "the slow run")
    scheduler.send(number)
    until(lambda: scheduler.logged("draining"), 20, "the signal")
    calls = len(site.calls("slow"))  # one, unless the machine stalled
    assert scheduler.wait(20) == 0
    first = next(row for row in site.rows() if row.scheduled_time == site.calls("slow")[0].scheduled_time)
    assert first.status == "succeeded"
    assert len(site.calls("slow")) == calls
    assert site.query("SELECT count(*) FROM cronzimus_scheduler WHERE stopped_at IS NULL") == [(0,)]


def test_a_scheduler_that_is_told_to_stop_claims_nothing_more(sqlite_site: Site) -> None:
    site = sqlite_site
    site.jobs = [site.job("slow", seconds=3), site.job("quick")]
    scheduler = site.scheduler()
    until(lambda: site.calls("slow") and site.calls("quick"), 20, "the first runs")
    scheduler.send(signal.SIGTERM)
    until(lambda: scheduler.logged("draining"), 20, "the signal")
    runs = len(site.rows())
    assert scheduler.wait(20) == 0
    assert len(site.rows()) == runs
    # A run that was claimed just before the signal is given back; one that was late had its fire time skipped.
    assert set(site.statuses("quick")) - {"queued", "skipped"} == {"succeeded"}


def test_a_scheduler_that_is_told_twice_ends_at_once_and_what_ran_is_lost(site: Site) -> None:
    site.jobs = [site.job("endless", seconds=300)]
    scheduler = site.scheduler()
    until(lambda: site.calls("endless"), 20, "the endless run")
    assert scheduler.force() == 1
    assert site.statuses("endless")[0] == "lost"
    ((reason,),) = site.query("SELECT reason FROM cronzimus_run WHERE status = 'lost'")
    assert reason == "its scheduler was ended at once"
    assert scheduler.logged("Traceback") is None


def test_a_scheduler_that_idles_stops_at_once(site: Site) -> None:
    scheduler = site.scheduler()
    scheduler.send(signal.SIGTERM)
    assert scheduler.wait(15) == 0
    assert scheduler.logged("Traceback") is None
