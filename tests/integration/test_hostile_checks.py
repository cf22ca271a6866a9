"""A function's own check may raise anything: its jobs are refused or broken, and everything else answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from jobs import services
from jobs.core.exceptions import InvalidArguments
from jobs.core.runs import JobState
from jobs.functions import registry
from jobs.models import Job
from jobs.scheduler.store import claims
from jobs.selectors.states import job_state
from tests.fakes import NOW, make_job

from .api_client import Api

JOBS, JOB = "/scheduler/jobs", "/scheduler/jobs/job"
BODY = {"id": "job", "func": "tests:checked", "args": [1], "trigger": "interval", "seconds": 10}


def missing_key() -> None:
    raise KeyError("region")


def broken_query() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM a_table_that_is_not_there")


def endless_recursion() -> None:
    endless_recursion()


def leave() -> None:
    raise SystemExit(3)


@pytest.fixture(params=[missing_key, broken_query, endless_recursion, leave])
def checked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The function "tests:checked", whose check raises."""
    function = registry.Function("tests:checked", lambda number: None, lambda number: request.param())
    monkeypatch.setitem(registry._functions, "tests:checked", function)
    yield


def test_a_job_is_refused_when_it_is_saved(api: Api, checked: None) -> None:
    assert api.refused("POST", JOBS, BODY) == (400, "INVALID_ARGUMENTS", {"args"})
    assert not Job.objects.exists()
    make_job(func="tests:checked", args=[1])
    assert api.refused("PUT", JOB, {"args": [2]}) == (400, "INVALID_ARGUMENTS", {"args"})
    assert api.refused("POST", f"{JOB}/run") == (400, "INVALID_ARGUMENTS", {"args"})


def test_its_job_is_broken_and_everything_else_answers(api: Api, checked: None, admin_client: Client) -> None:
    make_job("sound")
    make_job(func="tests:checked", args=[1])
    states = {job["id"]: job["state"] for job in api.get(JOBS)}
    assert states == {"job": "broken", "sound": "pending"}
    assert "the check of tests:checked raised" in api.get(JOB)["error"]
    for path in ("/scheduler/runs", f"{JOB}/runs", "/scheduler/functions", "/scheduler", "/api/health"):
        api.get(path)
    for path in ("", "job/change/", "add/", "sound/change/"):
        assert admin_client.get(f"/admin/cronzimus/job/{path}").status_code == 200


def test_its_job_is_changed_in_everything_but_its_arguments(api: Api, checked: None) -> None:
    make_job(func="tests:checked", args=[1])
    api.done("PATCH", JOB, {"description": "What it is for.", "seconds": 7})
    api.done("POST", f"{JOB}/pause")
    api.done("POST", f"{JOB}/resume")
    api.done("DELETE", JOB)


def test_one_declared_job_is_refused_with_its_reason(db: None, checked: None) -> None:
    with pytest.raises(InvalidArguments) as caught:
        services.sync_declared_jobs([BODY, {**BODY, "id": "other", "func": "tests:echo"}], now=NOW)
    assert list(caught.value.fields) == ["JOBS[0].args"]
    assert not Job.objects.exists()


def test_the_scheduler_goes_on(db: None, checked: None) -> None:
    make_job("sound")
    job = make_job(func="tests:checked", args=[1])
    assert job_state(job, NOW)[0] is JobState.BROKEN
    assert claims.claim_due("s1", {"thread": 5}, NOW).jobs == 2


def test_a_function_whose_default_cannot_be_shown_hides_no_other(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    class Unspeakable:
        def __repr__(self) -> str:
            raise RuntimeError("no words")

    def function(unit: Any = Unspeakable()) -> None:  # noqa: B008
        """Do something."""

    monkeypatch.setitem(registry._functions, "tests:odd", registry.Function("tests:odd", function))
    shown = {known["func"]: known for known in api.get("/scheduler/functions")}
    assert shown["tests:odd"]["parameters"][0]["default"] == "<Unspeakable>"
    assert "tests:echo" in shown
