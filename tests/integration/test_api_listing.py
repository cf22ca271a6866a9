"""The list reads only the columns that it shows, in parts; one job is shown from its current row."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import connection

from jobs.api import cache
from jobs.api.rendering import to_json
from jobs.api.representations import job_detail
from jobs.api.views import jobs as views
from jobs.functions import registry
from jobs.models import Job
from jobs.selectors import descriptions, job_list
from tests.fakes import NOW, FakeClock, after, make_job

from .api_client import Api
from .test_api_conditional import CHANGES

JOB = "/scheduler/jobs/job"
LIST = "/scheduler/jobs"


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_of_a_job_is_shown_at_once(api: Api, change: dict[str, Any]) -> None:
    make_job(func="tests:echo", args=[1])
    before = api.get(JOB)
    Job.objects.update(**change)
    after_it = api.get(JOB)
    assert after_it == json.loads(to_json(job_detail(Job.objects.get(), NOW)))
    assert after_it != before


def test_a_job_that_is_gone_is_not_shown(api: Api) -> None:
    make_job()
    api.get(JOB)
    Job.objects.all().delete()
    assert api.refused("GET", JOB) == (404, "JOB_NOT_FOUND", set())


def test_a_function_that_is_gone_is_told(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    make_job(func="tests:echo", args=[1])
    assert api.get(JOB)["state"] == "pending"
    monkeypatch.delitem(registry._functions, "tests:echo")
    assert api.get(JOB)["state"] == "broken"


def test_another_time_zone_of_the_site_is_shown(api: Api, settings: Any) -> None:
    make_job()
    before = api.get(JOB)["next_run_time_iso"]
    settings.TIME_ZONE = "Asia/Tokyo"
    assert api.get(JOB)["next_run_time_iso"] != before


def test_a_pause_ends_when_its_time_has_come(api: Api, clock: FakeClock) -> None:
    make_job(paused_until=after(5))
    assert api.get(JOB)["state"] == "paused"
    clock.advance(5)
    assert api.get(JOB)["state"] == "pending"


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> dict[Any, bytes]:
    """The jobs that are kept as JSON, none at first."""
    nothing: dict[Any, bytes] = {}
    monkeypatch.setattr(cache, "_shown", nothing)
    return nothing


def test_a_job_that_has_not_changed_is_made_once(
    api: Api, shown: dict[Any, bytes], monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    make_job()
    first = api.get(JOB)
    monkeypatch.delattr(views, "job_detail")
    clock.advance(60)
    assert api.get(JOB) == first


def test_a_job_is_made_anew_on_another_day_because_of_its_warnings(
    api: Api, shown: dict[Any, bytes], clock: FakeClock
) -> None:
    make_job(trigger={"type": "cron", "hour": 2, "minute": 30, "timezone": "Europe/Berlin"}, next_run_time=after(10**8))
    api.get(JOB)
    clock.advance(24 * 3600)
    api.get(JOB)
    assert len(shown) == 2


def test_a_large_job_is_not_kept(api: Api, shown: dict[Any, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    make_job()
    monkeypatch.setattr(cache, "MAX_SHOWN_BYTES", len(api.call("GET", JOB).content) - 1)
    shown.clear()
    api.get(JOB)
    assert not shown


def test_no_more_jobs_are_kept_than_there_is_room_for(
    api: Api, shown: dict[Any, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MAX_SHOWN", 2)
    for name in ("a", "b", "c"):
        make_job(name)
        api.get(f"/scheduler/jobs/{name}")
    assert len(shown) == 1


# --- in parts --------------------------------------------------------------------------------------------------------


def ids(api: Api, query: str = "") -> str:
    """Return the ids in the list, each of one letter."""
    return "".join(job["id"] for job in api.get(f"{LIST}{query}"))


@pytest.fixture(params=[1, 2, 3, 1000])
def seven_jobs(request: pytest.FixtureRequest, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven jobs, a to g, of which every second one is paused, read in parts of different sizes."""
    monkeypatch.setattr(job_list, "PART", request.param)
    for number, job_id in enumerate("gbcfaed"):
        tags, description = ["even" if number % 2 else "odd"], "a needle" if job_id == "e" else ""
        make_job(job_id, paused=job_id in "bdf", tags=tags, description=description)


@pytest.mark.parametrize(
    ("query", "found", "total"),
    [
        ("", "abcdefg", None),
        ("?limit=3", "abc", 7),
        ("?limit=3&offset=2", "cde", 7),
        ("?limit=3&offset=5", "fg", 7),
        ("?limit=3&offset=9", "", 7),
        ("?offset=4", "efg", 7),
        ("?state=paused", "bdf", None),
        ("?state=paused&limit=2", "bd", 3),
        ("?state=paused&limit=2&offset=1", "df", 3),
        ("?state=pending&limit=2&offset=2", "eg", 4),
        ("?state=pending&offset=3", "g", 4),
        ("?state=broken&limit=2", "", 0),
        ("?tag=odd", "acdg", None),
        ("?tag=odd&limit=2&offset=1", "cd", 4),
        ("?tag=odd&state=pending&limit=2", "ac", 3),
        ("?q=needle&state=pending&limit=1", "e", 1),
    ],
)
def test_a_page_is_the_same_in_parts_of_any_size(
    api: Api, seven_jobs: None, query: str, found: str, total: int | None
) -> None:
    response = api.call("GET", f"{LIST}{query}")
    assert "".join(job["id"] for job in response.json()) == found
    assert response.get("X-Total-Count") == (None if total is None else str(total))


def test_the_first_end_of_a_pause_in_any_part_ends_the_page(
    api: Api, transactional_db: None, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_list, "PART", 1)
    for job_id, seconds in (("a", 60), ("b", 5), ("c", 30)):
        make_job(job_id, paused_until=after(seconds))
    make_job("d")
    assert [job["state"] for job in api.get(LIST)] == ["paused", "paused", "paused", "pending"]
    clock.advance(5)
    assert [job["state"] for job in api.get(LIST)] == ["paused", "pending", "paused", "pending"]


# --- large arguments -------------------------------------------------------------------------------------------------

LARGE: Sequence[Any] = (
    ["x" * 20_000],  # PostgreSQL keeps it in 250 bytes
    ["".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(20_000))],
    [list(range(5000))],
)
QUERIES = ["", "?limit=10", "?state=pending&limit=10", "?tag=x", "?q=job"]


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("args", LARGE, ids=["compressible", "not compressible", "numbers"])
def test_large_arguments_are_not_read_for_the_list(
    api: Api, monkeypatch: pytest.MonkeyPatch, args: Any, query: str
) -> None:
    make_job(func="tests:echo", args=args, tags=["x"])
    read: list[str] = []

    def note(self: Any, definition: str) -> descriptions.Described:
        read.append(definition)
        return descriptions._described(definition)

    monkeypatch.setattr(descriptions.Descriptions, "of", note)
    assert [job["id"] for job in api.get(f"{LIST}{query}")] == ["job"]
    assert [len(definition) < 500 for definition in read] == [True]


def test_arguments_that_are_not_large_are_judged_in_the_list(api: Api) -> None:
    make_job("a", func="tests:echo", args=["x" * 1000])
    make_job("b", func="tests:echo", args=[1, 2, "x" * 1000])
    make_job("c", func="gone:away", args=["x" * 20_000])
    make_job("d", func="tests:echo", trigger={"type": "lunar"}, args=["x" * 20_000])
    assert [job["state"] for job in api.get(LIST)] == ["pending", "broken", "broken", "broken"]


def test_jobs_whose_definitions_begin_alike_are_told_apart(api: Api) -> None:
    make_job("a", func="tests:echo", args=["x" * 1000])
    make_job("b", func="tests:echo", args=["x" * 1000, 1, 2])
    for _ in range(2):
        assert [job["state"] for job in api.get(LIST)] == ["pending", "broken"]


def test_no_more_descriptions_are_kept_than_there_is_room_for(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptions, "MAX_KEPT", 2)
    known = descriptions.Descriptions("key")
    for number in range(5):
        assert known.of(f'tests:record\n{{"type": "interval", "seconds": {number + 1}}}\n[]\n{{}}').problem == ""
    assert len(known._kept) <= 2


def test_a_damaged_pause_is_not_kept(
    api: Api, transactional_db: None, sqlite_only: None, statements: Callable[[], Any]
) -> None:
    make_job()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE cronzimus_job SET paused_until = x'ff'")
    for _ in range(2):
        assert len(api.get(LIST)) == 1
