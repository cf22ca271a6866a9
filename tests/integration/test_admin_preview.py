"""The preview of a trigger in the admin: the next ten fire times, or the errors on saving."""

from __future__ import annotations

import pytest

from jobs.models import Job
from tests.fakes import NOW, after, make_job, make_run
from tests.integration.admin_support import INTERVAL, JOBS, admin_fixture, at_noon_fixture, inputs, text  # noqa: F401

pytestmark = pytest.mark.any_database

NEW = f"{JOBS}preview/"
OLD = f"{JOBS}job/preview/"


def shown(admin, path=NEW, **given):
    response = admin.client.post(path, given)
    assert response.status_code == 200
    return text(response.content.decode())


def test_it_shows_words_and_ten_fire_times_in_the_jobs_zone_and_in_utc(admin):
    page = shown(admin, trigger="crontab", crontab="30 2 * * 1-5", timezone="Europe/Berlin")
    assert "At 02:30 on Monday through Friday (Europe/Berlin)." in page
    assert "2030-01-02 02:30:00 CET 01:30:00 in 13 h 30 min" in page
    assert page.count("CET") == 10


def test_it_counts_an_interval_from_now_as_saving_would(admin):
    page = shown(admin, **INTERVAL)
    assert "Every 30 seconds." in page
    assert "2030-01-01 12:00:30 UTC" in page
    admin.send(f"{JOBS}add/", id="new", **INTERVAL)
    assert f"{Job.objects.get().next_run_time:%Y-%m-%d %H:%M:%S}" in page


def test_it_leaves_a_stored_trigger_its_anchor(admin, at_noon):
    make_job()
    at_noon.advance(3)
    given = inputs(admin.open(f"{JOBS}job/edit/"))
    assert "2030-01-01 12:00:10 UTC" in shown(admin, OLD, **given)
    assert "2030-01-01 12:00:23 UTC" in shown(admin, OLD, **given | {"seconds": "20"})


def test_the_page_of_a_job_has_it_from_the_start(admin):
    make_job()
    page = text(admin.read(f"{JOBS}job/edit/"))
    assert "Every 10 seconds." in page
    assert "2030-01-01 12:00:50 UTC 12:00:50 in 50 s" in page


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"trigger": "interval"}, "Trigger: needs at least one of weeks"),
        ({"trigger": "interval", "seconds": "0"}, "Seconds: the interval must be longer than 0"),
        ({"trigger": "crontab", "crontab": "61 * * * *"}, "Crontab line:"),
        ({"trigger": "cron", "day_of_week": "mon#2", "hour": "x"}, "Day of week:"),
        ({"trigger": "date", "run_date": "2029-01-01"}, "lies in the past"),
        ({"trigger": "interval", "seconds": "5", "timezone": "Mars"}, "Time zone: is not an IANA time zone"),
        ({}, "Trigger: is missing"),
    ],
)
def test_it_shows_what_saving_would_be_refused_for(admin, given, said):
    assert said in shown(admin, **given)


def test_it_warns_of_what_may_not_be_expected(admin):
    assert "5 months of the year, without a 31st" in shown(admin, trigger="crontab", crontab="0 0 31 * *")
    assert "months" not in shown(admin, trigger="crontab", crontab="0 0 1 * *")


def test_it_warns_of_runs_that_overlap(admin):
    make_job(trigger={"type": "interval", "minutes": 5}, run_count=1)
    make_run(status="succeeded", started_at=NOW, finished_at=after(720))
    assert "A run usually takes 12 minutes" in text(admin.read(f"{JOBS}job/edit/"))


def test_it_says_that_nothing_is_left(admin):
    make_job(trigger={"type": "date", "run_date": "2029-01-01 00:00:00"}, next_run_time=None)
    assert "There is no fire time left." in text(admin.read(f"{JOBS}job/edit/"))


def test_it_escapes_what_was_typed(admin):
    response = admin.client.post(NEW, {"trigger": "crontab", "crontab": "<script>alert(1)</script>"})
    assert "<script>" not in response.content.decode()


def test_it_keeps_nothing(admin):
    make_job()
    before = Job.objects.values().get()
    shown(admin, OLD, trigger="interval", seconds="1")
    assert Job.objects.values().get() == before


@pytest.mark.parametrize("path", ["gone", "%00", "a/b"])
def test_a_job_that_is_not_there_has_none(admin, path):
    assert admin.client.post(f"{JOBS}{path}/preview/", INTERVAL).status_code == 404


@pytest.mark.parametrize("name", ["trigger", "seconds", "crontab", "hour", "timezone", "jitter", "misfire_grace_time"])
@pytest.mark.parametrize("value", ["\0", "9" * 5000, "1e400", "-" * 5000, "🙂", "١"])
def test_strange_text_breaks_nothing(admin, name, value):
    for kind in ("interval", "cron", "crontab", "date"):
        shown(admin, **{"trigger": kind, "seconds": "5", name: value})
