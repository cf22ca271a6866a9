"""Runs in the admin: the list with its filters, and the page of one, for reading only."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from jobs.admin import paging
from jobs.admin.runs import filters
from jobs.core.runs import RunStatus
from jobs.models import Job, Run
from tests.fakes import NOW, after, make_job, make_run
from tests.integration.admin_support import RUNS, Admin, admin_fixture, at_noon_fixture, cell, ids, text  # noqa: F401

EVIL = "<script>alert(1)</script>"


def one(**fields):
    return f"{RUNS}{make_run(**fields).pk}/change/"


def test_the_list_shows_what_happened(admin):
    make_job()
    make_run(
        id=7, status="failed", trigger="manual", actor="ana", scheduled_time=after(-60), started_at=after(-59.5),
        finished_at=after(-9.4), attempt=2, error="RuntimeError: no\nmore",
    )  # fmt: skip
    page = admin.read(RUNS)
    shown = {name: cell(page, name) for name in ("run_id", "job_link", "status_badge", "made_by", "scheduled")}
    assert list(shown.values()) == ["7", "job", "failed", "manual: ana", "2030-01-01 11:59:00 UTC 1 min ago"]
    assert (cell(page, "start_delay"), cell(page, "took")) == ("500 ms", "50.1 s")
    assert (cell(page, "attempt"), cell(page, "first_error")) == ("2", "RuntimeError: no")


def test_the_newest_come_first(admin):
    make_run(id=1, scheduled_time=after(2))
    make_run(id=2, scheduled_time=after(1))
    make_run(id=3, scheduled_time=after(3))
    assert ids(admin.read(RUNS)) == ["3", "1", "2"]


def test_a_run_that_did_not_run_shows_the_reason(admin):
    make_run(status="missed", reason="seen 12.0 s late")
    page = admin.read(RUNS)
    assert cell(page, "first_error") == "seen 12.0 s late"
    assert cell(page, "took") == "—"


def test_a_running_run_shows_how_long_it_has_taken(admin):
    make_run(status="running", started_at=after(-90))
    assert cell(admin.read(RUNS), "took") == "1 m 30 s so far"


def test_runs_outlive_their_job(admin):
    path = one(job_id="gone", output="still here")
    assert cell(admin.read(RUNS), "job_link") == "gone (removed)"
    page = text(admin.read(path))
    assert "gone (removed)" in page
    assert "still here" in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status": "failed"}, ["3"]),
        ({"status": "unsuccessful"}, ["4", "3"]),
        ({"trigger": "manual"}, ["2"]),
        ({"job": "a"}, ["3", "1"]),
        ({"job": "a", "status": "failed"}, ["3"]),
        ({"job": "nobody"}, []),
        ({"since": "1h"}, ["4", "3", "2"]),
        ({"since": "24h"}, ["4", "3", "2", "1"]),
        ({"q": "2"}, ["2"]),
        ({"q": "b"}, ["2"]),
        ({"q": "Second"}, ["2"]),
        ({"q": "gone"}, ["4"]),
        ({"q": "9" * 30}, []),
        ({"q": "٣"}, []),
    ],
)
def test_the_filters_and_the_search_narrow_the_list(admin, query, found):
    make_job("a")
    make_job("b", name="Second")
    make_run("a", id=1, status="succeeded", scheduled_time=NOW - timedelta(hours=2))
    make_run("b", id=2, trigger="manual")
    make_run("a", id=3, status="failed", scheduled_time=after(1))
    make_run("gone", id=4, status="lost", scheduled_time=after(2))
    assert ids(admin.read(RUNS, **query)) == found


def test_a_search_that_finds_very_many_jobs_shows_the_runs_of_some(admin, monkeypatch):
    monkeypatch.setattr(filters, "MAX_JOBS", 1)
    for number, name in enumerate(("ab", "abc", "abcd")):
        make_job(name)
        make_run(name, id=number + 1, scheduled_time=after(number))
    assert len(ids(admin.read(RUNS, q="abc"))) == 1
    assert ids(admin.read(RUNS, q="abcd")) == ["3"]


@pytest.mark.parametrize(
    "query",
    [
        {"status": "nonsense"}, {"since": "x"}, {"p": "99"}, {"p": "x"}, {"o": "9.-1"},
        {"job__id": "a"}, {"job__id__exact": "a"}, {"all": ""}, {"nonsense": "1"},
    ],
)  # fmt: skip
def test_a_strange_address_breaks_nothing(admin, query):
    make_run()
    assert admin.client.get(RUNS, query, follow=True).status_code == 200


def test_the_links_of_the_list_of_jobs_lead_to_the_jobs_runs(admin):
    make_run("a", id=1, status="failed")
    make_run("b", id=2, status="failed")
    assert ids(admin.read(RUNS, job="a")) == ["1"]
    assert "Job: a" in text(admin.read(RUNS, job="a"))


def test_the_list_leaves_long_texts_in_the_database(admin, statements):
    make_run(output="x" * 100_000, traceback="y" * 100_000, error="z" * 100_000)
    with statements() as sent:
        page = admin.read(RUNS)
    assert len(page) < 50_000
    (listing,) = [sql for sql in sent if "error_start" in sql]
    assert not [name for name in ("output", "traceback", "result", "args") if f'"cronzimus_run"."{name}"' in listing]


def test_the_number_of_queries_does_not_grow_with_the_runs(admin, statements):
    make_run("a", id=1)
    with statements() as few:
        admin.open(RUNS)
    make_job("a")
    for number in range(2, 60):
        make_run("a", id=number, scheduled_time=after(number), status="failed", error="no")
    with statements() as many:
        admin.open(RUNS)
    assert len(many) == len(few) <= 9


def test_the_list_counts_to_a_limit_and_no_further(admin, monkeypatch, statements):
    monkeypatch.setattr(paging, "COUNTED", 55)
    for number in range(60):
        make_run(scheduled_time=after(number))
    with statements() as sent:
        page = text(admin.read(RUNS, p="2"))
    assert "More than 55 runs" in page
    counts = [sql for sql in sent if "SELECT COUNT(*)" in sql and "cronzimus_run" in sql]
    assert counts
    assert all("LIMIT 56" in sql for sql in counts)


def test_up_to_the_limit_the_number_is_exact(admin):
    make_run()
    assert "1 run" in text(admin.read(RUNS))


@pytest.mark.parametrize("status", list(RunStatus))
def test_every_status_has_its_page(admin, status):
    path = one(status=status)
    assert status.replace("_", " ") in text(admin.read(path))


def test_texts_of_people_and_programs_are_escaped(admin):
    path = one(
        status="failed", output=EVIL, error=EVIL, traceback=EVIL, reason=EVIL, result=EVIL, args=[EVIL],
        kwargs={EVIL: EVIL}, actor=EVIL, func=EVIL,
    )  # fmt: skip
    assert EVIL not in admin.read(path)
    assert EVIL not in admin.read(RUNS)


def test_a_run_that_is_not_there_is_told(admin):
    for path in ("99", "x", "%00", "9" * 30):
        response = admin.client.get(f"{RUNS}{path}/change/", follow=True)
        assert response.status_code == 200
        assert "doesn’t exist" in text(response.content.decode())


def test_the_page_of_a_job_leads_to_its_runs(admin):
    make_job("a_b")
    assert 'href="/admin/cronzimus/run/?job=a_b"' in admin.read("/admin/cronzimus/job/a_5Fb/change/")
    assert Job.objects.count() == 1
    assert not Run.objects.exists()


@pytest.mark.parametrize(("column", "value"), [("scheduled_time", "soon"), ("started_at", 5), ("timeout", "x")])
def test_a_damaged_run_is_listed_and_can_be_opened(admin, sqlite_only, column, value):
    make_run(id=7)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE cronzimus_run SET {column} = %s", [value])  # noqa: S608
    assert ids(admin.read(RUNS)) == ["7"]
    assert "Run 7" in text(admin.read(f"{RUNS}7/change/"))
