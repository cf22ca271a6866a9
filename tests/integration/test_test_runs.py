"""Test runs: what is typed in the form runs once, and counts for nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jobs import services
from jobs.alerts import watch
from jobs.core.exceptions import InvalidRequest
from jobs.core.runs import RunStatus, as_test, is_test, job_behind
from jobs.models import AlertRule, AuditEvent, Channel, Incident, Job, Run, RunTotal, SiteHour
from jobs.scheduler.store.statistics import roll_up
from jobs.selectors import counts, failures, statistics, timeline
from tests.fakes import NOW, FakeClock, after, by, make_job, make_run, make_scheduler

from .admin_support import INTERVAL, JOBS, RUNS, Admin, admin_fixture, at_noon_fixture, inputs, problems, text  # noqa: F401
from .loop_support import MakeLoop, settle

BODY: dict[str, Any] = {"id": "new", "func": "tests:fail", "trigger": "interval", "seconds": 10}


def test_a_definition_is_tried_without_being_saved(db: None) -> None:
    with by("ana"):
        run = services.run_test({**BODY, "func": "tests:echo", "args": [1], "timeout": 9}, now=NOW)
    assert not Job.objects.exists()
    assert (run.job_id, run.func, run.args, run.trigger, run.actor) == ("~new", "tests:echo", [1], "test", "ana")
    assert (run.status, run.timeout, run.executor) == ("queued", 9, "process")
    assert AuditEvent.objects.get().action == "run_tested"


def test_a_stored_job_is_tried_as_it_would_be_changed(db: None) -> None:
    job = make_job(func="tests:echo", kwargs={"value": 1}, timeout=5)
    run = services.run_test({"kwargs": {"value": 2}}, now=NOW, job=job)
    assert (run.job_id, run.kwargs, run.timeout) == ("~job", {"value": 2}, 5)
    assert Job.objects.get().kwargs == {"value": 1}


def test_two_tests_at_one_instant_are_two_runs(db: None) -> None:
    first, second = (services.run_test(BODY, now=NOW) for _ in range(2))
    assert second.scheduled_time - first.scheduled_time == timedelta(microseconds=1)


def test_what_is_wrong_is_refused(db: None) -> None:
    with pytest.raises(InvalidRequest):
        services.run_test({**BODY, "seconds": 0}, now=NOW)
    assert not Run.objects.exists()


@pytest.mark.parametrize("job_id", ["a", "a" * 63])
def test_the_id_of_a_test_names_its_job(job_id: str) -> None:
    assert is_test(as_test(job_id))
    assert job_behind(as_test(job_id)) == job_behind(job_id) == job_id
    assert not is_test(job_id)


def test_the_longest_id_fits_its_column(db: None) -> None:
    run = services.run_test({**BODY, "id": "a" * 64}, now=NOW)
    run.refresh_from_db()
    assert len(run.job_id) == 64


@pytest.mark.django_db(transaction=True)
def test_a_test_that_fails_counts_for_nothing(make_loop: MakeLoop, clock: FakeClock) -> None:
    retries = {"max": 2, "delay": 0}
    job = make_job("new", func="tests:fail", retries=retries, pause_after=1, next_run_time=after(900))
    channel = Channel.objects.create(name="mail", kind="email", target="ops@example.com")
    AlertRule.objects.create(name="all", events=["failure", "too_long"], too_long_seconds=0).channels.add(channel)
    services.run_test({}, now=NOW, job=job)
    loop = make_loop()
    settle(loop)
    watch.watch(clock.now())
    assert Run.objects.get().status == RunStatus.FAILED
    job.refresh_from_db()
    assert (job.run_count, job.failure_count, job.last_status, job.paused) == (0, 0, "", False)
    assert not Incident.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_test_runs_beside_an_active_run(make_loop: MakeLoop) -> None:
    job = make_job("new", func="tests:echo", max_instances=1, next_run_time=after(900))
    make_run("new", status="running", scheduler_id=make_scheduler("another").pk, started_at=NOW)
    loop = make_loop()
    run = services.run_test({}, now=NOW, job=job)
    settle(loop)
    run.refresh_from_db()
    assert run.status == RunStatus.SUCCEEDED


def test_no_alert_tells_of_a_long_test(db: None) -> None:
    channel = Channel.objects.create(name="mail", kind="email", target="ops@example.com")
    AlertRule.objects.create(name="long", events=["too_long"], too_long_seconds=1).channels.add(channel)
    make_run("~a", status="running", started_at=NOW)
    watch.watch(after(60))
    assert not Incident.objects.exists()


def test_statistics_leave_tests_out(db: None) -> None:
    for job_id in ("a", "~a"):
        make_run(job_id, status="failed", started_at=NOW, error="no")
    assert sum(bucket.failed for bucket in statistics.buckets(after(60), statistics.HOUR, 2)) == 1
    while roll_up(after(60)):
        pass
    roll_up(after(120))
    roll_up(after(200))
    assert list(RunTotal.objects.values_list("job_id", flat=True)) == ["a"]
    assert SiteHour.objects.get().count == 1
    assert sum(bucket.failed for bucket in statistics.buckets(after(60), statistics.HOUR, 2)) == 1
    assert [group.job_id for group in failures.failures(after(60))] == ["a"]
    assert [bar.job_id for bar in timeline.newest_bars(after(-60), after(60))[0]] == ["a"]


def test_a_running_test_makes_no_job_run(db: None) -> None:
    make_run("~a", status="running", started_at=NOW)
    found = counts.run_counts()
    assert (found.running, found.jobs) == (1, 0)


# --- the form --------------------------------------------------------------------------------------------------------


def test_the_form_tries_what_is_typed_and_shows_the_run(admin: Admin) -> None:
    make_job(func="tests:echo")
    typed = inputs(admin.open(f"{JOBS}job/edit/")) | {"kwargs": '{"value": 2}', "_test": "1"}
    response = admin.send(f"{JOBS}job/edit/", **typed)
    run = Run.objects.get()
    assert response.redirect_chain[-1][0] == f"{RUNS}{run.pk}/change/"
    assert (run.kwargs, Job.objects.get().kwargs) == ({"value": 2}, {})
    page = text(response.content.decode())
    assert f"Test run {run.pk}" in page
    assert "A test of what was typed in the form." in page


def test_a_new_job_is_tried_before_it_is_saved(admin: Admin) -> None:
    response = admin.send(f"{JOBS}add/", id="new", **INTERVAL, _test="1")
    assert not Job.objects.exists()
    page = text(response.content.decode())
    assert "new (not saved)" in page
    listed = text(admin.read(RUNS))
    assert "test run" in listed
    assert "~new" not in listed


def test_what_is_wrong_is_said_at_the_inputs(admin: Admin) -> None:
    response = admin.send(f"{JOBS}add/", id="new", **INTERVAL | {"seconds": "0"}, _test="1")
    assert "seconds" in problems(response)
    assert not Run.objects.exists()


@pytest.mark.parametrize("permissions", [("change_job",), ("run_job",), ("run_job", "add_job")])
def test_a_test_needs_the_permissions_to_run_and_to_change(at_noon: Any, permissions: tuple[str, ...]) -> None:
    make_job()
    somebody = Admin("view_job", *permissions)
    assert somebody.client.post(f"{JOBS}job/edit/", {**INTERVAL, "_test": "1"}).status_code == 403
    assert not Run.objects.exists()


def test_who_may_not_run_jobs_is_offered_no_test(at_noon: Any) -> None:
    make_job()
    assert "Test run" not in Admin("view_job", "change_job").read(f"{JOBS}job/edit/")
