"""The page of failures: a matrix by kind and time, with links to runs, and the retry of open failures."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html import unescape

import pytest

from jobs.models import Run
from tests.fakes import NOW, after, make_job, make_run
from tests.integration.admin_support import RUNS, Admin, admin_fixture, at_noon_fixture, cell, ids, messages, text  # noqa: F401

PAGE = f"{RUNS}failures/"
RETRY = f"{PAGE}retry/"


def fail(job_id="sync", hours_ago=0.5, **fields):
    at = NOW - timedelta(hours=hours_ago)
    return make_run(
        job_id, **{"status": "failed", "scheduled_time": at, "error": "Timeout: no answer in 10 s", **fields}
    )


def rows(page):
    """Return the texts of the rows of the matrix."""
    return [text(row) for row in re.findall(r"<tr data-key.*?</tr>", page, re.S)]


def kinds(page):
    return re.findall(r'<tr data-key="([^"]*)"', page)


def numbers(page):
    """Return the numbers of each row."""
    found = re.findall(r"<tr data-key.*?</tr>", page, re.S)
    return [[int(number) for number in re.findall(r'class="heat-\d" href="[^"]*">(\d+)', row)] for row in found]


def test_failures_are_counted_by_job_and_kind_of_error_in_each_time(admin):
    make_job("sync")
    make_job("load")
    for number, hours in enumerate((0.5, 2, 20, 50, 100, 200)):
        fail(hours_ago=hours, error=f"Timeout: no answer in {number} s")
    fail("load", hours_ago=30, status="timed_out", error="", reason="stopped after 30 s")
    fail("load", hours_ago=31, status="cancelled")
    page = admin.read(PAGE)
    assert numbers(page) == [[1, 2, 3, 4, 5], [1, 1]]
    assert rows(page)[0].startswith("sync Timeout: no answer in 0 s 1 failed in 1 h: sync 2 failed in 3 h: sync")
    assert rows(page)[1].startswith("load stopped after 30 s")
    assert "6 failed, timed-out or lost runs in 7 days, of 2 kinds. 2 are still open." in text(page)
    assert "By day: 0, 0, 1, 0, 1, 0, 3" in rows(page)[0]


def test_every_number_leads_to_its_runs(admin):
    make_job("sync")
    fail(id=1, hours_ago=0.5)
    fail(id=2, hours_ago=2, error="Timeout: no answer in 99 s")
    fail(id=3, hours_ago=0.4, error="ValueError: x")
    fail("other", id=4, hours_ago=0.5)
    page = admin.read(PAGE)
    (key, *_) = [row for row in re.findall(r"<tr data-key.*?</tr>", page, re.S) if "sync" in row and "Timeout" in row]
    found = [
        ids(admin.client.get(unescape(url)).content.decode()) for url in re.findall(r'heat-\d" href="([^"]*)"', key)
    ]
    assert found == [["1"], ["1", "2"], ["1", "2"], ["1", "2"], ["1", "2"]]


def test_darker_is_more(admin):
    for number in range(10):
        fail(hours_ago=0.1 * (number + 1))
    fail("other", hours_ago=0.5)
    page = admin.read(PAGE)
    assert page.count('class="heat-3"') == 5
    assert page.count('class="heat-1"') == 5


def test_it_tells_what_is_over(admin):
    for name in ("open", "over"):
        make_job(name)
        fail(name, hours_ago=1)
    make_run("over", status="succeeded", scheduled_time=after(-60))
    fail("gone", hours_ago=1)
    page = admin.read(PAGE)
    states = {row.split()[0]: row for row in rows(page)}
    assert "open Retry… open" in states["open"]
    assert states["over"].endswith("recovered")
    assert states["gone"].endswith("removed")
    assert "All 3 Open 1 Recovered 1 Removed 1" in text(page)
    assert len(kinds(admin.read(PAGE, state="recovered"))) == 1


def test_an_attempt_that_succeeded_recovers_its_fire_time(admin):
    make_job("sync")
    fail(id=1)
    make_run("sync", status="succeeded", scheduled_time=NOW - timedelta(hours=0.5), attempt=2)
    assert "recovered" in rows(admin.read(PAGE))[0]


@pytest.mark.parametrize(
    ("by", "found"),
    [
        ("job-error", ["sync Timeout: no answer in 10 s", "load Timeout: no answer in 10 s", "load ValueError: x"]),
        ("error", ["Timeout: no answer in 10 s load and sync", "ValueError: x load"]),
        ("job", ["sync", "load"]),
        ("host", ["web-1 load and sync", "web-2 load"]),
        ("nonsense", ["sync Timeout", "load Timeout", "load ValueError"]),
    ],
)
def test_they_are_grouped_in_four_ways(admin, by, found):
    make_job("sync")
    make_job("load")
    fail(hours_ago=0.1, scheduler_id="web-1-7-0a1b")
    fail("load", hours_ago=0.2, scheduler_id="web-1-8-0a1b")
    fail("load", hours_ago=0.3, error="ValueError: x", scheduler_id="web-2-7-0a1b")
    shown = rows(admin.read(PAGE, by=by))
    assert len(shown) == len(found)
    for row, begin in zip(shown, found, strict=True):
        assert row.startswith(begin)


def test_words_and_tags_narrow_the_page(admin):
    make_job("sync", tags=["etl"])
    make_job("load", tags=["ops"])
    fail()
    fail("load", error="ValueError: x")
    assert [row.split()[0] for row in rows(admin.read(PAGE, q="valueerror"))] == ["load"]
    assert [row.split()[0] for row in rows(admin.read(PAGE, tag="etl"))] == ["sync"]
    assert "Tag: any All etl ops" in text(admin.read(PAGE))
    nothing = admin.read(PAGE, q="nothing")
    assert "No failure matches “nothing”" in text(nothing)


def test_without_failures_it_says_so(admin):
    make_run(status="succeeded")
    assert "No failure in 7 days" in admin.read(PAGE)


def test_what_is_open_is_retried_after_a_question(admin):
    make_job("sync")
    fail(id=1, hours_ago=3)
    fail(id=2, hours_ago=2)
    fail(id=3, hours_ago=2, attempt=2, error="Timeout: no answer in 12 s")
    fail(id=4, hours_ago=1, error="ValueError: x")
    fail(id=5, hours_ago=4)
    make_run("sync", id=6, status="running", scheduled_time=NOW - timedelta(hours=4), attempt=2, started_at=NOW)
    page = admin.read(PAGE, q="timeout")
    asked = text(admin.send(RETRY, kind=kinds(page)).content.decode())
    assert "Retry 2 runs 3 , 1 . Of sync (2)." in asked
    assert Run.objects.count() == 6
    response = admin.send(RETRY, _selected_action=["3", "1"], post="yes", expected="2", action="retry")
    assert response.redirect_chain[-1][0] == PAGE
    assert messages(response)[0].startswith("Queued to run again: run 3 as run")
    assert Run.objects.filter(status="queued").count() == 2


def test_what_succeeded_meanwhile_is_not_retried(admin):
    make_job("sync")
    fail()
    key = kinds(admin.read(PAGE))
    make_run("sync", status="succeeded", scheduled_time=NOW - timedelta(hours=0.5), attempt=2)
    assert "Nothing is left to retry" in messages(admin.send(RETRY, kind=key))[0]


@pytest.mark.parametrize("data", [{}, {"kind": "nonsense"}, {"post": "yes", "_selected_action": "x"}, {"post": "yes"}])
def test_strange_requests_retry_nothing(admin, data):
    fail()
    assert admin.client.post(RETRY, data, follow=True).status_code == 200
    assert Run.objects.count() == 1


@pytest.mark.parametrize(("permission", "status"), [("retry_run", 302), ("view_run", 403), ("cancel_run", 403)])
def test_a_retry_needs_its_permission(at_noon, permission, status):
    make_job("sync")
    fail(id=1)
    data = {"post": "yes", "_selected_action": "1", "expected": "1"}
    assert Admin(permission).client.post(RETRY, data).status_code == status
    assert Run.objects.filter(attempt=2).exists() == (status == 302)


def test_those_who_may_only_look_are_shown_nothing_to_press(at_noon):
    make_job("sync")
    fail()
    assert "Retry" not in Admin("view_run").read(PAGE)
    assert Admin("view_job", name="bob").client.get(PAGE).status_code == 403


def test_the_matrix_is_saved_as_a_table_and_as_json(admin):
    make_job("sync")
    fail(id=7)
    lines = b"".join(admin.client.get(f"{PAGE}export/csv/").streaming_content).decode().splitlines()
    assert lines[0] == "job,error,host,1h,3h,24h,3d,7d,first,last,last_run,state"
    assert lines[1].startswith("sync,Timeout: no answer in 10 s,,1,1,1,1,1,2030-01-01T11:30:00Z,")
    (found,) = json.loads(b"".join(admin.client.get(f"{PAGE}export/json/").streaming_content))
    assert (found["job"], found["24h"], found["last_run"], found["state"]) == ("sync", 1, 7, "open")
    assert admin.client.get(f"{PAGE}export/xml/").status_code == 404


def test_the_number_of_queries_does_not_grow(admin, statements):
    make_job("sync")
    fail()
    with statements() as few:
        admin.open(PAGE)
    for number in range(40):
        fail(f"job-{number % 7}", hours_ago=number + 1, error="abcdefghij"[number % 10])
    with statements() as many:
        admin.open(PAGE)
    assert len(many) == len(few) <= 10


def test_texts_of_people_are_escaped(admin):
    evil = "<script>alert(1)</script>"
    fail(evil, error=evil, scheduler_id=evil)
    for query in ({}, {"by": "host"}, {"by": "error"}, {"q": evil}, {"tag": evil}):
        assert evil not in admin.read(PAGE, **query)
