"""The list of runs in the admin: its rows, tabs, filters and search, its pages, and the news that it announces."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from django.db import connection

from jobs.admin.pages import LIVE_HEADER
from jobs.models import Run
from jobs.selectors import run_search, tab_counts
from tests.fakes import NOW, after, make_job, make_run
from tests.integration.admin_support import RUNS, Admin, admin_fixture, at_noon_fixture, cell, ids, text  # noqa: F401

EVIL = "<script>alert(1)</script>"
POLL = {LIVE_HEADER: "1"}


def tabs(page):
    return text(page[page.index('<nav class="tabs"') : page.index('<form class="filter-bar"')])


def test_it_shows_what_happened(admin):
    make_job("sync")
    make_run(
        "sync", id=7, status="failed", trigger="manual", actor="ana", scheduled_time=after(-60),
        started_at=after(-59.5), finished_at=after(-9.4), attempt=2, error="RuntimeError: no\nmore",
        scheduler_id="web-1-4121-0a1b",
    )  # fmt: skip
    page = admin.read(RUNS)
    assert cell(page, "run") == "sync run 7 #7 RuntimeError: no"
    shown = [cell(page, name) for name in ("state", "made-by", "scheduled", "delay", "took", "attempt", "host")]
    assert shown == ["failed", "manual ana", "1 min ago 11:59:00", "500 ms", "50.1 s", "2", "web-1"]


def test_the_newest_come_first(admin):
    make_run(id=1, scheduled_time=after(2))
    make_run(id=2, scheduled_time=after(1))
    make_run(id=3, scheduled_time=after(3))
    assert ids(admin.read(RUNS)) == ["3", "1", "2"]


def test_a_run_that_did_not_run_shows_the_reason(admin):
    make_run(status="missed", reason="seen 12.0 s late", fire_times=3)
    page = admin.read(RUNS)
    assert "seen 12.0 s late" in cell(page, "run")
    assert (cell(page, "state"), cell(page, "took")) == ("missed 3 fire times", "—")


def test_a_run_that_is_going_shows_how_long_it_has_taken_and_how_far_it_is(admin):
    make_run(status="running", started_at=after(-90), progress_done=40, progress_total=100)
    page = admin.read(RUNS)
    assert (cell(page, "took"), cell(page, "state")) == ("1 m 30 s", "running 40 of 100")


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"status": "queued", "available_at": after(30)}, "queued in 30 s"),
        ({"status": "running", "cancel_requested_at": NOW, "started_at": NOW}, "running asked to stop"),
    ],
)
def test_a_run_that_waits_or_is_to_stop_says_so(admin, fields, shown):
    make_run(**fields)
    assert cell(admin.read(RUNS), "state") == shown


def test_the_duration_stands_beside_what_is_usual(admin):
    for number, seconds in enumerate((10, 10, 10, 40)):
        at = after(-100 * number)
        make_run(scheduled_time=at, status="succeeded", started_at=at, finished_at=after(seconds, at))
    page = admin.read(RUNS)
    assert page.count('title="usually 10.0 s"') == 4
    assert page.count('class="f-late"') == 1


def test_runs_outlive_their_job(admin):
    make_run("gone")
    assert "gone run" in cell(admin.read(RUNS), "run")
    assert "(removed)" in cell(admin.read(RUNS), "run")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status": "failed"}, ["3"]),
        ({"status": "unsuccessful"}, ["4", "3"]),
        ({"status": "failures"}, ["4", "3"]),
        ({"status": "not_run"}, ["5"]),
        ({"trigger": "manual"}, ["2"]),
        ({"job": "a"}, ["3", "1"]),
        ({"job": "a", "status": "failed"}, ["3"]),
        ({"job": "nobody"}, []),
        ({"since": "1h"}, ["5", "4", "3", "2"]),
        ({"since": "24h"}, ["5", "4", "3", "2", "1"]),
        ({"from": "2030-01-01T12:00:01Z", "to": "2030-01-01T12:00:02Z"}, ["3"]),
        ({"to": "2030-01-01T11:00Z"}, ["1"]),
        ({"error": "ime"}, ["3"]),
        ({"q": "2"}, ["2"]),
        ({"q": "#2"}, ["2"]),
        ({"q": "b"}, ["2"]),
        ({"q": "Second"}, ["2"]),
        ({"q": "gone"}, ["5", "4"]),
        ({"q": "9" * 30}, []),
        ({"q": "٣"}, []),
        ({"q": "job:a"}, ["3", "1"]),
        ({"q": "job:a status:failed"}, ["3"]),
        ({"q": "status:timed-out"}, []),
        ({"q": "state:failures"}, ["4", "3"]),
        ({"q": "trigger:manual"}, ["2"]),
        ({"q": "host:web-1"}, ["1"]),
        ({"q": "host:web-1-7-0a1b"}, ["1"]),
        ({"q": "host:web"}, []),
        ({"q": "took:>30s"}, ["1"]),
        ({"q": "took:<1m job:a"}, ["3"]),
        ({"q": "took:>=30s took:<2h"}, ["1"]),
        ({"q": "since:1h"}, ["5", "4", "3", "2"]),
        ({"q": "until:2030-01-01T11:30"}, ["1"]),
        ({"q": "attempt:>1"}, ["4"]),
        ({"q": "attempt:2"}, ["4"]),
        ({"q": 'error:"no time"'}, ["3"]),
        ({"q": 'a status:failed "nothing like this"'}, []),
        ({"q": "a:b"}, []),
    ],
)
def test_the_filters_and_the_search_narrow_the_list(admin, query, found):
    make_job("a")
    make_job("b", name="Second")
    long_ago = NOW - timedelta(hours=2)
    make_run("a", id=1, status="succeeded", scheduled_time=long_ago, started_at=long_ago, scheduler_id="web-1-7-0a1b",
             finished_at=after(90, long_ago))  # fmt: skip
    make_run("b", id=2, trigger="manual")
    make_run("a", id=3, status="failed", scheduled_time=after(1), error="No time left", started_at=after(1),
             finished_at=after(2))  # fmt: skip
    make_run("gone", id=4, status="lost", scheduled_time=after(2), attempt=2)
    make_run("gone", id=5, status="skipped", scheduled_time=after(3))
    assert ids(admin.read(RUNS, **query)) == found


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("status:faild", "Status must be one of queued, running, succeeded, failed, timed_out, cancelled, lost, "
                         "missed, skipped, failures, not_run, unsuccessful; did you mean failed?"),
        ("trigger:cron", "Trigger must be one of schedule, manual, retry, backfill, test."),
        ("took:30s", "Took must begin with > or <, such as >30s."),
        ("took:>30", "Took must be a length of time with a unit, such as >30s."),
        ("since:soon", "or a length of time such as 24h."),
        ("attempt:x", "Attempt must be a whole number, such as 2 or >1."),
        ("since:999999999d", "Since lies before the calendar begins."),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_qualifier_is_said_and_nothing_is_shown(admin, query, said):
    make_run()
    page = admin.read(RUNS, q=query)
    assert said in text(page)
    assert ids(page) == []


def test_a_search_that_no_index_helps_looks_at_the_last_days_and_says_so(admin):
    for number, hours in enumerate((23, 25)):
        at = NOW - timedelta(hours=hours)
        make_run(id=number + 1, status="succeeded", scheduled_time=at, started_at=at, finished_at=after(60, at))
    page = admin.read(RUNS, q="took:>30s")
    assert ids(page) == ["1"]
    assert "The last 24 hours are searched." in text(page)
    page = admin.read(RUNS, q="took:>30s since:30d")
    assert ids(page) == ["1", "2"]
    assert "are searched" not in text(page)


def test_a_search_that_finds_very_many_jobs_shows_the_runs_of_some(admin, monkeypatch):
    monkeypatch.setattr(run_search, "MAX_JOBS", 1)
    for number, name in enumerate(("ab", "abc", "abcd")):
        make_job(name)
        make_run(name, id=number + 1, scheduled_time=after(number))
    assert len(ids(admin.read(RUNS, q="abc"))) == 1
    assert ids(admin.read(RUNS, q="abcd")) == ["3"]


@pytest.mark.parametrize(
    "query",
    [
        {"status": "nonsense"}, {"since": "x"}, {"from": "x"}, {"to": "2030-99-99"}, {"cursor": "x"}, {"seen": "x"},
        {"seen": "9" * 30}, {"p": "99"}, {"p": "x"}, {"o": "9.-1"}, {"job__id": "a"}, {"job__id__exact": "a"},
        {"all": ""}, {"nonsense": "1"}, {"q": 'job:"'}, {"q": "job: status: took:"},
    ],
)  # fmt: skip
def test_a_strange_address_breaks_nothing(admin, query):
    make_run()
    assert admin.client.get(RUNS, query, follow=True).status_code == 200


def test_the_tabs_have_counts_that_follow_the_times(admin):
    for number, status in enumerate(("failed", "lost", "missed", "running", "succeeded", "cancelled")):
        make_run("a", status=status, scheduled_time=after(number), started_at=NOW)
    make_run("b", status="failed")
    assert tabs(admin.read(RUNS)) == "All 7 Running 1 Queued 0 Failed 3 Did not run 1 Cancelled 1 Succeeded"
    assert tabs(admin.read(RUNS, since="1h", status="running")).startswith("All 7 Running 1 Queued 0 Failed 3")


def test_what_costs_as_much_as_the_list_is_counted_for_the_chosen_tab_alone(admin):
    for number, status in enumerate(("failed", "lost", "missed")):
        make_run("a", status=status, scheduled_time=after(number))
    make_run("b", status="failed")
    assert tabs(admin.read(RUNS, job="a", status="failures")).startswith("All Running Queued Failed 2 Did not run")
    assert tabs(admin.read(RUNS, q="job:a")).startswith("All 3 Running Queued Failed Did")
    assert tabs(admin.read(RUNS, q="took:>1s")).startswith("All Running Queued Failed")


def test_the_tabs_count_to_a_limit_and_no_further(admin, monkeypatch):
    monkeypatch.setattr(tab_counts, "MAX_COUNTED", 5)
    monkeypatch.setattr("jobs.admin.runs.listing.MAX_COUNTED", 5)
    for number in range(9):
        make_run(status="failed", scheduled_time=after(number))
    assert tabs(admin.read(RUNS)).startswith("All 5+ Running 0 Queued 0 Failed 5+")


def test_pages_follow_each_other_by_cursor(admin):
    for number in range(120):
        make_run(id=number + 1, scheduled_time=after(number // 3), attempt=number % 3 + 1)
    seen, path = [], RUNS
    for _ in range(3):
        page = admin.client.get(path).content.decode()
        seen += ids(page)
        following = page.partition('" rel="next"')[0].rpartition('href="')[2] if 'rel="next"' in page else ""
        path = RUNS + following.replace("&amp;", "&")
    assert seen == [str(number) for number in range(120, 0, -1)]
    assert 'rel="next"' not in page
    back = page.partition('" rel="prev"')[0].rpartition('href="')[2]
    assert ids(admin.client.get(RUNS + back.replace("&amp;", "&")).content.decode()) == seen[50:100]


def test_new_runs_are_announced_and_do_not_push_in(admin):
    make_run(id=1, status="running", started_at=NOW)
    page = admin.read(RUNS)
    assert f'data-live-url="{RUNS}?seen=1"' in page
    Run.objects.filter(pk=1).update(status="succeeded", finished_at=NOW)
    for number in (2, 3):
        make_run(id=number, scheduled_time=after(number))
    fragment = admin.client.get(RUNS, {"seen": "1"}, headers=POLL).content.decode()
    assert ids(fragment) == ["1"]
    assert cell(fragment, "state") == "succeeded"
    assert f'<a class="button" href="{RUNS}?">2 new runs — show</a>' in fragment
    assert '<p id="live-announcement" class="visually-hidden">2 new runs</p>' in fragment
    assert ids(admin.read(RUNS)) == ["3", "2", "1"]


def test_a_poll_leaves_no_trace_in_the_links(admin):
    make_run(id=1)
    fragment = admin.client.get(RUNS, {"seen": "1", "trigger": "schedule"}, headers=POLL).content.decode()
    assert not re.search(r'(?:href|action)="[^"]*seen=', fragment)
    assert '<input type="hidden" name="filters" value="trigger=schedule">' in fragment


def test_another_filter_begins_at_the_newest_run(admin):
    for number in range(60):
        make_run(id=number + 1, scheduled_time=after(number))
    older = re.search(r'href="([^"]*)" rel="next"', admin.read(RUNS))[1].replace("&amp;", "&")
    page = admin.client.get(RUNS + older).content.decode()
    assert 'href="?status=running"' in page
    assert f'action="{RUNS}{older}"'.replace("&", "&amp;") in page


def test_only_new_runs_that_match_are_announced(admin):
    make_run("a", id=1)
    assert f'data-live-url="{RUNS}?job=a&amp;seen=1"' in admin.read(RUNS, job="a")
    make_run("b", id=2)
    fragment = admin.client.get(RUNS, {"job": "a", "seen": "1"}, headers=POLL).content.decode()
    assert "new run" not in fragment


def test_the_list_leaves_long_texts_in_the_database(admin, statements):
    make_run(output="x" * 100_000, traceback="y" * 100_000, error="z" * 100_000)
    with statements() as sent:
        page = admin.read(RUNS)
    assert len(page) < 50_000
    (listing,) = [sql for sql in sent if "error_start" in sql]
    assert not [name for name in ("output", "traceback", "result", "args") if f'"cronzimus_run"."{name}"' in listing]


@pytest.mark.parametrize("query", [{}, {"status": "failed", "job": "a"}, {"q": "job:a status:failed took:>1s"}])
def test_the_number_of_queries_does_not_grow_with_the_runs(admin, statements, query):
    make_job("a")
    make_run("a", id=1, status="failed", started_at=NOW, finished_at=after(5))
    with statements() as few:
        admin.open(RUNS, **query)
    for number in range(2, 60):
        make_run("a", id=number, scheduled_time=after(number), status="failed", error="no", started_at=NOW,
                 finished_at=after(5))  # fmt: skip
    with statements() as many:
        admin.open(RUNS, **query)
    # On SQLite a search is tried among the newest runs first; a page that these fill needs no second look.
    assert len(many) <= len(few) <= 13


def test_nothing_that_matches_and_nothing_at_all_are_told_apart(admin):
    assert "Nothing has run yet" in admin.read(RUNS)
    make_run()
    page = admin.read(RUNS, status="lost")
    assert "No run matches status: lost" in text(page)
    assert f'<a class="button" href="{RUNS}">Clear the filters</a>' in page


def test_a_list_with_its_filters_is_saved_as_a_table_and_as_json(admin):
    make_run("a", id=1, status="failed", error="no\nmore", started_at=NOW, finished_at=after(1.5))
    make_run("b", id=2)
    assert f'href="{RUNS}export/csv/?job=a"' in admin.read(RUNS, job="a")
    lines = b"".join(admin.client.get(f"{RUNS}export/csv/", {"job": "a"}).streaming_content).decode().splitlines()
    assert lines[0].startswith("id,job_id,func,status,reason,trigger,actor,scheduled_time,")
    assert lines[1].startswith("1,a,tests:record,failed,,schedule,,2030-01-01T12:00:00Z,")
    found = json.loads(b"".join(admin.client.get(f"{RUNS}export/json/", {"q": "job:a"}).streaming_content))
    assert [(run["id"], run["duration"], run["error"]) for run in found] == [(1, 1.5, "no\nmore")]


def test_an_export_needs_the_permission_to_see(at_noon):
    assert Admin("view_job").client.get(f"{RUNS}export/csv/").status_code == 403


def test_texts_of_people_and_programs_are_escaped(admin):
    make_run(EVIL, status="failed", error=EVIL, reason=EVIL, actor=EVIL, scheduler_id=EVIL)
    for query in ({}, {"q": EVIL}, {"job": EVIL}, {"error": EVIL}):
        assert EVIL not in admin.read(RUNS, **query)


@pytest.mark.parametrize(("column", "value"), [("scheduled_time", "soon"), ("started_at", 5), ("fire_times", "x")])
def test_a_damaged_run_is_listed(admin, sqlite_only, column, value):
    make_run(id=7)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE cronzimus_run SET {column} = %s", [value])  # noqa: S608
    assert ids(admin.read(RUNS)) == ["7"]
