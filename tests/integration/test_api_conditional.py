"""Conditional requests: 304 as long as the body would be the same, and not longer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from jobs.api import cache
from jobs.api.cache import jobs_version
from jobs.functions import registry
from jobs.models import Job
from tests.fakes import NOW, FakeClock, after, make_job, make_run

from .api_client import Api
from .conftest import in_thread

LIST = "/scheduler/jobs"
JOB = "/scheduler/jobs/job"
READ = [LIST, f"{LIST}?limit=1", JOB, f"{JOB}/runs", "/scheduler/runs", "/scheduler/runs/1", "/scheduler/functions"]
CHANGES: dict[str, dict[str, Any]] = {
    "its name": {"name": "new"},
    "its trigger": {"trigger": {"type": "interval", "seconds": 7}},
    "its time zone": {"trigger": {"type": "interval", "seconds": 5, "timezone": "Asia/Tokyo"}},
    "its next fire time": {"next_run_time": after(1)},
    "no next fire time": {"next_run_time": None},
    "its first run": {"last_run_at": NOW},
    "its pause": {"paused": True, "next_run_time": None},
    "its pause until an instant": {"paused_until": after(5)},
    "its error": {"error": "damaged", "next_run_time": None},
    "its function": {"func": "nobody:knows"},
    "its arguments": {"args": [1, 2, 3]},
}


@pytest.fixture(params=["made anew", "kept"])
def either(request: pytest.FixtureRequest) -> None:
    """Pages made anew, as within a transaction, and kept pages, as between requests."""
    request.getfixturevalue("db" if request.param == "made anew" else "transactional_db")


def tag(api: Api, path: str = LIST) -> str:
    """Return the current entity tag at `path`."""
    response = api.call("GET", path)
    assert response.status_code == 200
    return str(response["ETag"])


def status(api: Api, if_none_match: str, path: str = LIST, method: str = "GET") -> int:
    """Return the status of a request for what the client has under a tag."""
    response = api.client.generic(method, path, headers={"If-None-Match": if_none_match})
    return int(response.status_code)


@pytest.mark.parametrize("path", READ)
def test_what_has_not_changed_is_not_sent_again(either: None, api: Api, path: str) -> None:
    make_run(make_job(), id=1)
    first = api.call("GET", path)
    again = api.client.get(path, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "Content-Type" not in again
    for header in ("ETag", "Cache-Control", "Vary"):
        assert again[header] == first[header]
    assert (first["Cache-Control"], first["Vary"]) == ("private, no-cache", "Authorization, Cookie")


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_of_a_job_changes_the_tag_of_the_list(either: None, api: Api, change: dict[str, Any]) -> None:
    make_job(func="tests:echo", args=[1])
    before = tag(api)
    Job.objects.update(**change)
    assert status(api, before) == 200
    assert tag(api) != before


def test_a_job_that_comes_or_goes_changes_the_tag(either: None, api: Api) -> None:
    make_job("a")
    before = tag(api)
    api.done("POST", LIST, {"id": "b", "func": "tests:select", "trigger": "interval", "seconds": 5})
    between = tag(api)
    api.done("DELETE", f"{LIST}/a")
    assert len({before, between, tag(api)}) == 3


def test_the_end_of_a_pause_changes_the_tag_by_itself(either: None, api: Api, clock: FakeClock) -> None:
    make_job("a", paused_until=after(5))
    make_job("b", paused_until=after(60))
    paused = tag(api)
    clock.advance(4.999)
    assert status(api, paused) == 304
    clock.advance(0.001)
    assert [job["state"] for job in api.get(LIST)] == ["pending", "paused"]
    assert status(api, paused) == 200


def test_a_clock_that_goes_back_finds_the_pause_again(either: None, api: Api, clock: FakeClock) -> None:
    make_job(paused_until=after(5))
    clock.advance(5)
    assert api.get(LIST)[0]["state"] == "pending"
    clock.advance(-1)
    assert api.get(LIST)[0]["state"] == "paused"


def test_a_function_that_is_gone_changes_the_tag(either: None, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    make_job(func="tests:echo", args=[1])
    before = tag(api)
    monkeypatch.delitem(registry._functions, "tests:echo")
    assert status(api, before) == 200


def test_another_time_zone_of_the_site_changes_the_tag(either: None, api: Api, settings: Any) -> None:
    make_job()
    before = tag(api)
    settings.TIME_ZONE = "Asia/Tokyo"
    assert status(api, before) == 200
    assert tag(api, JOB) != before


def test_a_job_on_another_page_changes_the_tag_of_a_page_that_tells_the_total(either: None, api: Api) -> None:
    make_job("a")
    make_job("b")
    before = tag(api, f"{LIST}?limit=1")
    make_job("c")
    assert status(api, before, f"{LIST}?limit=1") == 200


def test_pages_and_kinds_are_not_taken_for_each_other(either: None, api: Api) -> None:
    for job_id in ("c", "a", "b"):
        make_job(job_id)
    for query, found in (("", "abc"), ("limit=2", "ab"), ("limit=2&offset=2", "c"), ("q=B", "b"), ("state=paused", "")):
        assert "".join(job["id"] for job in api.get(f"{LIST}?{query}")) == found


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("size", [0, cache.MAX_KEPT_BYTES])
def test_a_write_of_another_connection_is_seen(api: Api, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(cache, "MAX_KEPT_BYTES", size)
    make_job()
    before = tag(api)
    in_thread(lambda: Job.objects.update(name="new"))()
    assert status(api, before) == 200
    assert api.get(LIST)[0]["name"] == "new"


@pytest.mark.django_db(transaction=True)
def test_a_write_that_is_rolled_back_changes_nothing(api: Api) -> None:
    make_job()
    before = tag(api)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        Job.objects.update(name="new")
        assert api.get(LIST)[0]["name"] == "new"
        raise ZeroDivisionError
    assert status(api, before) == 304


@pytest.mark.django_db(transaction=True)
def test_an_unchanged_list_reads_no_job(api: Api, statements: Callable[[], Any]) -> None:
    make_job()
    before = tag(api)
    with statements() as sent:
        assert status(api, before) == 304
        assert len(api.get(LIST)) == 1
    assert len(sent) == 2
    assert not [sql for sql in sent if "tags" in sql]


@pytest.mark.django_db(transaction=True)
def test_the_version_is_the_same_until_a_job_changes(api: Api) -> None:
    job = make_job()
    before = jobs_version()
    assert jobs_version() == before
    job.save()
    between = jobs_version()
    in_thread(job.save)()
    assert len({before, between, jobs_version()}) == 3
    with transaction.atomic():
        assert jobs_version() is None


@pytest.mark.django_db(transaction=True)
def test_another_connection_has_another_version(api: Api) -> None:
    before = jobs_version()
    connection.close()
    assert jobs_version() != before


@pytest.mark.parametrize("if_none_match", ["*", 'W/{}, "x"', '"x", {}'])
def test_tags_are_compared_as_http_has_it(api: Api, if_none_match: str) -> None:
    make_job()
    assert status(api, if_none_match.format(tag(api))) == 304


@pytest.mark.parametrize("if_none_match", ['"x"', "x", "", '"'])
def test_another_tag_gets_the_body(api: Api, if_none_match: str) -> None:
    make_job()
    assert status(api, if_none_match) == 200


@pytest.mark.parametrize("path", [LIST, JOB])
def test_head_has_the_headers_of_get(api: Api, path: str) -> None:
    make_job()
    shown, head = api.call("GET", path), api.client.head(path)
    assert head.headers.pop("X-Request-ID") != shown.headers.pop("X-Request-ID")
    assert (head.status_code, head.content, head.headers) == (200, b"", shown.headers)
    assert status(api, shown["ETag"], path, "HEAD") == 304


@pytest.mark.parametrize("path", [LIST, JOB])
def test_if_match_that_does_not_is_412(api: Api, path: str) -> None:
    make_job()
    assert api.call("GET", path, **{"If-Match": tag(api, path)}).status_code == 200
    response = api.call("GET", path, **{"If-Match": '"x"'})
    assert (response.status_code, response.json()["code"]) == (412, "PRECONDITION_FAILED")


def test_times_of_change_are_not_asked_for(api: Api) -> None:
    make_job()
    old = {"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}
    assert api.call("GET", JOB, **old).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"), [("GET", f"{LIST}/gone"), ("POST", f"{JOB}/pause"), ("GET", "/api/health")]
)
def test_only_what_is_read_under_scheduler_has_a_tag(api: Api, method: str, path: str) -> None:
    make_job()
    assert "ETag" not in api.call(method, path)
