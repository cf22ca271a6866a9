"""Rows damaged in the database itself: each is shown as broken, and nothing else is affected."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.db.models import JSONField, Value

from jobs.models import Job, Run
from tests.fakes import after, make_job, make_run

from .api_client import Api

JOB = "/scheduler/jobs/job"
JSON_NULL = Value(None, JSONField())
DAMAGE: dict[str, dict[str, Any]] = {
    "an unknown function": {"func": "gone:away"},
    "no function": {"func": ""},
    "a trigger that is a string": {"trigger": "interval"},
    "a trigger that is a list": {"trigger": [1, {"a": 2}]},
    "a trigger that is a number": {"trigger": 5},
    "an empty trigger": {"trigger": {}},
    "a trigger of an unknown type": {"trigger": {"type": "lunar"}},
    "a trigger whose type is a list": {"trigger": {"type": ["interval"]}},
    "a trigger whose field is an object": {"trigger": {"type": "interval", "seconds": {"a": []}}},
    "an interval of nothing": {"trigger": {"type": "interval", "seconds": 0}},
    "an unknown field": {"trigger": {"type": "cron", "hour": 1, "x": 1}},
    "an unknown time zone": {"trigger": {"type": "cron", "hour": 1, "timezone": "Mars/Olympus"}},
    "arguments that are a string": {"args": "abc"},
    "arguments that are an object": {"args": {"a": 1}},
    "named arguments that are a list": {"kwargs": [1]},
    "named arguments that are a number": {"kwargs": 5},
    "too many arguments": {"func": "tests:echo", "args": [1, 2, 3]},
    "everything": {"func": "x", "trigger": JSON_NULL, "args": 1, "kwargs": "x", "tags": {"a": 1}, "name": ""},
    "an error of the scheduler's": {"error": "its trigger cannot be understood", "next_run_time": None},
}


@pytest.fixture(params=DAMAGE.values(), ids=DAMAGE.keys())
def damaged(api: Api, request: pytest.FixtureRequest) -> Job:
    """A damaged job, with a sound one beside it."""
    make_job("sound", func="tests:echo", args=[1])
    job = make_job()
    Job.objects.filter(pk=job.pk).update(**request.param)
    return Job.objects.get(pk=job.pk)


def test_a_damaged_job_is_broken_in_the_list_and_the_others_are_not(api: Api, damaged: Job) -> None:
    assert [(job["id"], job["state"]) for job in api.get("/scheduler/jobs")] == [
        ("job", "broken"),
        ("sound", "pending"),
    ]
    assert [job["id"] for job in api.get("/scheduler/jobs?state=broken")] == ["job"]
    assert [job["id"] for job in api.get("/scheduler/jobs?state=pending")] == ["sound"]
    assert api.get("/scheduler/jobs?tag=nothing") == []


def test_a_damaged_job_says_why_and_shows_what_is_stored(api: Api, damaged: Job) -> None:
    shown = api.get(JOB)
    assert shown["state"] == "broken"
    assert shown["error"]
    assert shown["trigger"] == damaged.trigger
    assert (shown["args"], shown["kwargs"], shown["tags"]) == (damaged.args, damaged.kwargs, damaged.tags)


def test_no_route_of_a_damaged_job_crashes(api: Api, damaged: Job) -> None:
    shown = api.get(JOB)
    for method, tail, body in (
        ("PUT", "", shown), ("PATCH", "", {"name": "x"}), ("PATCH", "", {"seconds": 5}), ("PATCH", "", {"hour": 5}),
        ("PATCH", "", {"args": []}), ("POST", "/pause", None), ("POST", "/resume", None), ("POST", "/run", None),
        ("POST", "/run", {"args": [1]}), ("POST", "/skip", None), ("POST", "/pause", {"until": "2031-01-01"}),
        ("GET", "/runs", None), ("DELETE", "", None),
    ):  # fmt: skip
        assert api.call(method, f"{JOB}{tail}", body).status_code in (200, 400), (method, tail, body)


def test_a_damaged_job_is_repaired_by_an_update(api: Api, damaged: Job) -> None:
    whole = {"func": "tests:echo", "trigger": {"type": "interval", "seconds": 7}, "args": [], "kwargs": {}, "tags": []}
    api.done("PUT", JOB, whole)
    shown = api.get(JOB)
    assert (shown["state"], shown["error"]) == ("pending", "")


def test_a_job_of_an_unknown_function_is_not_run(api: Api) -> None:
    make_job(func="gone:away")
    assert api.refused("POST", f"{JOB}/run") == (400, "INVALID_FUNCTION", {"func"})
    assert not Run.objects.exists()


def test_a_damaged_trigger_is_not_resumed(api: Api) -> None:
    make_job(paused=True, trigger="x")
    assert api.refused("POST", f"{JOB}/resume")[:2] == (400, "INVALID_TRIGGER")
    assert Job.objects.get().paused


def test_text_that_is_no_json_breaks_one_job_alone(api: Api, sqlite_only: None) -> None:
    make_job("sound")
    make_job(tags=["a"])
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA ignore_check_constraints = ON")
        cursor.execute(
            "UPDATE cronzimus_job SET trigger = '{\"type\"', args = '[', kwargs = '\n', tags = 'a' WHERE id = 'job'"
        )
        cursor.execute("PRAGMA ignore_check_constraints = OFF")
    assert [(job["id"], job["state"]) for job in api.get("/scheduler/jobs")] == [
        ("job", "broken"),
        ("sound", "pending"),
    ]
    assert api.get("/scheduler/jobs?tag=a") == []
    assert api.get(JOB)["trigger"] == '{"type"'


def test_a_number_of_more_digits_than_python_reads_breaks_one_job_alone(api: Api) -> None:
    make_job("sound")
    make_job()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE cronzimus_job SET args = %s WHERE id = 'job'", [f"[{'1' * 5000}]"])
    assert [(job["id"], job["state"]) for job in api.get("/scheduler/jobs")] == [
        ("job", "broken"),
        ("sound", "pending"),
    ]
    assert api.get(JOB)["state"] == "broken"


COLUMNS = [
    "name", "func", "trigger", "args", "tags", "next_run_time", "paused_until", "error", "anchor", "max_instances",
]  # fmt: skip


def damage(column: str, value: Any) -> None:
    """Write `value` into a column of the job "job", past the constraints."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA ignore_check_constraints = ON")
        cursor.execute(f"UPDATE cronzimus_job SET {column} = %s WHERE id = 'job'", [value])  # noqa: S608
        cursor.execute("PRAGMA ignore_check_constraints = OFF")


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("value", [b"\xff", b"text", b'"', 5, "x", '2030-01-01"12:00:00'], ids=repr)
def test_whatever_a_column_holds_the_list_answers(api: Api, sqlite_only: None, column: str, value: Any) -> None:
    make_job("sound")
    make_job()
    damage(column, value)
    assert [job["id"] for job in api.get("/scheduler/jobs")] == ["job", "sound"]
    assert [job["id"] for job in api.get("/scheduler/jobs?limit=2")] == ["job", "sound"]


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("value", [b"text", 5, "x"], ids=repr)
def test_whatever_a_column_holds_its_job_is_shown(api: Api, sqlite_only: None, column: str, value: Any) -> None:
    make_job()
    damage(column, value)
    assert api.get(JOB)["id"] == "job"


def test_bytes_that_are_no_text_are_shown_as_well_as_can_be(api: Api, sqlite_only: None) -> None:
    make_job()
    damage("name", b"a\xff")
    assert api.get("/scheduler/jobs")[0]["name"] == api.get(JOB)["name"] == "a\ufffd"


TOO_DEEP = "[" * 2000 + "]" * 2000


def test_json_that_is_nested_too_deeply_breaks_one_job_alone(api: Api) -> None:
    make_job("sound")
    make_job()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE cronzimus_job SET trigger = %s, args = %s, tags = %s WHERE id = 'job'", [TOO_DEEP] * 3)
    assert [job["state"] for job in api.get("/scheduler/jobs")] == ["broken", "pending"]
    assert (api.get(JOB)["state"], api.get(JOB)["trigger"]) == ("broken", TOO_DEEP)
    api.done("PUT", JOB, {"trigger": "interval", "seconds": 7, "args": [], "tags": []})
    assert api.get(JOB)["state"] == "pending"


def test_a_result_that_is_nested_too_deeply_hides_no_run(api: Api) -> None:
    run = make_run()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE cronzimus_run SET result = %s", [TOO_DEEP])
    assert [found["id"] for found in api.get("/scheduler/runs")["results"]] == [run.pk]
    assert api.get(f"/scheduler/runs/{run.pk}")["result"] == TOO_DEEP


def test_a_run_whose_instant_is_none_hides_no_other(api: Api, sqlite_only: None) -> None:
    damaged, sound = make_run(), make_run(scheduled_time=after(1))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE cronzimus_run SET scheduled_time = '' WHERE id = %s", [damaged.pk])
    first = api.get("/scheduler/runs?limit=1")
    assert [run["id"] for run in first["results"]] == [sound.pk]
    assert [run["id"] for run in api.get(first["next"])["results"]] == [damaged.pk]
