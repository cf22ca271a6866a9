"""A job is paused until an instant, a fire time is left out, and everything is paused for a reason."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.contrib.admin.models import LogEntry

from jobs import services
from jobs.models import Backfill, Control, Job, Run
from tests.fakes import NOW, after, by, make_job, make_jobs, make_scheduler
from tests.integration.admin_support import (  # noqa: F401
    JOBS,
    SCHEDULERS,
    Admin,
    admin_fixture,
    at_noon_fixture,
    cell,
    ids,
    messages,
    text,
)

pytestmark = pytest.mark.any_database

UNTIL = f"{JOBS}job/pause-until/"
EVIL = "<script>alert(1)</script>"
CRONTAB = {"type": "cron", "crontab": "0 13 * * *"}


def pause_until(admin, until):
    return admin.send(UNTIL, until=until)


def test_a_job_is_paused_until_an_instant_of_its_own_zone(admin):
    make_job(trigger={"type": "cron", "hour": 9, "timezone": "Europe/Berlin"})
    response = pause_until(admin, "2030-01-03T10:00")
    job = Job.objects.get()
    assert (job.paused, job.paused_until) == (False, datetime(2030, 1, 3, 9, tzinfo=UTC))
    said = "paused until 2030-01-03 10:00:00 CET, next run 2030-01-04 09:00:00 CET"
    assert messages(response) == [f"Schedule of job: {said}."]
    assert response.redirect_chain[-1][0] == f"{JOBS}job/change/"
    assert 'value="2030-01-03T10:00:00"' in response.content.decode()
    assert LogEntry.objects.get().get_change_message() == "Paused until 2030-01-03 09:00:00 UTC."


def test_the_list_shows_until_when_it_is_paused_and_offers_to_resume_it(admin, at_noon):
    make_job(paused_until=after(60), next_run_time=after(70))
    page = admin.read(JOBS)
    assert (cell(page, "state"), cell(page, "next")) == ("paused", "paused until 12:01")
    assert "Resume : job" in cell(page, "buttons")
    assert (ids(admin.read(JOBS, state="paused")), ids(admin.read(JOBS, state="active"))) == (["job"], [])
    at_noon.advance(60)
    assert cell(admin.read(JOBS), "state") == "pending"
    assert (ids(admin.read(JOBS, state="paused")), ids(admin.read(JOBS, state="active"))) == ([], ["job"])


def test_it_is_resumed_before_that(admin):
    make_job(paused_until=after(60), next_run_time=after(70))
    assert messages(admin.send(f"{JOBS}job/resume/")) == ["Resumed: job (next run 2030-01-01 12:00:10 UTC)."]


@pytest.mark.parametrize(
    ("until", "said"),
    [
        ("", "This field is required."),
        ("soon", "Must be a date or a time"),
        ("2030-02-30T10:00", "Must be a date or a time"),
        ("2030-W22-7", "Must be a date or a time"),
        ("2030-01-01T12:00:00", "Lies in the past"),
        ("0001-01-01T00:00", "Must not lie before 1970."),
        ("9999-12-31T23:59:59", "Must not lie after 9999-12-30."),
        ("2030-01\0-02T10:00", "Null characters are not allowed."),
        (EVIL, "Must be a date or a time"),
    ],
)
def test_what_is_wrong_with_the_instant_is_said_at_its_input(admin, until, said):
    zone = "Pacific/Honolulu" if until.startswith("9999") else "Europe/Berlin"
    make_job(trigger={"type": "interval", "seconds": 10, "timezone": zone})
    before = Job.objects.values().get()
    response = pause_until(admin, until)
    assert said in text(str(response.context["form"].errors["until"]))
    assert EVIL not in response.content.decode()
    assert Job.objects.values().get() == before


def test_the_end_of_the_calendar_leaves_no_fire_time(admin):
    make_job()
    assert pause_until(admin, "9999-12-30T23:59:59").status_code == 200
    assert Job.objects.get().paused_until == datetime(9999, 12, 30, 23, 59, 59, tzinfo=UTC)


def test_the_instant_has_every_form_of_the_api(admin):
    make_job(trigger={"type": "interval", "seconds": 10, "timezone": "Europe/Berlin"})
    for until, hour in (("2030-06-01", 22), ("2030-06-01T10:00:00.123456789Z", 10), ("2030-06-01 10:00+00", 10)):
        pause_until(admin, until)
        assert Job.objects.get().paused_until.hour == hour
    pause_until(admin, "2030-03-31T02:30")  # the clock skips it
    assert Job.objects.get().paused_until == datetime(2030, 3, 31, 1, 30, tzinfo=UTC)


def test_a_damaged_job_is_not_paused_until_an_instant_and_says_why(admin):
    make_job(trigger={"type": "nonsense"})
    assert "cron, date, calendarinterval Pause until" in text(pause_until(admin, "2031-01-01T00:00").content.decode())


def test_a_job_that_is_not_there_is_not_paused(admin):
    assert pause_until(admin, "2031-01-01T00:00").status_code == 404


def test_the_next_fire_time_is_left_out_and_on_record(admin):
    make_job(trigger=CRONTAB, next_run_time=after(3600))
    (said,) = messages(admin.send(f"{JOBS}job/skip/", from_page="1"))
    assert said == "Skipped: job at 2030-01-01 13:00:00 UTC (next run 2030-01-02 13:00:00 UTC)."
    run = Run.objects.get()
    assert (run.status, run.scheduled_time, run.actor, run.reason) == (
        "skipped",
        after(3600),
        "root",
        "left out by root",
    )


def test_a_job_without_a_fire_time_has_none_to_leave_out(admin):
    make_job(paused=True)
    assert "Skip next run" not in text(admin.read(f"{JOBS}job/change/"))
    assert messages(admin.send(f"{JOBS}job/skip/"))[0].startswith("Skip next run, not possible: job")


def test_a_fire_time_that_is_on_record_already_is_told(admin):
    make_job(trigger=CRONTAB, next_run_time=after(3600))
    for verb in ("skip", "pause", "resume"):
        admin.send(f"{JOBS}job/{verb}/")
    Job.objects.update(next_run_time=after(3600))
    assert len(messages(admin.send(f"{JOBS}job/skip/"))) == 1
    assert Run.objects.count() == 1


def test_everything_is_paused_for_a_reason_and_resumed(admin):
    make_scheduler(processes=3)
    assert cell(admin.read(SCHEDULERS), "load") == "0 of 7"
    page = text(admin.send(f"{SCHEDULERS}all/pause/", reason=" maintenance ").content.decode())
    control = Control.objects.get()
    assert (control.paused, control.paused_at, control.actor, control.reason) == (True, NOW, "root", "maintenance")
    assert "All claiming is paused since 12:00 by root: maintenance. Running jobs go on." in page
    assert "Resume all" in page
    assert "Pause all" not in page
    assert LogEntry.objects.get().get_change_message() == "Paused all: maintenance"
    page = text(admin.send(f"{SCHEDULERS}all/resume/").content.decode())
    assert not Control.objects.get().paused
    assert "All claiming is paused" not in page
    assert "Pause all" in page


@pytest.mark.parametrize(("missed", "queued"), [("", 0), ("none", 0), ("last", 1), ("all", 4)])
def test_a_resume_of_all_asks_which_fire_times_of_the_pause_run(admin, missed, queued):
    make_job(next_run_time=after(-35), anchor=after(-45))
    services.pause_all(now=after(-40))
    assert f'<input type="radio" name="missed" value="{missed}"' in admin.read(SCHEDULERS)
    admin.send(f"{SCHEDULERS}all/resume/", missed=missed)
    assert sum(Backfill.objects.values_list("fire_times", flat=True)) == queued
    assert Job.objects.get().next_run_time == (after(5) if missed else after(-35))


def test_a_resume_of_all_names_the_jobs_that_are_left_to_their_policies(admin):
    make_job(next_run_time=after(-200_000), anchor=after(-200_000))
    services.pause_all(now=after(-200_000))
    assert messages(admin.send(f"{SCHEDULERS}all/resume/", missed="all"))[1] == (
        "More than 10,000 fire times of a job fell into the pause; left to their policies: job."
    )


def test_another_choice_for_a_resume_of_all_is_refused(admin):
    services.pause_all(now=NOW)
    assert messages(admin.send(f"{SCHEDULERS}all/resume/", missed="some"))[0].startswith("Not resumed")
    assert Control.objects.get().paused


def test_the_list_of_jobs_says_that_all_is_paused_by_whom_and_why(admin):
    make_job()
    assert "All claiming is paused" not in admin.read(JOBS)
    with by("bob"):
        services.pause_all(now=NOW, reason="moving")
    for reader in (admin, Admin("view_job")):
        assert "All claiming is paused since 12:00 by bob: moving." in text(reader.read(JOBS))


def test_without_actor_and_reason_it_says_what_there_is(admin):
    services.pause_all(now=NOW)
    assert "All claiming is paused since 12:00. Running jobs go on." in text(admin.read(JOBS))


def test_who_and_why_are_escaped(admin):
    with by(EVIL):
        services.pause_all(now=NOW, reason=EVIL)
    for path in (JOBS, SCHEDULERS, "/admin/"):
        assert EVIL not in admin.read(path)


@pytest.mark.parametrize(("reason", "said"), [("x" * 501, "at most 500"), ("a\0", "Null characters are not allowed")])
def test_what_is_wrong_with_the_reason_is_said_at_its_input(admin, reason, said):
    response = admin.send(f"{SCHEDULERS}all/pause/", reason=reason)
    assert said in text(str(response.context["form"].errors["reason"]))
    assert not Control.objects.exists()


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_all_is_not_paused_by_a_get_nor_from_another_site(admin, verb):
    assert admin.client.get(f"{SCHEDULERS}all/{verb}/").status_code == 405
    assert Admin(superuser=True, csrf=True).client.post(f"{SCHEDULERS}all/{verb}/").status_code == 403


def test_paused_jobs_cost_no_queries(admin, statements):
    services.pause_all(now=NOW)
    make_jobs(2, paused_until=after(60))
    with statements() as few:
        admin.open(JOBS)
    Job.objects.all().delete()
    make_jobs(50, paused_until=after(60))
    with statements() as many:
        admin.open(JOBS)
    assert len(many) == len(few) <= 10
