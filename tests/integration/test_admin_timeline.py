"""The timeline: past, running and coming runs, by job or by host, in any period."""

from __future__ import annotations

import html
import re

import pytest

from jobs.models import RunHour
from jobs.selectors import timeline
from tests.fakes import NOW, after, make_job, make_run
from tests.integration.admin_support import JOBS, RUNS, Admin, admin_fixture, at_noon_fixture, ids, text  # noqa: F401

TIMELINE = f"{RUNS}timeline/"


def job(job_id="sync", **fields):
    return make_job(job_id, **{
        "trigger": {"type": "interval", "minutes": 15}, "last_run_at": NOW, "next_run_time": after(900), **fields,
    })  # fmt: skip


def ran(job_id="sync", seconds=-600, took=60, status="succeeded", **fields):
    at = after(seconds)
    return make_run(
        job_id, scheduled_time=at, started_at=at, finished_at=after(seconds + took), status=status, **fields
    )


def lane(page: str, job_id: str) -> str:
    found = page[page.index(f'<li data-key="{job_id}">') :]
    return found[: found.index("</li>")]


def test_each_job_has_a_lane_with_its_runs_and_what_is_to_come(admin):
    job()
    run = ran()
    page = admin.read(TIMELINE)
    shown = lane(page, "sync")
    assert f'<a href="{RUNS}{run.pk}/change/" tabindex="-1"><title>sync: succeeded, 11:50:00, 1 m</title>' in shown
    assert shown.count('class="f-future"') == 1
    assert shown.count("M") > 4
    assert 'class="line-now"' in shown
    assert f'href="{JOBS}sync/change/"' in shown
    assert "1 job ran or will run between 07:00 and 13:00 UTC" in text(page)


def test_what_went_wrong_is_named_beside_the_lane(admin):
    job("a")
    ran("a", status="failed")
    job("b")
    make_run("b", scheduled_time=after(-60), status="missed")
    job("c")
    make_run("c", scheduled_time=after(-60), status="running", started_at=after(-60))
    page = admin.read(TIMELINE)
    assert [text(lane(page, name)).split()[-2:] for name in "ab"] == [["1", "failed"], ["1", "missed"]]
    assert text(lane(page, "c")).endswith("running")
    assert "f-hollow" in lane(page, "b")


def test_a_run_that_began_long_ago_and_still_runs_is_there(admin):
    job(next_run_time=None)
    make_run("sync", scheduled_time=after(-90_000), started_at=after(-90_000), status="running")
    assert "f-busy" in lane(admin.read(TIMELINE, range="1h"), "sync")


def test_a_job_without_anything_in_the_stretch_has_no_lane(admin):
    job("far", last_run_at=after(-90_000), next_run_time=after(90_000))
    job("near")
    ran("near")
    assert 'data-key="far"' not in admin.read(TIMELINE)


def test_the_stretch_moves_earlier_and_later(admin):
    job()
    ran(seconds=-20_000)
    page = admin.read(TIMELINE, range="1h", until="2030-01-01T06:40:00Z")
    assert "between 05:40 and 06:40 UTC" in text(page)
    assert "f-good" in lane(page, "sync")
    assert "f-future" not in lane(page, "sync")
    assert "until=2030-01-01T06%3A10%3A00Z" in page


def test_lanes_may_be_of_hosts(admin):
    job()
    ran(scheduler_id="web-1-7-0a1b")
    ran(seconds=-300, scheduler_id="web-2-8-0a1b", status="failed")
    page = admin.read(TIMELINE, by="host")
    assert "f-good" in lane(page, "web-1")
    assert "1 failed" in text(lane(page, "web-2"))
    assert "2 runs on 2 hosts" in text(page)


def test_runs_that_overlap_stand_one_below_the_other(admin):
    job()
    ran(seconds=-600, took=300)
    ran(seconds=-500, took=300)
    shown = lane(admin.read(TIMELINE, range="1h"), "sync")
    assert "v5h-" in shown


def test_too_many_runs_are_shown_by_the_hour(admin, monkeypatch):
    monkeypatch.setattr(timeline, "MOST_BARS", 3)
    job()
    for number in range(5):
        ran(seconds=-number * 60 - 600)
    RunHour.objects.create(job_id="sync", hour=after(-3600), status="succeeded", count=1200)
    RunHour.objects.create(job_id="sync", hour=after(-7200), status="failed", count=3)
    page = admin.read(TIMELINE, range="24h")
    assert "f-good" in lane(page, "sync")
    assert "f-bad" in lane(page, "sync")
    assert "3 failed" in text(lane(page, "sync"))


@pytest.mark.parametrize(
    ("words", "found"), [("tag:etl", ["a"]), ("job:b", ["b"]), ("a", ["a"]), ("tag:etl b", []), ("zzz", [])]
)
def test_a_search_narrows_the_lanes(admin, words, found):
    for name, tags in (("a", ["etl"]), ("b", [])):
        job(name, tags=tags)
        ran(name)
    page = admin.read(TIMELINE, q=words)
    assert [name for name in "ab" if f'data-key="{name}"' in page] == found
    assert ("Nothing that matches" in text(page)) == (not found)


def test_the_same_is_there_as_a_table(admin):
    job()
    run = ran(scheduler_id="web-1-7-0a1b")
    page = text(admin.read(TIMELINE))
    assert f"Job Status Run Fire time Duration Host sync succeeded {run.pk} 11:50:00 1 m web-1" in page


def shown_lanes(page: str) -> list[str]:
    return re.findall(r'<li data-key="(.*?)">', page)


@pytest.mark.parametrize("by", ["job", "host"])
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status": "failures"}, {"b": "web-2"}),
        ({"q": "status:failed"}, {"b": "web-2"}),
        ({"q": "host:web-2"}, {"b": "web-2"}),
        ({"q": "took:>90s"}, {"a": "web-1"}),
        ({"q": "trigger:manual"}, {"b": "web-2"}),
        ({"q": "host:web-2 job:a"}, {}),
        ({"q": "host:web-1 tag:etl"}, {"a": "web-1"}),
        ({"q": "took:<9min tag:ops"}, {"b": "web-2"}),
    ],
)
def test_runs_are_narrowed_as_in_their_list(admin, by, query, found):
    job("a", tags=["etl"])
    job("b", tags=["ops"])
    ran("a", took=100, scheduler_id="web-1-7-0a1b")
    ran("b", status="failed", scheduler_id="web-2-8-0a1b", trigger="manual")
    page = admin.read(TIMELINE, by=by, **query)
    assert shown_lanes(page) == list(found if by == "job" else found.values())
    assert "f-future" not in page.partition('<ul class="lanes">')[2]


def test_a_chosen_status_is_kept_by_the_links(admin):
    job()
    ran(status="failed")
    page = admin.read(TIMELINE, status="failures", q="job:sync")
    assert '<input type="hidden" name="status" value="failures">' in page
    assert "range=24h&amp;by=job&amp;q=job%3Async&amp;status=failures" in page


@pytest.mark.parametrize(
    ("words", "said"),
    [("took:soon", "Took must begin with"), ("since:24h", "Since and until are not for the timeline")],
)
def test_what_is_wrong_with_a_search_is_said_and_nothing_is_shown(admin, words, said):
    job()
    ran()
    page = admin.read(TIMELINE, q=words)
    assert said in text(page)
    assert shown_lanes(page) == []


def test_narrowed_lanes_come_in_pages(admin, monkeypatch):
    monkeypatch.setattr("jobs.admin.timeline.views.LANES", 1)
    for name in "ab":
        job(name)
        ran(name, status="failed")
    pages = [admin.read(TIMELINE, status="failures", page=number) for number in "12"]
    assert [shown_lanes(page) for page in pages] == [["a"], ["b"]]
    assert ["More lanes" in page for page in pages] == [True, False]


def test_a_long_table_leads_to_the_list_of_the_same_runs(admin, monkeypatch):
    monkeypatch.setattr("jobs.admin.timeline.views.ROWS", 1)
    job()
    ran()
    ran(seconds=-300, status="failed")
    page = admin.read(TIMELINE, range="1h")
    assert "As a table, the newest 1 runs" in text(page)
    url = html.unescape(re.search(r'<a href="([^"]+)">All of them in the list of runs', page)[1])
    assert len(ids(admin.client.get(url).content.decode())) == 2


def test_hours_are_there_as_a_table_too(admin, monkeypatch):
    monkeypatch.setattr(timeline, "MOST_BARS", 0)
    job()
    ran()
    for status, count in (("succeeded", 1200), ("failed", 3), ("missed", 2), ("skipped", 1)):
        RunHour.objects.create(job_id="sync", hour=after(-3600), status=status, count=count)
    page = text(admin.read(TIMELINE, range="24h"))
    assert "Job Runs Succeeded Failed Did not run sync 1,206 1,200 3 3" in page


def test_lanes_come_in_pages(admin, monkeypatch):
    monkeypatch.setattr("jobs.admin.timeline.views.LANES", 1)
    for name in "ab":
        job(name)
        ran(name)
    first, second = admin.read(TIMELINE), admin.read(TIMELINE, page="2")
    assert "More lanes" in first
    assert 'data-key="b"' not in first
    assert 'data-key="b"' in second


@pytest.mark.parametrize(
    "query", [{"range": "x"}, {"until": "soon"}, {"until": "9999-12-31"}, {"page": "0"}, {"page": "x"}, {"q": "\0tag:"},
              {"by": "x"}, {"range": "7d", "until": "0001-01-01"}]
)  # fmt: skip
def test_a_strange_address_breaks_nothing(admin, query):
    job()
    assert admin.client.get(TIMELINE, query).status_code == 200


def test_it_needs_the_permission_to_see_runs(at_noon):
    assert Admin("view_job").client.get(TIMELINE).status_code == 403
    assert Admin("view_run", name="bo").client.get(TIMELINE).status_code == 200


def test_texts_of_people_are_escaped(admin):
    evil = "<script>alert(1)</script>"
    job()
    ran(scheduler_id=evil)
    for query in ({}, {"by": "host"}, {"q": evil}):
        assert evil not in admin.read(TIMELINE, **query)


def test_the_number_of_queries_does_not_grow(admin, statements):
    job("a")
    ran("a")
    with statements() as few:
        admin.open(TIMELINE)
    for number in range(30):
        job(f"job-{number}")
        ran(f"job-{number}")
    with statements() as many:
        admin.open(TIMELINE)
    assert len(many) == len(few) <= 14
