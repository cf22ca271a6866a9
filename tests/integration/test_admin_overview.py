"""The overview: the verdict, the figures, and the lists."""

from __future__ import annotations

import pytest

from jobs.core.dispatches import new_dispatch_id
from jobs.core.runs import RunStatus
from jobs.models import Incident, Job
from tests.fakes import NOW, after, make_job, make_run, make_scheduler, make_worker
from tests.integration.admin_support import JOBS, RUNS, Admin, admin_fixture, at_noon_fixture, messages, text  # noqa: F401

OVERVIEW = f"{JOBS}overview/"


def headline(admin) -> str:
    page = admin.read(OVERVIEW)
    return text(page[page.index("<h1>") : page.index("</h1>")])


def well(job_id: str = "well", **fields: object) -> Job:
    return make_job(
        job_id, **{"last_status": RunStatus.SUCCEEDED, "last_run_at": NOW, "next_run_time": after(60), **fields}
    )


def ill(job_id: str = "ill") -> Job:
    return well(job_id, last_status=RunStatus.FAILED)


def test_it_is_the_start_page(admin):
    well()
    assert "Start delay, p95" in admin.read("/admin/")


def test_those_who_may_not_see_jobs_are_shown_what_they_may(at_noon):
    staff = Admin("view_user")
    assert "Users" in staff.read("/admin/")
    assert staff.client.get(OVERVIEW).status_code == 403


@pytest.mark.parametrize(
    ("make", "said"),
    [
        ([well], "All is well. 1 job, 0 runs in 24 hours, none failed."),
        ([well, ill], "1 job is failing. The other 1 is well."),
        ([lambda: ill("a"), lambda: ill("b")], "2 jobs are failing."),
        ([well, lambda: well("x", func="os:system")], "1 job is broken. The other 1 is well."),
        ([ill, lambda: well("x", func="os:system"), lambda: well("y"), well],
         "1 job is failing, 1 is broken. The other 2 are well."),
    ],
)  # fmt: skip
def test_one_sentence_says_whether_all_is_well(admin, make, said):
    make_scheduler()
    for one in make:
        one()
    assert headline(admin) == said


def test_without_a_scheduler_nothing_is_well(admin):
    well()
    assert headline(admin) == "No scheduler is running: jobs will not fire."


def test_it_says_what_is_late(admin):
    make_scheduler()
    well(next_run_time=after(-90))
    assert "1 job is late, the oldest by 1 m 30 s. One scheduler is alive, s1." in text(admin.read(OVERVIEW))
    ill()
    assert headline(admin) == "1 job is failing."


def test_it_says_that_runs_wait_for_long(admin):
    make_scheduler()
    well()
    make_run(trigger="manual", queued_at=after(-60))
    assert headline(admin).startswith("All is well.")
    make_run(trigger="manual", queued_at=after(-75), attempt=2)
    assert headline(admin) == "1 run waits to start, the oldest for 1 m 15 s."


@pytest.fixture
def remote(settings, db) -> None:
    """Have a scheduler, a broker, and a job of a queue."""
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": "redis://host/0"}
    make_scheduler()
    well(executor="celery", queue="reports")


@pytest.mark.usefixtures("remote")
def test_not_all_is_well_while_no_worker_serves_a_queue(admin):
    unserved = "No worker serves the queue reports: its jobs and runs wait."
    assert headline(admin) == unserved
    assert "Nothing is late yet. One scheduler is alive, s1." in text(admin.read(OVERVIEW))
    ill()
    assert headline(admin) == f"1 job is failing. {unserved}"
    make_worker()
    assert headline(admin) == "1 job is failing. The other 1 is well."


@pytest.mark.usefixtures("remote")
def test_the_slots_of_workers_count(admin):
    make_worker()
    assert "Running now 0 of 6 slots" in text(admin.read(OVERVIEW))


LATE = {"executor": "celery", "queue": "reports", "scheduler_id": "celery", "queued_at": after(-90), "dispatches": 1,
        "dispatch_id": new_dispatch_id(after(-90))}  # fmt: skip


@pytest.mark.usefixtures("remote")
@pytest.mark.parametrize(
    ("fields", "said", "more"),
    [
        ({}, "The broker takes no messages for the queue reports.", "1 run waits for it, the oldest since 11:58:30."),
        ({"dispatched_at": after(-89), "dispatches": 2},
         "2 messages were sent to the queue reports, and no worker took one.",
         "although a worker is free: does it use the same CELERY_BROKER_URL as the schedulers?"),
    ],
)  # fmt: skip
def test_not_all_is_well_while_runs_do_not_reach_their_workers(admin, fields, said, more):
    make_worker()
    make_run(**LATE | fields)
    assert headline(admin) == said
    page = text(admin.read(OVERVIEW))
    assert "1 run waits to start, the oldest for 1 m 30 s. One scheduler is alive" in page
    banner = page[: page.index("Success rate")]
    assert banner.count(said) == 2, "in the banner and in the verdict"
    assert more in banner
    assert "but far uses redis://far:6379/0." not in page
    make_worker("far", broker="redis://far:6379/0")
    assert ("but far uses redis://far:6379/0." in text(admin.read(OVERVIEW))) == ("dispatched_at" in fields)


def test_what_comes_up_says_what_is_overdue(admin):
    make_scheduler()
    well("late", next_run_time=after(-90))
    well("soon")
    page = admin.read(OVERVIEW)
    coming = text(page[page.index('id="coming-up"') :])
    assert "late overdue 1 min ago" in coming
    assert "soon in 1 min" in coming


def test_a_first_run_is_measured_against_nothing(admin):
    well()
    make_run(scheduled_time=after(-10), status="running", started_at=after(-10))
    page = admin.read(OVERVIEW)
    assert "it never ran before" in page
    assert "line-mark" not in page


def test_the_figures_are_against_the_day_before(admin):
    make_scheduler(threads=10, processes=2)
    well()
    for number in range(3):
        make_run(scheduled_time=after(-number * 60), status="succeeded", started_at=after(-number * 60 + 0.05))
    make_run(scheduled_time=after(-300), status="failed")
    make_run(scheduled_time=after(-400), status="skipped", reason="run 1 was active", fire_times=5)
    make_run(scheduled_time=after(-90_000), status="succeeded")
    make_run(scheduled_time=after(10), status="running", started_at=NOW)
    page = text(admin.read(OVERVIEW))
    for shown in (
        "Success rate 75.0 % ▾ down 25.0 points", "Runs 5 ▴ up 4", "Failed 1 ▴ up 1", "Did not run 5 of 10",
        "5 overlapped", "Start delay, p95 50 ms", "Running now 1 of 12 slots none waits",
    ):  # fmt: skip
        assert shown in page


def test_a_failing_job_is_named_with_its_streak_and_two_clicks_to_its_output(admin):
    ill("sync")
    make_run("sync", id=1, scheduled_time=after(-300), status="succeeded")
    make_run("sync", id=2, scheduled_time=after(-200), status="failed", error="Timeout: a")
    make_run("sync", id=3, scheduled_time=after(-100), status="failed", error="Timeout: b\nmore")
    make_run("sync", id=4, scheduled_time=after(-100), attempt=2, status="failed", error="Timeout: c")
    page = admin.read(OVERVIEW)
    assert "sync failed 2 times in a row since 11:56 Timeout: c Output : last run of sync Retry : sync" in text(page)
    assert f'href="{RUNS}4/change/"' in page
    assert f'formaction="{RUNS}4/retry/"' in page


def test_a_button_leads_back_to_the_overview(admin):
    ill()
    make_run("ill", id=4, status="failed")
    response = admin.client.post(f"{RUNS}4/retry/", {"next": "/admin/"})
    assert response["Location"] == "/admin/"


def test_a_broken_job_is_named_with_why(admin):
    well("lost", func="os:system")
    page = text(admin.read(OVERVIEW))
    assert "broken lost cannot run; changed last 12:00 func: 'os:system' is not a registered function" in page


def test_running_runs_show_how_long_they_usually_take(admin):
    well()
    for number in range(1, 4):
        at = after(-number * 1000)
        make_run("well", scheduled_time=at, status="succeeded", started_at=at, finished_at=after(-number * 1000 + 48))
    make_run("well", status="running", started_at=after(-127), scheduler_id="web-1-7-0a1b")
    page = text(admin.read(OVERVIEW))
    assert "well web-1 2 m 07 s , usually 48.0 s longer than 95 % of its runs Cancel : well" in page


def test_fire_times_that_did_not_run_are_told_by_reason(admin):
    well("busy")
    for number in range(3):
        make_run("busy", scheduled_time=after(-number), status="skipped", reason="run 1 was active; max_instances is 1")
    make_run("slow", status="missed", reason="seen 9 s late")
    page = text(admin.read(OVERVIEW))
    assert "4 of 4 fire times in 24 h Its last run was still going busy 3" in page
    assert "Seen too late, past its grace slow , 12:00 1" in page


def test_the_next_fire_times_come_up(admin):
    well("b", next_run_time=after(90))
    well("a", next_run_time=after(30))
    assert "Coming up Next 7 days a in 30 s 12:00:30 b in 1 min 30 s 12:01:30" in text(admin.read(OVERVIEW))


def test_recent_failures_name_the_attempt_and_whether_it_recovered(admin):
    well("sync", retries={"max": 2})
    make_run("sync", id=1, status="timed_out", error="stopped after 30 s", finished_at=after(-3600))
    make_run("sync", id=2, attempt=2, status="succeeded")
    page = text(admin.read(OVERVIEW))
    assert "sync run 1 stopped after 30 s timed out 1 of 3, recovered 1 h ago" in page


def test_a_job_with_damaged_retries_does_not_break_the_overview(admin):
    well(retries={"max": {"a": 1}})
    make_run("well", scheduled_time=after(-60), status="failed", error="boom")
    assert "1 of 1" in text(admin.read(OVERVIEW))


@pytest.mark.parametrize("range_", ["24h", "7d", "30d", "nonsense", "\0"])
def test_the_chart_has_ranges_and_a_table_beside_it(admin, range_):
    well()
    make_run(status="succeeded")
    page = admin.read(OVERVIEW, range=range_)
    assert '<svg class="chart" height="160"' in page
    assert "As a table" in text(page)
    assert page.count("<title>") > 24


def test_texts_of_people_are_escaped(admin):
    evil = "<script>alert(1)</script>"
    ill("sync")
    make_run("sync", status="failed", error=evil)
    make_run(evil, status="running", started_at=NOW, scheduler_id=evil)
    assert evil not in admin.read(OVERVIEW)


def test_those_who_may_only_look_have_nothing_to_press(at_noon):
    ill()
    make_run("ill", status="failed")
    make_run("ill", status="running", started_at=NOW, scheduled_time=after(1))
    well("lost", func="os:system")
    page = Admin("view_job").read(OVERVIEW)
    assert not [word for word in ("Retry", "Cancel", ">Edit") if word in page]


def test_the_first_start_shows_three_steps_and_adds_a_sample(admin):
    page = admin.read(OVERVIEW)
    assert "Nothing is scheduled yet" in page
    assert "python manage.py runscheduler" in page
    response = admin.send(f"{JOBS}sample/")
    assert Job.objects.get().pk == "sample"
    assert messages(response) == ["Added sample: next run 2030-01-01 12:01:00 UTC."]
    assert messages(admin.send(f"{JOBS}sample/")) == ["The job sample is there already."]


@pytest.mark.parametrize("permission", ["view_job", "change_job"])
def test_a_sample_needs_the_permission_to_add(at_noon, permission):
    staff = Admin(permission)
    assert staff.client.post(f"{JOBS}sample/").status_code == 403
    assert "Add a sample job" not in staff.read(OVERVIEW)
    assert not Job.objects.exists()


def test_the_number_of_queries_does_not_grow(admin, statements):
    ill("a")
    make_run("a", status="failed")
    with statements() as few:
        admin.open(OVERVIEW)
    for number in range(20):
        ill(f"job-{number}")
        make_run(f"job-{number}", status="failed")
        make_run(f"job-{number}", status="running", started_at=NOW, scheduled_time=after(1))
    with statements() as many:
        admin.open(OVERVIEW)
    assert len(many) - len(few) <= 1  # how long running runs usually take
    assert len(many) <= 30


# --- the incidents of failing jobs -----------------------------------------------------------------------------------


def fails(job_id: str = "ill") -> Incident:
    ill(job_id)
    make_run(job_id, status="failed", error="E: no")
    return Incident.objects.create(job_id=job_id, kind="failure", opened_at=NOW, last_at=NOW)


def test_a_failing_job_is_acknowledged_where_it_is_shown(admin):
    incident = fails()
    address = f"/admin/cronzimus/incident/{incident.pk}/acknowledge/"
    assert f'formaction="{address}"' in admin.read(OVERVIEW)
    page = text(admin.send(address, next=OVERVIEW).content.decode())
    assert "failed at 12:00 Acknowledged by root at 12:00 · E: no" in page
    assert "Acknowledge: ill" not in page


def test_the_acknowledged_ones_come_last(admin):
    fails("a")
    fails("b")
    Incident.objects.filter(job_id="a").update(state="acknowledged", acknowledged_by="ben", acknowledged_at=NOW)
    page = admin.read(OVERVIEW)
    assert page.index('<li data-key="b"') < page.index('<li data-key="a" class="acknowledged"')


def test_who_may_not_acknowledge_is_offered_nothing(at_noon):
    fails()
    assert "Acknowledge" not in Admin("view_job", "retry_run").read(OVERVIEW)
