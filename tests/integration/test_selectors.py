"""The figures: runs by hour and status, fire times that did not run, delays, streaks."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from jobs import services
from jobs.core.planning import Busy, Policy, plan
from jobs.core.runs import Overlap, RunStatus
from jobs.models import Run
from jobs.scheduler.store.statistics import roll_up
from jobs.selectors import counts, recent, statistics
from jobs.selectors.statistics import HOUR, Cause
from tests.fakes import NOW, after, make_job, make_run, make_scheduler, trigger

DAY = 86_400


def hours_ago(hours: float) -> object:
    return after(-hours * 3600)


@pytest.fixture(autouse=True)
def database(db):
    pass


def test_runs_are_counted_by_hour_and_status():
    make_run(scheduled_time=after(-30), status="succeeded")
    make_run("b", scheduled_time=after(-30), status="failed")
    make_run(scheduled_time=hours_ago(1.5), status="timed_out")
    make_run(scheduled_time=hours_ago(2), status="skipped", fire_times=7)
    make_run(scheduled_time=hours_ago(2.5), status="running", started_at=NOW)
    make_run(scheduled_time=hours_ago(30), status="succeeded")
    found = statistics.buckets(NOW, HOUR, 4)
    assert [bucket.since for bucket in found] == [after(s) for s in (-3 * 3600, -2 * 3600, -3600, 0)]
    assert [dict(+bucket.by_status) for bucket in found] == [
        {"running": 1}, {"timed_out": 1, "skipped": 1}, {"succeeded": 1, "failed": 1}, {},
    ]  # fmt: skip
    assert [bucket.not_run for bucket in found] == [0, 7, 0, 0]


def test_runs_are_counted_once_whether_the_statistics_have_them_or_not():
    make_run(scheduled_time=hours_ago(2), status="missed", fire_times=5)
    make_run(scheduled_time=hours_ago(1.5), status="succeeded")
    late = make_run(scheduled_time=hours_ago(1.5), status="running", attempt=2)
    passed = make_run(scheduled_time=hours_ago(0.5), status="queued")
    for step in range(3):
        roll_up(after(step * 60))
    make_run(scheduled_time=after(-10), status="failed")
    Run.objects.filter(pk=late.pk).update(status="lost", finished_at=NOW)
    before = statistics.buckets(NOW, HOUR, 3)
    assert [dict(+bucket.by_status) for bucket in before] == [
        {"missed": 1, "succeeded": 1, "lost": 1}, {"queued": 1, "failed": 1}, {},
    ]  # fmt: skip
    assert before[0].not_run == 5
    roll_up(after(200))
    assert statistics.buckets(NOW, HOUR, 3) == before
    Run.objects.exclude(pk=passed.pk).delete()
    assert statistics.buckets(NOW, HOUR, 3)[0] == before[0]


def test_the_hour_that_is_under_way_is_the_last():
    make_run(scheduled_time=after(59), status="succeeded")
    assert statistics.buckets(after(60), HOUR, 2)[-1].succeeded == 1


@pytest.mark.parametrize(("length", "count"), [(HOUR, 24), (6 * HOUR, 28), (24 * HOUR, 30)])
def test_stretches_follow_each_other_up_to_now(length, count):
    found = statistics.buckets(after(17), length, count)
    assert len(found) == count
    assert all(one.until == other.since for one, other in pairwise(found))
    assert found[-1].since <= after(17) < found[-1].until
    assert {bucket.until - bucket.since for bucket in found} == {length}


def test_days_begin_at_midnight():
    assert statistics.buckets(NOW, 24 * HOUR, 2)[-1].since == NOW.replace(hour=0)


def test_the_total_adds_up():
    for seconds, status in ((-30, "succeeded"), (-4000, "lost"), (-8000, "missed"), (-9000, "queued")):
        make_run(scheduled_time=after(seconds), status=status)
    found = statistics.total(statistics.buckets(NOW, HOUR, 24))
    assert (found.ran, found.failed, found.missed, found.not_run) == (3, 1, 1, 1)
    assert found.success_rate == 0.5


def test_without_a_run_there_is_no_rate():
    assert statistics.total(statistics.buckets(NOW, HOUR, 24)).success_rate is None


def test_runs_of_people_and_retries_are_no_fire_times():
    for number, name in enumerate(("schedule", "manual", "retry")):
        make_run(scheduled_time=after(-number), trigger=name, attempt=number + 1)
    assert statistics.unscheduled(after(-60), NOW + HOUR) == 2


def test_delays_are_those_of_schedules_alone():
    for number, fields in enumerate(
        ({"started_at": after(1.5)}, {"started_at": after(60), "trigger": "manual"}, {"started_at": None},
         {"started_at": after(90), "attempt": 2}, {"started_at": after(0.25)})
    ):  # fmt: skip
        make_run(f"job-{number}", **fields)
    assert statistics.start_delays(after(1)) == [0.25, 1.5]
    assert statistics.start_delays(NOW) == []


def reasons() -> dict[str, Cause]:
    """Return the reasons that the planner and the services write themselves, each with its `Cause`."""
    every = trigger(seconds=10, anchor=after(-100))
    alone = plan(every, NOW, Policy(), busy=Busy(held=(7,)), now=NOW)
    full = plan(every, NOW, Policy(overlap=Overlap.QUEUE, queue_limit=1), busy=Busy(held=(7,), waiting=(8,)), now=NOW)
    many = plan(every, after(-50), Policy(coalesce=False), busy=Busy(), now=NOW)
    late = plan(every, after(-50), Policy(misfire_grace_time=1), busy=Busy(), now=after(5))
    found = {run.reason: (run.status, why) for made, why in
             ((alone, Cause.OVERLAP), (full, Cause.OVERLAP), (many, Cause.CROWDED), (late, Cause.LATE))
             for run in made.runs if run.reason}  # fmt: skip
    return found


def test_every_reason_of_the_planner_is_known():
    found = reasons()
    assert len(found) == 4
    for reason, (status, why) in found.items():
        assert statistics.cause_of(status, reason) is why


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (lambda: services.pause_job("job", now=after(1)), Cause.PAUSED),
        (lambda: services.remove_job("job", now=after(1)), Cause.CHANGED),
        (
            lambda: services.update_job("job", {"trigger": {"type": "interval", "seconds": 7}}, now=after(1)),
            Cause.CHANGED,
        ),
        (lambda: services.skip_next("job", now=after(1)), Cause.PERSON),
    ],
)
def test_every_reason_of_the_services_is_known(act, why):
    make_job()
    act()
    run = Run.objects.get()
    assert statistics.cause_of(run.status, run.reason) is why
    assert [one.why for one in statistics.not_run(after(-60), after(60))] == [why]


def test_fire_times_that_did_not_run_are_counted_by_reason_and_job():
    make_run("a", status="skipped", reason="run 7 was active; max_instances is 1", fire_times=3)
    make_run("b", status="skipped", reason="run 9 was active; max_instances is 1", scheduled_time=after(1))
    make_run("a", status="missed", reason="seen 9.0 s late", fire_times=9, scheduled_time=after(2))
    make_run("a", status="skipped", reason="run 7 was active", scheduled_time=after(-DAY))
    late, overlap = statistics.not_run(after(-60), after(60))
    assert (late.why, late.number, late.jobs, late.latest) == (Cause.LATE, 9, (("a", 9),), after(2))
    assert (overlap.why, overlap.number, overlap.jobs, overlap.latest) == (
        Cause.OVERLAP,
        4,
        (("a", 3), ("b", 1)),
        after(1),
    )


def test_the_last_runs_come_newest_first_with_how_long_they_took():
    for number in range(5):
        make_run("a", scheduled_time=after(number), status="succeeded", started_at=NOW, finished_at=after(number + 0.5))
    make_run("a", scheduled_time=after(4), attempt=2, status="running", started_at=NOW)
    found = recent.recent_runs(["a", "b"], limit=3)
    assert [(run.status, run.at, run.attempt) for run in found["a"]] == [
        ("running", after(4), 2), ("succeeded", after(4), 1), ("succeeded", after(3), 1),
    ]  # fmt: skip
    assert found["a"][0].seconds is None
    assert found["a"][1].seconds == pytest.approx(4.5, abs=0.001)
    assert found["b"] == []
    assert recent.recent_runs([]) == {}


def test_the_last_runs_of_many_jobs_take_one_query(statements):
    for number in range(30):
        make_run(f"job-{number}", status="succeeded")
    with statements() as sent:
        recent.recent_runs([f"job-{number}" for number in range(30)])
    assert len(sent) == 1


def runs(*found: tuple[str, float]) -> list[recent.Recent]:
    return [recent.Recent(n, status, after(at), 1, 1.0) for n, (status, at) in enumerate(found)]


@pytest.mark.parametrize(
    ("found", "times", "since"),
    [
        ([], None, None),
        ([("succeeded", 9), ("failed", 8)], None, None),
        ([("failed", 9), ("succeeded", 8)], 1, 9),
        ([("failed", 9), ("failed", 9), ("lost", 8), ("timed_out", 7), ("succeeded", 6), ("failed", 5)], 3, 7),
        ([("running", 9), ("skipped", 8), ("failed", 7), ("missed", 6), ("failed", 5)], 2, 5),
        ([("cancelled", 9), ("failed", 7), ("succeeded", 6)], 1, 7),
    ],
)
def test_a_streak_counts_fire_times_up_to_the_last_success(found, times, since):
    streak = recent.streak(runs(*found))
    if times is None:
        assert streak is None
    else:
        assert (streak.fire_times, streak.since, streak.more) == (times, after(since), False)


def test_a_streak_of_all_that_was_looked_at_may_be_longer():
    assert recent.streak(runs(*(("failed", -n) for n in range(recent.SHOWN)))).more


def test_what_is_usual_comes_from_runs_that_succeeded():
    found = [recent.Recent(n, "succeeded", NOW, 1, float(n)) for n in range(1, 20)]
    found.append(recent.Recent(99, "failed", NOW, 1, 500.0))
    assert recent.usual(found) == recent.Usual(10.0, 19.0)
    assert recent.usual([]) == recent.Usual(None, None)


def test_what_is_usual_to_wait_comes_from_fire_times_and_not_from_people():
    for number, (started_by, attempt, wait) in enumerate(
        [("schedule", 1, 1), ("schedule", 1, 2), ("schedule", 1, 9), ("manual", 1, 60), ("retry", 2, 90)]
    ):
        make_run("a", status="failed", trigger=started_by, attempt=attempt, scheduled_time=after(-number),
                 started_at=after(wait - number))  # fmt: skip
    make_run("a", status="missed", scheduled_time=after(-70))
    assert recent.usual_wait(recent.recent_runs(["a"])["a"]) == pytest.approx(2.0, abs=0.001)
    assert recent.usual_wait([]) is None


def test_jobs_are_counted_by_state():
    make_job("well", last_status=RunStatus.SUCCEEDED, last_run_at=NOW)
    make_job("ill", last_status=RunStatus.FAILED, last_run_at=NOW)
    make_job("never")
    make_job("off", paused=True, last_status=RunStatus.FAILED, last_run_at=NOW)
    make_job("until", paused_until=after(60), last_run_at=NOW)
    make_job("done", next_run_time=None, last_run_at=NOW)
    make_job("gone", func="os:system", last_status=RunStatus.FAILED, last_run_at=NOW)
    found = counts.job_counts(NOW)
    assert found == counts.JobCounts(all=7, active=3, paused=2, failing=1, never=1, completed=1, broken=1)


def test_active_runs_are_counted():
    make_run("a", status="running", started_at=NOW)
    make_run("a", status="running", started_at=NOW, scheduled_time=after(1))
    make_run("b", status="queued")
    make_run("c", status="succeeded")
    assert counts.run_counts() == counts.RunCounts(queued=1, running=2, jobs=1)


def test_living_schedulers_come_first_and_the_long_dead_not_at_all():
    make_scheduler("dead", lease_until=after(-1))
    make_scheduler("alive")
    make_scheduler("old", lease_until=NOW - timedelta(days=2), heartbeat_at=NOW - timedelta(days=2))
    make_scheduler("stopped", stopped_at=NOW)
    assert [scheduler.pk for scheduler in counts.schedulers(NOW)] == ["alive", "dead"]
