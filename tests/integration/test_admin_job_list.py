"""The list of jobs in the admin."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jobs.admin import display
from jobs.core.runs import JobState, RunStatus
from jobs.models import Job
from tests.fakes import NOW, after, make_job, make_jobs
from tests.integration.admin_support import JOBS, Admin, admin_fixture, at_noon_fixture, cell, ids, text  # noqa: F401

DAILY = {"type": "cron", "crontab": "30 2 * * *", "timezone": "Europe/Berlin"}


def test_it_shows_the_trigger_in_words_and_the_next_run_in_the_jobs_zone(admin):
    make_job(trigger=DAILY, next_run_time=datetime(2030, 1, 2, 1, 30, tzinfo=UTC))
    page = admin.read(JOBS)
    assert cell(page, "trigger_words") == "at 02:30 every day (Europe/Berlin)"
    assert cell(page, "next_run") == "2030-01-02 02:30:00 CET in 13 h 30 min"
    assert '<time datetime="2030-01-02T01:30:00+00:00" title="2030-01-02 01:30:00 UTC">' in page


def test_it_shows_the_last_result_and_how_many_ran_and_failed(admin):
    make_job(run_count=1200, failure_count=3, last_status=RunStatus.FAILED, last_run_at=after(-60))
    page = admin.read(JOBS)
    assert cell(page, "last_result") == "failed 1 min ago"
    assert cell(page, "ran") == "1,200 ran 3 failed"
    assert 'href="/admin/cronzimus/run/?job=job"' in page
    assert 'href="/admin/cronzimus/run/?job=job&amp;status=unsuccessful"' in page


def test_a_name_that_runs_from_right_to_left_turns_nothing_but_itself(admin):
    make_job(name="daily \u202egnp.exe", tags=["reports"])
    assert '<bdi title="">daily \u202egnp.exe</bdi> <span class="tag">reports</span>' in admin.read(JOBS)


def test_a_job_that_never_ran_says_so(admin):
    make_job()
    assert cell(admin.read(JOBS), "last_result") == "never ran"


@pytest.mark.parametrize(
    ("fields", "state", "next_run"),
    [
        ({}, "pending", "2030-01-01 12:00:00 UTC now"),
        ({"last_run_at": NOW}, "active", "2030-01-01 12:00:00 UTC now"),
        ({"paused": True}, "paused", "paused"),
        ({"next_run_time": None}, "completed", "no fire time left"),
    ],
)
def test_it_shows_the_state_and_why_there_is_no_next_run(admin, fields, state, next_run):
    make_job(**fields)
    page = admin.read(JOBS)
    assert (cell(page, "state"), cell(page, "next_run")) == (state, next_run)


def test_every_status_and_state_has_a_look():
    assert set(display.RUN_LOOKS) == set(RunStatus)
    assert set(display.JOB_LOOKS) == set(JobState)


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        ("active", ["active"]),
        ("paused", ["paused"]),
        ("completed", ["completed"]),
        ("broken", ["broken", "gone"]),
        ("never", ["active", "broken", "gone", "paused"]),
    ],
)
def test_the_state_filter_narrows_the_list(admin, chosen, found):
    make_job("active")
    make_job("paused", paused=True)
    make_job("completed", next_run_time=None, last_run_at=NOW)
    make_job("gone", func="os:system")
    make_job("broken", next_run_time=None, error="its trigger is not one")
    assert ids(admin.read(JOBS, state=chosen)) == found


def test_the_other_filters_narrow_the_list(admin):
    make_job("well", last_status=RunStatus.SUCCEEDED)
    make_job("ill", last_status=RunStatus.FAILED)
    assert ids(admin.read(JOBS, last="failed")) == ["ill"]
    assert ids(admin.read(JOBS, executor="thread")) == ["ill", "well"]
    assert ids(admin.read(JOBS, executor="nonsense")) == []


@pytest.mark.parametrize("words", ["night", "Backup of", "the whole disk", "tests:speak"])
def test_the_search_looks_at_id_name_description_and_function(admin, words):
    make_job("nightly", name="Backup of db", description="Saves the whole disk.", func="tests:speak")
    make_job("other")
    assert ids(admin.read(JOBS, q=words)) == ["nightly"]


@pytest.mark.parametrize("query", [{"o": "1.-2"}, {"p": "999"}, {"state": "nonsense"}, {"nonsense": "1"}])
def test_a_strange_address_breaks_nothing(admin, query):
    make_job()
    assert admin.client.get(JOBS, query, follow=True).status_code == 200


def test_the_number_of_queries_does_not_grow_with_the_jobs(admin, statements):
    make_jobs(3)
    with statements() as few:
        admin.open(JOBS)
    Job.objects.all().delete()
    make_jobs(80, tags=["a"], last_status=RunStatus.FAILED, last_run_at=NOW)
    with statements() as many:
        admin.open(JOBS)
    assert len(many) == len(few) <= 10


def test_texts_of_people_are_escaped(admin):
    evil = "<script>alert(1)</script>"
    make_job(name=evil, description=f'"{evil}', tags=[evil], error=evil, next_run_time=None)
    page = admin.read(JOBS)
    assert evil not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 4


def test_each_row_has_its_buttons_with_names_that_tell_them_apart(admin):
    make_job("nightly")
    make_job("off", paused=True)
    page = admin.read(JOBS)
    button = 'form="row-action" formaction="/admin/cronzimus/job/nightly/run/">Run now<span class="visually-hidden">'
    assert f"{button}: nightly" in page
    assert cell(page, "buttons") == "Run now : nightly Pause : nightly Duplicate : nightly"
    assert "Resume : off" in text(page)
    assert "Pause : off" not in text(page)


def test_the_form_of_the_buttons_is_not_inside_the_form_of_the_list(admin):
    make_job()
    page = admin.read(JOBS)
    assert page.index('<form id="row-action"') > page.index("</form>", page.index('id="changelist-form"'))


def test_there_are_no_buttons_for_those_who_may_only_look(at_noon):
    make_job()
    page = Admin("view_job").read(JOBS)
    assert "Run now" not in page
    assert cell(page, "job_id") == "job"


def test_nothing_is_inline(admin):
    make_job()
    for page in (admin.read(JOBS), admin.read(f"{JOBS}add/"), admin.read(f"{JOBS}job/change/")):
        assert "style=" not in page
        assert "<style" not in page
        assert " onclick=" not in page
        assert "<script>" not in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"owner": "ann"}, ["a"]), ({"q": "owner:ANN"}, ["a", "b"]), ({"q": 'mail owner:"ann b"'}, ["b"]),
        ({"q": "owner:ann nothing"}, []),
    ],
)  # fmt: skip
def test_jobs_are_found_by_their_owner(admin, query, found):
    make_job("a", owner="ann")
    make_job("b", owner="Ann B", description="sends mail")
    make_job("c")
    assert ids(admin.read(JOBS, **query)) == found
