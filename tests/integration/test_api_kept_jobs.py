"""A job that is shown again as it was kept is the job as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobs.api import job_cache
from jobs.api.rendering import to_json
from jobs.api.representations import job_detail
from jobs.functions import registry
from jobs.models import Job
from tests.fakes import NOW, FakeClock, after, make_job

from .api_client import Api
from .test_api_conditional import CHANGES

JOB = "/scheduler/jobs/job"


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[Any, bytes]:
    """What is kept, nothing at first."""
    nothing: dict[Any, bytes] = {}
    monkeypatch.setattr(job_cache, "_shown", nothing)
    return nothing


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_is_shown_at_once(api: Api, change: dict[str, Any]) -> None:
    make_job(func="tests:echo", args=[1])
    before = api.get(JOB)
    Job.objects.update(**change)
    after_it = api.get(JOB)
    assert after_it == json.loads(to_json(job_detail(Job.objects.get(), NOW)))
    assert after_it != before


def test_a_job_that_has_not_changed_is_made_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    make_job()
    first = api.get(JOB)
    monkeypatch.delattr(job_cache, "job_detail")
    assert api.get(JOB) == first


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


def test_a_large_job_is_not_kept(api: Api, kept: dict[Any, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    make_job()
    monkeypatch.setattr(job_cache, "KEPT", len(api.call("GET", JOB).content) - 1)
    kept.clear()
    api.get(JOB)
    assert not kept


def test_no_more_jobs_are_kept_than_there_is_room_for(
    api: Api, kept: dict[Any, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_cache, "MOST", 2)
    for name in ("a", "b", "c"):
        make_job(name)
        api.get(f"/scheduler/jobs/{name}")
    assert len(kept) == 1
