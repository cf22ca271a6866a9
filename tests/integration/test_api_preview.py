"""/scheduler/preview: the fire times that a job would have, before there is one."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.models import Job

from .api_client import Api

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
