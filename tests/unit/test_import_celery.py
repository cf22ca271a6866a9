"""Celery beat: its tables and its setting become jobs that send the same tasks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from jobs.transfer.celery import read_dump, read_schedule
from jobs.transfer.celery_crontab import by_fields

NOW = datetime(2027, 1, 1, tzinfo=UTC)


def dump(schedule: dict[str, Any], model: str = "intervalschedule", **task: Any) -> Any:
    relation = model.removesuffix("schedule")
    fields = {"name": "send", "task": "shop.tasks.send", "args": "[]", "kwargs": "{}", "enabled": True, relation: 7}
    (entry,) = read_dump(
        [
            {"model": f"django_celery_beat.{model}", "pk": 7, "fields": schedule},
            {"model": "django_celery_beat.periodictask", "pk": 1, "fields": fields | task},
            {"model": "auth.user", "pk": 1, "fields": {}},
        ],
        now=NOW,
    ).entries
    return entry


def test_a_task_becomes_a_job_that_sends_it() -> None:
    entry = dump({"every": 10, "period": "minutes"}, args='["x"]', kwargs='{"a": 1}', queue="mail", description="d")
    assert entry.job == {
        "id": "send", "name": "send", "description": "d", "func": "cronzimus.functions:celery_task",
        "args": ["shop.tasks.send"], "kwargs": {"args": ["x"], "kwargs": {"a": 1}, "queue": "mail"},
        "trigger": {"type": "interval", "minutes": 10},
    }  # fmt: skip


def test_microseconds_are_left_out() -> None:
    assert "too fine" in dump({"every": 10, "period": "microseconds"}).problem


def test_solar_schedules_are_left_out() -> None:
    assert "solar" in dump({"event": "sunset"}, "solarschedule").problem


def test_a_clock_time_becomes_a_date() -> None:
    entry = dump({"clocked_time": "2027-02-01T10:00:00Z"}, "clockedschedule", one_off=True)
    assert entry.job["trigger"] == {"type": "date", "run_date": "2027-02-01T10:00:00+00:00"}
    assert "max_runs" not in entry.job


def test_a_clock_time_that_has_passed_is_left_out() -> None:
    assert "has passed" in dump({"clocked_time": "2026-12-31T10:00:00Z"}, "clockedschedule").problem


def test_a_one_off_task_runs_once() -> None:
    assert dump({"every": 1, "period": "hours"}, one_off=True).job["max_runs"] == 1


def test_expire_seconds_are_the_misfire_grace_time() -> None:
    assert dump({"every": 1, "period": "hours"}, expire_seconds=30).job["misfire_grace_time"] == 30


def test_a_disabled_task_is_paused() -> None:
    assert dump({"every": 1, "period": "hours"}, enabled=False).job["paused"] is True


def test_start_and_end_bound_the_trigger() -> None:
    trigger = dump(
        {"every": 1, "period": "days"}, start_time="2027-03-01T00:00:00Z", expires="2028-01-01T00:00:00Z"
    ).job["trigger"]
    assert (trigger["start_date"], trigger["end_date"]) == ("2027-03-01T00:00:00+00:00", "2028-01-01T00:00:00+00:00")


def test_an_instant_without_an_offset_as_sqlite_has_it_is_in_utc() -> None:
    trigger = dump({"every": 1, "period": "days"}, start_time="2027-03-01 00:00:00").job["trigger"]
    assert trigger["start_date"] == "2027-03-01T00:00:00+00:00"


@pytest.mark.parametrize("arguments", [{"args": "{"}, {"args": "{}"}, {"kwargs": "[1]"}])
def test_damaged_arguments_are_invalid(arguments: dict[str, str]) -> None:
    entry = dump({"every": 1, "period": "days"}, **arguments)
    assert entry.is_invalid
    assert "arguments" in entry.problem


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ({"interval": 8}, "is missing"),
        ({"interval": None}, "has no schedule"),
        ({"headers": "{"}, "its headers are not JSON"),
        ({"task": None}, "names no task"),
        ({"start_time": "soon"}, "soon"),
    ],
)
def test_a_damaged_task_is_invalid(task: dict[str, Any], reason: str) -> None:
    entry = dump({"every": 1, "period": "days"}, **task)
    assert entry.outcome == "invalid"
    assert reason in entry.problem


@pytest.mark.parametrize("objects", [[5], [{"model": "django_celery_beat.periodictask"}]])
def test_another_file_is_refused(objects: list[Any]) -> None:
    with pytest.raises(ValueError, match="not the output of dumpdata"):
        read_dump(objects, now=NOW)


def test_celerys_own_housekeeping_is_left_out() -> None:
    assert "housekeeping" in dump({"every": 1, "period": "days"}, task="celery.backend_cleanup").problem


def test_a_crontab_goes_by_fields_with_weekdays_by_name() -> None:
    row = {"minute": "30", "hour": "2", "day_of_week": "0,6", "day_of_month": "*", "month_of_year": "*",
           "timezone": "Europe/Berlin"}  # fmt: skip
    assert dump(row, "crontabschedule").job["trigger"] == {
        "type": "cron", "minute": "30", "hour": "2", "day_of_week": "sun,sat", "timezone": "Europe/Berlin"
    }  # fmt: skip


def test_day_and_weekday_are_said_to_be_joined_by_and() -> None:
    row = {"minute": "0", "hour": "0", "day_of_week": "1", "day_of_month": "1-7", "month_of_year": "*"}
    assert "AND" in dump(row, "crontabschedule").notes[0]


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({}, {"minute": "*"}),
        ({"minute": "*/15"}, {"minute": "*/15"}),
        ({"minute": "0", "hour": "22-2"}, {"minute": "0", "hour": "0,1,2,22,23"}),
        ({"minute": "0", "hour": "*/1"}, {"minute": "0"}),
        ({"minute": "0", "hour": "0", "day_of_week": "mon-fri"}, {"minute": "0", "hour": "0",
                                                                "day_of_week": "mon,tue,wed,thu,fri"}),
        ({"minute": "0", "day_of_week": "fri-sun"}, {"minute": "0", "day_of_week": "sun,fri,sat"}),
        ({"minute": "0", "day_of_week": "*/2"}, {"minute": "0", "day_of_week": "sun,tue,thu,sat"}),
        ({"minute": "0", "day_of_month": "*/10"}, {"minute": "0", "day": "*/10"}),
        ({"minute": "0", "month_of_year": "jan,6"}, {"minute": "0", "month": "1,6"}),
        ({"minute": "0-30/10"}, {"minute": "0,10,20,30"}),
        ({"minute": " 5 , 10 "}, {"minute": "5,10"}),
    ],
)  # fmt: skip
def test_expressions_of_celery_become_fields(given: dict[str, str], fields: dict[str, str]) -> None:
    assert by_fields(given) == fields


@pytest.mark.parametrize(
    ("name", "text"),
    [("minute", "60"), ("hour", "x"), ("minute", "5/15"), ("minute", "*/0"), ("minute", ""), ("day_of_month", "0"),
     ("month_of_year", "13"), ("minute", "1--2"), ("day_of_week", "*-3")],
)  # fmt: skip
def test_an_expression_that_celery_refuses_is_refused_by_its_name(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=name):
        by_fields({name: text})


def crontab(**fields: str) -> SimpleNamespace:
    names = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
    return SimpleNamespace(**{f"_orig_{name}": fields.get(name, "*") for name in names})


@pytest.mark.parametrize(
    ("schedule", "trigger"),
    [
        (30, {"type": "interval", "seconds": 30}),
        (30.0, {"type": "interval", "seconds": 30}),
        (timedelta(hours=1), {"type": "interval", "seconds": 3600}),
        (SimpleNamespace(run_every=timedelta(seconds=10)), {"type": "interval", "seconds": 10}),
        (crontab(minute="0", hour="7"), {"type": "cron", "minute": "0", "hour": "7"}),
    ],
)
def test_each_kind_of_schedule_in_the_setting_becomes_a_trigger(schedule: Any, trigger: dict[str, Any]) -> None:
    (job,) = read_schedule({"send mail": {"task": "shop.tasks.send", "schedule": schedule}}, now=NOW).jobs
    assert job["trigger"] == trigger
    assert (job["id"], job["name"]) == ("send-mail", "send mail")


def test_a_crontab_of_the_setting_fires_in_the_time_zone_of_its_application() -> None:
    schedule = crontab(minute="0", hour="7")
    schedule.tz = ZoneInfo("Europe/Berlin")
    (entry,) = read_schedule({"x": {"task": "t", "schedule": schedule}}, now=NOW).entries
    assert entry.job["trigger"]["timezone"] == "Europe/Berlin"
    assert entry.notes == []


def test_a_crontab_whose_application_is_not_there_has_the_zone_of_the_site_and_says_so() -> None:
    (entry,) = read_schedule({"x": {"task": "t", "schedule": crontab(minute="0")}}, now=NOW).entries
    assert "timezone" not in entry.job["trigger"]
    assert "this site's time zone" in entry.notes[0]


def test_options_that_no_message_has_here_are_named() -> None:
    given = {"task": "t", "schedule": 5, "options": {"queue": "q", "countdown": 3, "expires": timedelta(minutes=1)}}
    (entry,) = read_schedule({"x": given}, now=NOW).entries
    assert entry.notes == ["left out: the options countdown"]
    assert (entry.job["kwargs"], entry.job["misfire_grace_time"]) == ({"queue": "q"}, 60)


@pytest.mark.parametrize("given", [5, {}, {"task": "t"}, {"schedule": 5}, {"task": "t", "schedule": 5, "args": 7}])
def test_a_damaged_entry_of_the_setting_is_invalid(given: Any) -> None:
    (entry,) = read_schedule({"x": given}, now=NOW).entries
    assert entry.is_invalid


@pytest.mark.parametrize("schedule", [0.5, 1.5, object(), None, True, timedelta(milliseconds=5)])
def test_other_schedules_in_the_setting_are_left_out(schedule: Any) -> None:
    (entry,) = read_schedule({"x": {"task": "t", "schedule": schedule}}, now=NOW).entries
    assert entry.problem


@pytest.mark.parametrize(
    ("given", "grace", "note"),
    [
        ({"options": {"expires": NOW}}, None, "left out: expires 2027-01-01"),
        ({"options": {"expires": 15.5}}, 15, "expires after 15.5 seconds"),
        ({"relative": True}, None, "left out: relative"),
    ],
)
def test_whatever_of_the_setting_is_lost_is_named(given: dict[str, Any], grace: int | None, note: str) -> None:
    (entry,) = read_schedule({"a": {"task": "t", "schedule": 5} | given}, now=NOW).entries
    assert entry.job is not None
    assert entry.job.get("misfire_grace_time") == grace
    assert [note in one for one in entry.notes] == [True]


@pytest.mark.parametrize("seconds", [0, -3, timedelta(seconds=-1)])
def test_an_interval_that_does_not_last_is_invalid(seconds: Any) -> None:
    (entry,) = read_schedule({"a": {"task": "t", "schedule": seconds}}, now=NOW).entries
    assert (entry.outcome, "does not last" in entry.problem) == ("invalid", True)


def test_options_of_the_setting_go_with_the_message() -> None:
    given = {"task": "t", "schedule": 5, "args": (1,), "kwargs": {"a": 2}, "options": {"queue": "q", "expires": 15}}
    (job,) = read_schedule({"x": given}, now=NOW).jobs
    assert job["kwargs"] == {"args": [1], "kwargs": {"a": 2}, "queue": "q"}
    assert job["misfire_grace_time"] == 15
