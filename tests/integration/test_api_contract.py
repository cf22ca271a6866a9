"""The contract that users were given (docs/api.md), line by line."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jobs import services
from jobs.models import Job
from tests.fakes import NOW, FakeClock

from .api_client import Api

TASK = "cronzimus.controller.task:task"


@pytest.fixture
def sample(api: Api) -> Job:
    """The job of the contract's examples, which has run."""
    body = {"id": "sample_task", "func": TASK, "trigger": "interval", "seconds": 5}
    services.add_job(body, now=NOW)
    Job.objects.update(last_run_at=NOW)
    return Job.objects.get()


def test_health_is_running(api: Api) -> None:
    assert api.get("/api/health") == {"status": "running"}


def test_the_list_shows_each_job_in_short(api: Api, sample: Job) -> None:
    assert api.get("/scheduler/jobs") == [
        {
            "id": "sample_task",
            "name": "task",
            "trigger": "interval[0:00:05]",
            "next_run_time": "2030-01-01 12:00:05",
            "next_run_time_iso": "2030-01-01T12:00:05+00:00",
            "state": "running",
        }
    ]


def test_the_detail_shows_a_job(api: Api, sample: Job) -> None:
    shown = api.get("/scheduler/jobs/sample_task")
    documented = {
        "id": "sample_task",
        "name": "task",
        "trigger": {"type": "interval", "seconds": 5},
        "next_run_time": "2030-01-01 12:00:05",
        "state": "running",
        "args": ["<Database instance>"],
        "kwargs": {},
    }
    assert shown.items() >= documented.items()


def test_an_unknown_job_is_not_found(api: Api) -> None:
    for method, tail in (("GET", ""), ("PUT", ""), ("PATCH", ""), ("DELETE", "")):
        assert api.refused(method, f"/scheduler/jobs/nope{tail}", {"name": "x"})[:2] == (404, "JOB_NOT_FOUND")


@pytest.mark.parametrize(
    ("trigger", "shown"),
    [
        ({"trigger": "interval", "seconds": 10}, "interval[0:00:10]"),
        ({"trigger": "interval", "minutes": 60}, "interval[1:00:00]"),
        ({"trigger": "interval", "seconds": 30, "minutes": 5, "hours": 1}, "interval[1:05:30]"),
        ({"trigger": "cron", "hour": 9, "minute": 0}, "cron[hour='9', minute='0']"),
        ({"trigger": "cron", "hour": 2, "minute": 30, "day_of_week": "mon-fri"}, None),
        ({"trigger": "date", "run_date": "2030-01-15 14:30:00"}, "date[2030-01-15 14:30:00 UTC]"),
    ],
)
def test_a_job_is_added(api: Api, trigger: dict[str, Any], shown: str | None) -> None:
    added = api.done("POST", "/scheduler/jobs", {"id": "new_task", "func": TASK, **trigger})
    assert added == {"id": "new_task", "status": "added"}
    (job,) = api.get("/scheduler/jobs")
    assert job["name"] == "task"
    assert job["state"] == "pending"
    assert shown in (None, job["trigger"])


def test_an_id_that_is_taken_is_a_conflict(api: Api, sample: Job) -> None:
    body = {"id": "sample_task", "func": TASK, "trigger": "interval", "seconds": 10}
    assert api.refused("POST", "/scheduler/jobs", body) == (409, "JOB_EXISTS", {"id"})
    assert api.get("/scheduler/jobs/sample_task")["trigger"] == {"type": "interval", "seconds": 5}


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_job_is_updated(api: Api, sample: Job, method: str) -> None:
    body = {"trigger": "interval", "seconds": 30}
    assert api.done(method, "/scheduler/jobs/sample_task", body) == {"id": "sample_task", "status": "updated"}
    job = api.get("/scheduler/jobs/sample_task")
    assert job["trigger"] == {"type": "interval", "seconds": 30}
    assert job["next_run_time"] == "2030-01-01 12:00:30"


def test_an_update_that_is_not_valid_changes_nothing(api: Api, sample: Job) -> None:
    before = api.get("/scheduler/jobs/sample_task")
    answer = api.refused("PUT", "/scheduler/jobs/sample_task", {"name": "x", "trigger": "interval", "seconds": 0})
    assert answer == (400, "INVALID_TRIGGER", {"seconds"})
    assert api.get("/scheduler/jobs/sample_task") == before


def test_a_job_is_removed(api: Api, sample: Job) -> None:
    assert api.done("DELETE", "/scheduler/jobs/sample_task") == {"id": "sample_task", "status": "removed"}
    assert api.refused("GET", "/scheduler/jobs/sample_task")[:2] == (404, "JOB_NOT_FOUND")
    assert api.get("/scheduler/jobs") == []


def test_a_job_is_paused_and_resumed_and_both_may_be_said_twice(api: Api, sample: Job, clock: FakeClock) -> None:
    for _ in range(2):
        assert api.done("POST", "/scheduler/jobs/sample_task/pause") == {"id": "sample_task", "status": "paused"}
        (job,) = api.get("/scheduler/jobs")
        assert (job["state"], job["next_run_time"], job["next_run_time_iso"]) == ("paused", None, None)
    clock.advance(61)
    for _ in range(2):
        assert api.done("POST", "/scheduler/jobs/sample_task/resume") == {"id": "sample_task", "status": "resumed"}
        (job,) = api.get("/scheduler/jobs")
        assert (job["state"], job["next_run_time"]) == ("running", "2030-01-01 12:01:05")


def test_errors_have_a_message_and_a_code(api: Api) -> None:
    response = api.call("GET", "/scheduler/jobs/nope")
    assert response.json() == {"error": "there is no job 'nope'", "code": "JOB_NOT_FOUND"}


@pytest.mark.parametrize(
    ("changed", "code", "field"),
    [({"trigger": "monthly"}, "INVALID_TRIGGER", "trigger"), ({"func": "os:system"}, "INVALID_FUNCTION", "func")],
)
def test_the_codes_tell_what_is_wrong(api: Api, changed: dict[str, Any], code: str, field: str) -> None:
    body = {"id": "new_task", "func": TASK, "trigger": "cron", "hour": 1, **changed}
    status, found, fields = api.refused("POST", "/scheduler/jobs", body)
    assert (status, found) == (400, code)
    assert field in fields
    assert not Job.objects.exists()


@pytest.mark.parametrize("content_type", ["", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize("verb", ["pause", "resume", "run"])
def test_no_body_is_needed_where_there_is_nothing_to_say(api: Api, sample: Job, verb: str, content_type: str) -> None:
    assert api.call("POST", f"/scheduler/jobs/sample_task/{verb}", content_type=content_type).status_code == 200


def test_an_empty_form_is_no_body(api: Api, sample: Job) -> None:
    assert api.client.post("/scheduler/jobs/sample_task/pause").status_code == 200


def test_the_next_run_time_is_in_the_jobs_time_zone(api: Api) -> None:
    body = {"id": "j", "func": TASK, "trigger": "cron", "hour": 9, "timezone": "Asia/Tokyo"}
    api.done("POST", "/scheduler/jobs", body)
    (listed,), shown = api.get("/scheduler/jobs"), api.get("/scheduler/jobs/j")
    for job in (listed, shown):
        assert job["next_run_time"] == "2030-01-02 09:00:00"
        assert job["next_run_time_iso"] == "2030-01-02T09:00:00+09:00"


def test_parts_of_a_second_show_in_iso_alone(api: Api, sample: Job) -> None:
    Job.objects.update(next_run_time=NOW + timedelta(milliseconds=1100))
    (listed,), shown = api.get("/scheduler/jobs"), api.get("/scheduler/jobs/sample_task")
    for job in (listed, shown):
        assert job["next_run_time"] == "2030-01-01 12:00:01"
        assert job["next_run_time_iso"] == "2030-01-01T12:00:01.100000+00:00"
