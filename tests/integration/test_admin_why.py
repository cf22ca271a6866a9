"""Why a fire time ran, or did not: for any job and any instant."""

from __future__ import annotations

import pytest

from jobs.models import Job
from tests.fakes import NOW, after, make_job, make_run
from tests.integration.admin_support import JOBS, RUNS, Admin, admin_fixture, at_noon_fixture, text  # noqa: F401

WHY = f"{JOBS}job/why/"
ELEVEN = "2030-01-01 11:00:00"


def job(**fields) -> Job:
    """Write a job that is due each hour."""
    return make_job(**{
        "trigger": {"type": "cron", "minute": 0}, "anchor": after(-90_000), "created_at": after(-90_000),
        "next_run_time": after(3600), **fields,
    })  # fmt: skip


def told(admin, at: str = ELEVEN) -> str:
    page = admin.read(WHY, at=at)
    return text(page[page.index('<div class="grid">') :])


def test_a_run_is_told_with_who_claimed_it_and_what_became_of_it(admin):
    job()
    make_run(scheduled_time=after(-3600), queued_at=after(-3599.997), started_at=after(-3590),
             scheduler_id="web-1-7-0a1b", status="succeeded", finished_at=after(-3500))  # fmt: skip
    shown = told(admin)
    assert shown.startswith(
        "11:00:00 ran. succeeded web-1-7-0a1b claimed it 3 ms after it was due. No other run of the job was active. "
        "It waited 10.0 s for a free slot."
    )
    for fact in ("Due at 2030-01-01 11:00:00 UTC", "By web-1-7-0a1b", "Result succeeded", "Fire time before"):
        assert fact in shown


@pytest.mark.parametrize("started", [{}, {"started_at": after(-3590), "status": "running"}])
def test_no_worker_is_said_to_have_claimed_a_run(admin, started):
    job()
    make_run(scheduled_time=after(-3600), queued_at=after(-3599.997), executor="celery", queue="reports",
             **{"scheduler_id": "web-1-7-0a1b" if started else "celery", **started})  # fmt: skip
    shown = told(admin)
    assert "A scheduler claimed it 3 ms after it was due." in shown
    assert "By a scheduler" in shown
    assert ("It waited 10.0 s for a worker to start it." in shown) == bool(started)
    assert ("On the worker web-1-7-0a1b" in shown) == bool(started)


def test_the_attempts_and_what_is_left_of_them_are_told(admin):
    job(retries={"max": 2})
    for attempt in (1, 2):
        make_run(scheduled_time=after(-3600), attempt=attempt, status="failed", scheduler_id="s1")
    assert "11:00:00: its run failed." in told(admin)
    assert "Attempt 1 failed. The policy is 3 attempts: 1 may be left." in told(admin)


def test_a_run_that_a_person_asked_for_is_told_as_such(admin):
    job()
    make_run(scheduled_time=after(-3000), trigger="manual", actor="ana", status="succeeded")
    assert "ana asked for it." in told(admin, "2030-01-01 11:10:00")


def test_a_fire_time_that_was_skipped_names_the_run_in_its_way_and_the_policy(admin):
    job()
    make_run(id=5, scheduled_time=after(-7200), started_at=after(-7200), status="succeeded", finished_at=after(-3000))
    make_run(scheduled_time=after(-3600), status="skipped", reason="run 5 was active; max_instances is 1")
    shown = told(admin)
    assert "11:00:00 did not run. skipped Run 5 was still going (1 h 10 m). Its max_instances is 1." in shown
    assert "The overlap policy is skip . The next fire time is 12:00:00." in shown
    assert f'href="{RUNS}5/change/"' in admin.read(WHY, at=ELEVEN)


def test_a_fire_time_that_a_later_row_stands_for_is_found(admin):
    job()
    make_run(scheduled_time=NOW, status="missed", fire_times=3, reason="seen 9 s late")
    shown = told(admin)
    assert "11:00:00 did not run. missed Seen 9 s late. The same holds for 3 fire times up to 12:00:00." in shown
    assert "did not run" not in told(admin, "2030-01-01 08:00:00")


def test_a_fire_time_that_was_coalesced_names_the_run_that_stands_for_it(admin):
    job()
    run = make_run(scheduled_time=NOW, status="succeeded", fire_times=2)
    assert f"Run {run.pk}, due 12:00:00, stands for 2 fire times that were due at once." in told(admin)


@pytest.mark.parametrize(
    ("at", "fields", "said"),
    [
        ("2030-01-01 14:00:00", {}, "14:00:00 is to come."),
        (
            "2030-01-01 11:30:00",
            {},
            "11:30:00 is no fire time of this job. no fire time The one before it is 11:00:00.",
        ),
        (ELEVEN, {"next_run_time": after(-3600)}, "11:00:00 is due, and no scheduler has claimed it yet."),
        (ELEVEN, {"paused": True, "next_run_time": None, "paused_at": after(-4000)}, "falls into a pause of the job."),
        (ELEVEN, {"anchor": after(-60), "created_at": after(-60)}, "11:00:00 was no fire time then."),
        (ELEVEN, {}, "11:00:00 is older than the runs that are kept."),
        (ELEVEN, {"trigger": "nonsense"}, "Nothing is on record of 11:00:00."),
    ],
)
def test_an_instant_without_a_run_is_explained(admin, at, fields, said):
    job(**fields)
    assert said in told(admin, at)


def test_a_gap_in_the_record_is_not_explained_away(admin):
    job()
    make_run(scheduled_time=after(-7200), status="succeeded")
    assert "Nothing is on record of 11:00:00." in told(admin)


def test_the_instant_is_of_the_zone_in_which_times_are_shown(admin):
    job(trigger={"type": "cron", "hour": 9, "timezone": "Asia/Tokyo"})
    assert "Due at 2030-01-02 00:00:00 UTC" in told(admin, "2030-01-02 00:00:00")
    admin.client.cookies["cronzimus_zone"] = "job"
    assert "in the time zone Asia/Tokyo" in text(admin.read(WHY))
    assert "Due at 2030-01-02 09:00:00 JST" in told(admin, "2030-01-02 09:00:00")


@pytest.mark.parametrize("at", ["soon", "2030-13-01", "9" * 40, "\x00"])
def test_what_is_no_instant_is_said_at_the_input(admin, at):
    job()
    assert 'id="at-problem"' in admin.read(WHY, at=at)


def test_without_an_instant_it_asks_for_one(admin):
    job()
    assert "Name an instant" in admin.read(WHY)


def test_it_needs_the_permission_to_see_jobs(at_noon):
    job()
    assert Admin("view_run").client.get(WHY).status_code == 403


# --- a fire time to come ---------------------------------------------------------------------------------------------


def test_a_fire_time_to_come_is_shown_with_what_the_policies_would_do(admin):
    job(retries={"max": 1, "delay": 10}, kwargs={"size": 3, "password": "hush"})
    page = admin.read(WHY, at="2030-01-01 15:00:00")
    shown = text(page)
    assert "What job will do" in shown
    assert "At 2030-01-01 15:00:00 UTC, as the job is now" in shown
    assert "Its last run is still going It is skipped." in shown
    assert 'tests:record(size=3, password="***")' in shown


def test_between_two_fire_times_the_next_one_is_previewed(admin):
    job()
    assert "At 2030-01-01 16:00:00 UTC, as the job is now" in text(admin.read(WHY, at="2030-01-01 15:20:00"))


def test_the_fire_times_to_come_of_a_job_lead_there(admin):
    job()
    page = admin.read(f"{JOBS}job/change/", tab="upcoming")
    assert f'href="{WHY}?at=2030-01-01T13:00:00.000000Z"' in page
    assert "What job will do" in admin.read(WHY, at="2030-01-01T13:00:00.000000Z")
