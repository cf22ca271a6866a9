"""Several schedulers on one database: if one dies, stops or freezes, no fire time runs twice or is passed over."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from tests.waiting import let_pass, until

from .checker import Demand, Outage, problems, unmet
from .support import Process, Site


def stop(*schedulers: Process) -> None:
    """Drain schedulers, and check that each ends well."""
    for scheduler in schedulers:
        scheduler.send(signal.SIGTERM)
    assert [scheduler.wait(40) for scheduler in schedulers] == [0] * len(schedulers)


def assert_good(site: Site, *job_ids: str) -> None:
    """Check the whole history of the jobs, up to when each is due next."""
    rows = [row for row in site.rows() if row.job_id in job_ids]
    marks = [mark for mark in site.marks() if mark.job_id in job_ids]
    assert problems(rows, marks) == []
    due = site.next_run_times()
    last = {job_id: max(row.scheduled_time for row in rows if row.job_id == job_id) for job_id in job_ids}
    assert {job_id: due[job_id] - at for job_id, at in last.items()} == dict.fromkeys(job_ids, timedelta(seconds=1))


def assert_in_time(site: Site, demand: Demand) -> None:
    """Check that each fire time outside an outage ran within its window, on any scheduler."""
    assert unmet(site.rows(), site.marks(), demand) == []


def test_two_schedulers_run_each_of_two_hundred_jobs_every_second_once(site: Site) -> None:
    job_ids = [f"job-{number}" for number in range(200)]
    site.jobs = [site.job(job_id) for job_id in job_ids]
    first, second = site.schedulers(2)
    both = {first.pid, second.pid}
    until(lambda: len(site.rows()) >= 200 * 5 and {mark.pid for mark in site.marks()} == both, 60, "runs of both")
    let_pass(1)
    stop(first, second)
    assert_good(site, *job_ids)


@pytest.mark.slow
def test_schedulers_that_are_killed_one_after_the_other_and_all_at_once_leave_what_they_ran_lost_and_miss_nothing(
    sites: list[Site],
) -> None:
    on_each(sites, kill_one_after_the_other)


def kill_one_after_the_other(site: Site) -> None:
    job_ids = [f"job-{number}" for number in range(12)]
    # Not coalesced: on a busy machine a fire time may be claimed a second late, and it still has to run by itself.
    site.jobs = [{**site.job(job_id, seconds=0.7), "coalesce": False} for job_id in job_ids]
    chance, deaths, alive = random.Random(20), [], site.schedulers(3, threads=5)

    def kill(victim: Process) -> None:
        until(lambda: is_at_work(site, victim), 20, "a run of its own")
        deaths.append(datetime.now(UTC))
        victim.send(signal.SIGKILL)
        victim.wait(20)

    for _ in range(3):
        let_pass(chance.uniform(0.2, 1.2))
        kill(alive.pop(chance.randrange(len(alive))))
        alive.append(site.scheduler(threads=5))
    for scheduler in alive:
        kill(scheduler)
    last = site.scheduler(threads=12)
    gone = Outage(start=deaths[-3], end=datetime.now(UTC))
    # Within thirty seconds of a death what the dead one ran is lost, and its jobs go on.
    until(
        lambda: site.query("SELECT count(*) FROM cronzimus_scheduler WHERE stopped_at IS NULL") == [(1,)], 30, "burials"
    )
    let_pass(2)
    told = datetime.now(UTC)
    stop(last)

    assert_good(site, *job_ids)
    # Two fire times that are claimed while a run is still going share the row that says so.
    lag, window = timedelta(seconds=6), timedelta(seconds=10)
    assert_in_time(site, Demand(job_ids=job_ids, until=told, deaths=deaths, outages=[gone], lag=lag, window=window))
    assert not [row for row in site.rows() if row.status != "skipped" and row.fire_times > 1]
    assert [row.status for row in site.rows()].count("lost") >= len(deaths)


@pytest.mark.slow
def test_a_scheduler_that_froze_past_its_lease_starts_nothing_that_it_no_longer_holds(sites: list[Site]) -> None:
    on_each(sites, freeze_past_its_lease)


def freeze_past_its_lease(site: Site) -> None:
    # Saturated, so that some runs are always claimed and not started.
    job_ids = [f"job-{number}" for number in range(10)]
    site.jobs = [site.job(job_id, seconds=0.2) for job_id in job_ids[:6]]
    site.jobs += [{**site.job(job_id, seconds=0.4), "executor": "process"} for job_id in job_ids[6:]]
    frozen = site.scheduler(threads=1)
    until(lambda: len(site.calls("job-5")) >= 1 and len(site.calls("job-9")) >= 1, 20, "the first runs")
    frozen.send(signal.SIGSTOP)
    others = site.schedulers(2, threads=4)
    until(lambda: stopped(site, frozen), 30, "the end of its lease")
    thawed = datetime.now(UTC)
    frozen.send(signal.SIGCONT)

    until(lambda: alive(site, frozen), 20, "a new lease")
    until(lambda: has_run(site, frozen, after=thawed), 20, "new runs of its own")
    stop(frozen, *others)
    assert "lost" in {row.status for row in site.rows()}
    assert_good(site, *job_ids)


def on_each(sites: list[Site], scenario: Callable[[Site], None]) -> None:
    """Play a scenario on all sites at once: it mostly waits."""
    with ThreadPoolExecutor(len(sites)) as pool:
        for played in [pool.submit(scenario, site) for site in sites]:
            played.result()


def is_at_work(site: Site, scheduler: Process) -> bool:
    """Tell whether a run of 0.7 s is being called by the scheduler, and will be for a while."""
    now = datetime.now(UTC)
    return any(mark.pid == scheduler.pid and now - mark.at < timedelta(seconds=0.3) for mark in site.marks())


def stopped(site: Site, scheduler: Process) -> bool:
    """Tell whether the others have given the scheduler up."""
    return ends(site, scheduler)[:1] not in ([], [None])


def alive(site: Site, scheduler: Process) -> bool:
    """Tell whether the scheduler has a lease that it did not give up, beside one that it lost."""
    return len(ends(site, scheduler)) == 2 and ends(site, scheduler)[-1] is None


def has_run(site: Site, scheduler: Process, *, after: datetime) -> bool:
    """Tell whether the scheduler ran a fire time later than `after`."""
    return any(mark.pid == scheduler.pid and mark.scheduled_time > after for mark in site.marks())


def ends(site: Site, scheduler: Process) -> list[object]:
    """Return when each lease of the scheduler ended, None for one that it has."""
    sql = f"SELECT stopped_at FROM cronzimus_scheduler WHERE pid = {scheduler.pid} ORDER BY started_at"  # noqa: S608
    return [end for (end,) in site.query(sql)]
