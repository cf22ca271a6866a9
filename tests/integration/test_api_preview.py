"""/scheduler/preview: the fire times that a job would have, before there is one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jobs.models import Job
from tests.fakes import NOW, FakeClock, after, make_job, make_run

from .api_client import Api

pytestmark = pytest.mark.any_database

PREVIEW = "/scheduler/preview"


@pytest.mark.parametrize(
    ("body", "times"),
    [
        ({"trigger": "interval", "hours": 1, "count": 2}, ["2030-01-01T13:00:00Z", "2030-01-01T14:00:00Z"]),
        ({"trigger": {"type": "interval", "days": 1}, "count": 1}, ["2030-01-02T12:00:00Z"]),
        ({"trigger": "date", "run_date": "2031-01-01 00:00:00"}, ["2031-01-01T00:00:00Z"]),
        (
            {"trigger": "cron", "hour": 0, "timezone": "Europe/Berlin", "after": "2030-03-30T12:00:00Z", "count": 3},
            ["2030-03-30T23:00:00Z", "2030-03-31T22:00:00Z", "2030-04-01T22:00:00Z"],
        ),
        (
            {"trigger": "cron", "hour": 0, "timezone": "Europe/Berlin", "after": "2030-06-02 00:00:00", "count": 1},
            ["2030-06-02T22:00:00Z"],
        ),
        (
            {"trigger": "cron", "crontab": "0 0 * * 0", "after": "2030-06-01T23:30:00-01:00", "count": 1},
            ["2030-06-09T00:00:00Z"],
        ),
        ({"trigger": "interval", "seconds": 5, "after": "9999-12-31T23:59:59Z"}, []),
        (
            {
                "trigger": "calendarinterval",
                "weeks": 2,
                "hour": 9,
                "timezone": "Europe/Berlin",
                "count": 2,
                "start_date": "2030-03-18",
            },
            ["2030-03-18T08:00:00Z", "2030-04-01T07:00:00Z"],
        ),
    ],
)
def test_the_fire_times_after_an_instant(api: Api, body: dict[str, Any], times: list[str]) -> None:
    assert api.done("POST", PREVIEW, body)["fire_times"] == times


def test_five_times_from_now_on_with_a_description(api: Api) -> None:
    shown = api.done("POST", PREVIEW, {"trigger": "interval", "seconds": 30})
    assert len(shown["fire_times"]) == 5
    assert shown["fire_times"][0] == "2030-01-01T12:00:30Z"
    assert shown["description"] == "every 30 seconds"
    assert not Job.objects.exists()


def test_it_is_what_the_job_then_does(api: Api) -> None:
    trigger = {"trigger": "interval", "minutes": 7, "jitter": 60}
    api.done("POST", "/scheduler/jobs", {"id": "j", "func": "tests:record", **trigger})
    shown = api.done("POST", PREVIEW, {**trigger, "id": "j", "count": 1})["fire_times"][0]
    stored = api.get("/scheduler/jobs/j")["next_run_time_iso"]
    assert shown.removesuffix("Z") == stored.removesuffix("+00:00")


@pytest.mark.parametrize(
    ("body", "code", "fields"),
    [
        ({}, "INVALID_TRIGGER", {"trigger"}),
        ({"trigger": "interval", "seconds": 0}, "INVALID_TRIGGER", {"seconds"}),
        ({"trigger": "interval", "hour": 5}, "INVALID_TRIGGER", {"hour"}),
        ({"trigger": "cron", "month": 2, "day": 30}, "INVALID_TRIGGER", {"day"}),
        ({"trigger": "date", "run_date": "2020-01-01"}, "INVALID_TRIGGER", {"run_date"}),
        ({"trigger": {"type": "interval", "seconds": 5}, "seconds": 6}, "INVALID_TRIGGER", {"seconds"}),
        ({"trigger": "interval", "seconds": 5, "func": "tests:echo"}, "INVALID_REQUEST", {"func"}),
        *(({"trigger": "interval", "seconds": 5, "count": count}, "INVALID_REQUEST", {"count"})
          for count in (0, 101, -1, "5", 1.5, True, None)),
        *(({"trigger": "interval", "seconds": 5, "after": after}, "INVALID_REQUEST", {"after"})
          for after in ("", "x", 5, True, [], "2030-02-30", "0001-01-01T00:00:00+14:00", "\x00")),
        *(({"trigger": "interval", "seconds": 5, "id": id_}, "INVALID_REQUEST", {"id"}) for id_ in (5, [], None)),
        ({"trigger": "interval", "seconds": 0, "count": 0, "x": 1}, "INVALID_REQUEST", {"seconds", "count", "x"}),
    ],
)  # fmt: skip
def test_errors_are_those_that_saving_gives(api: Api, body: dict[str, Any], code: str, fields: set[str]) -> None:
    assert api.refused("POST", PREVIEW, body) == (400, code, fields)


@pytest.mark.parametrize(
    ("name", "here"), [("day_of_month", "day"), ("month_of_year", "month"), ("dow", "day_of_week")]
)
def test_names_of_other_schedulers_are_known_in_every_form_of_a_body(api: Api, name: str, here: str) -> None:
    hint = f"did you mean {here!r}?"
    flat, whole = {"trigger": "cron", "hour": 9, name: 1}, {"trigger": {"type": "cron", "hour": 9, name: 1}}
    for path, body in ((PREVIEW, flat), (PREVIEW, whole), ("/scheduler/jobs", flat), ("/scheduler/jobs", whole)):
        job = {"id": "j", "func": "tests:record"} if path != PREVIEW else {}
        answer = api.call("POST", path, {**job, **body})
        assert answer.status_code == 400
        assert hint in answer.json()["fields"][name]


def test_a_hundred_times_of_the_rarest_trigger_come_soon(api: Api) -> None:
    body = {"trigger": "cron", "month": 2, "day": 29, "day_of_week": "mon", "count": 100}
    assert len(api.done("POST", PREVIEW, body)["fire_times"]) == 100


def finish_runs(job_id: str, seconds: int, count: int = 3) -> None:
    """Write runs of a job that succeeded, each of which took so long."""
    for number in range(count):
        at = after(-3600 * (number + 1))
        make_run(
            job_id, scheduled_time=at, status="succeeded", started_at=at, finished_at=at + timedelta(seconds=seconds)
        )


def codes(warnings: list[dict[str, str]]) -> list[str]:
    assert all(warning.keys() == {"code", "message"} and warning["message"] for warning in warnings)
    return [warning["code"] for warning in warnings]


@pytest.mark.parametrize(
    ("body", "expected", "words"),
    [
        ({"trigger": "cron", "crontab": "0 9 * * *"}, [], ""),
        (
            {"trigger": "cron", "crontab": "*/90 * * * *"},
            ["long_step"],
            "For every 90 minutes use the trigger interval",
        ),
        ({"trigger": "cron", "minute": "*/90"}, ["long_step"], "For every 90 minutes"),
        ({"trigger": "cron", "crontab": "0 0 31 * *"}, ["missing_months"], "5 months of the year"),
        ({"trigger": "cron", "crontab": "0 0 13 * 5"}, ["day_or_weekday"], "or on a Friday"),
        ({"trigger": "interval", "seconds": 5}, ["too_often"], "720 times an hour"),
        (
            {"trigger": "cron", "crontab": "30 2 * * *", "timezone": "Europe/Berlin"},
            ["skipped_by_clock", "repeated_by_clock"],
            "skips 02:30 on 2030-03-31",
        ),
    ],
)
def test_it_warns_of_what_may_not_be_expected(api: Api, body: dict[str, Any], expected: list[str], words: str) -> None:
    warnings = api.done("POST", PREVIEW, body)["warnings"]
    assert codes(warnings) == expected
    assert words in (warnings[0]["message"] if warnings else "")


def test_the_job_has_the_warnings_too_and_may_be_put_back_with_them(api: Api) -> None:
    body = {"id": "j", "func": "tests:record", "trigger": "cron", "crontab": "0 0 31 * *"}
    api.done("POST", "/scheduler/jobs", body)
    job = api.get("/scheduler/jobs/j")
    assert codes(job["warnings"]) == ["missing_months"]
    api.done("PUT", "/scheduler/jobs/j", job)
    assert api.refused("POST", "/scheduler/jobs", {**body, "id": "k", "warnings": []})[2] == {"warnings"}


def test_a_job_whose_runs_take_longer_than_the_time_between_them_is_warned_of(api: Api) -> None:
    body = {"id": "j", "func": "tests:record", "trigger": "interval", "minutes": 5}
    api.done("POST", "/scheduler/jobs", body)
    finish_runs("j", seconds=720)
    assert api.get("/scheduler/jobs/j")["warnings"] == []  # the job's row counts none yet
    Job.objects.filter(pk="j").update(run_count=3)
    (warning,) = api.get("/scheduler/jobs/j")["warnings"]
    assert warning["code"] == "overlap"
    assert "usually takes 12 minutes" in warning["message"]
    assert codes(api.done("POST", PREVIEW, {"trigger": "interval", "minutes": 5, "id": "j"})["warnings"]) == ["overlap"]
    assert api.done("POST", PREVIEW, {"trigger": "interval", "minutes": 5, "id": "other"})["warnings"] == []
    assert api.done("POST", PREVIEW, {"trigger": "interval", "minutes": 5, "id": "\x00"})["warnings"] == []


def test_warnings_of_the_clock_follow_the_day(api: Api, clock: FakeClock) -> None:
    make_job("j", trigger={"type": "cron", "crontab": "30 2 * * *", "timezone": "Europe/Berlin"})
    first = api.get("/scheduler/jobs/j")["warnings"]
    clock.set(NOW + timedelta(days=120))
    assert "2030-03-31" in first[0]["message"]
    assert "2030-03-31" not in str(api.get("/scheduler/jobs/j")["warnings"])
