"""APScheduler: what its own application exports becomes jobs with its defaults written out."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from jobs.transfer.apscheduler import read_export, read_flask_jobs
from jobs.transfer.apscheduler_export import export, main


def send(*args: Any, **kwargs: Any) -> None:
    """Stand for a function of the old application."""


def imported(*add: Any, **options: Any) -> Any:
    scheduler = BackgroundScheduler(timezone="Europe/Berlin")
    scheduler.add_job(send, *add, **{"id": "a", **options})
    (entry,) = read_export(json.loads(json.dumps(export(scheduler)))).entries
    scheduler.shutdown(wait=False)
    return entry


def test_an_interval_keeps_its_start_and_writes_out_apschedulers_defaults() -> None:
    job = imported("interval", minutes=5, start_date=datetime(2031, 1, 1, tzinfo=UTC)).job
    assert job["trigger"] == {
        "type": "interval", "seconds": 300, "start_date": "2031-01-01T00:00:00+00:00", "timezone": "Europe/Berlin",
    }  # fmt: skip
    assert (job["misfire_grace_time"], job["coalesce"], job["max_instances"]) == (1, True, 1)


def test_a_cron_trigger_keeps_its_fields() -> None:
    job = imported("cron", day_of_week="mon-fri", hour=9, minute="*/15").job
    assert job["trigger"] == {
        "type": "cron", "day_of_week": "mon-fri", "hour": "9", "minute": "*/15", "timezone": "Europe/Berlin"
    }  # fmt: skip


def test_a_date_keeps_its_instant() -> None:
    job = imported("date", run_date="2031-06-01 10:00:00").job
    assert job["trigger"] == {"type": "date", "run_date": "2031-06-01T10:00:00+02:00"}


def test_arguments_and_policies_are_kept() -> None:
    job = imported(
        "interval",
        hours=1,
        args=[1],
        kwargs={"x": "y"},
        misfire_grace_time=60,
        coalesce=True,
        max_instances=3,
        name="n",
    ).job
    assert (job["args"], job["kwargs"], job["name"]) == ([1], {"x": "y"}, "n")
    assert (job["misfire_grace_time"], job["coalesce"], job["max_instances"]) == (60, True, 3)
    assert job["func"].endswith("test_import_apscheduler:send")


def test_a_job_that_has_no_next_run_time_was_paused() -> None:
    assert imported("interval", hours=1, next_run_time=None).job["paused"] is True


def test_arguments_that_json_cannot_hold_are_left_out() -> None:
    assert "not JSON" in imported("interval", hours=1, args=[object()]).problem


def test_an_interval_of_a_fraction_is_left_out() -> None:
    assert "too fine" in imported("interval", seconds=0.5).problem


def test_a_combined_trigger_is_left_out() -> None:
    entry = imported(OrTrigger([IntervalTrigger(hours=1), CronTrigger(hour=1)]))
    assert "a job for each of its parts" in entry.problem


def test_jitter_is_kept_and_explained() -> None:
    entry = imported("interval", hours=1, jitter=30)
    assert entry.job["trigger"]["jitter"] == 30
    assert "jitter goes both ways" in entry.notes[0]


def test_an_id_with_blanks_becomes_one_without() -> None:
    entry = imported("interval", hours=1, id="send the mail")
    assert entry.job["id"] == "send-the-mail"
    assert "its id becomes" in entry.notes[0]


@pytest.mark.parametrize("kind", [BlockingScheduler, AsyncIOScheduler])
def test_a_scheduler_that_blocks_or_needs_an_event_loop_is_exported_as_well(kind: Any) -> None:
    scheduler = kind(timezone="UTC")
    scheduler.add_job(send, "interval", hours=1, id="a")
    assert [job["id"] for job in export(scheduler)["jobs"]] == ["a"]


def test_a_function_without_a_name_is_left_out() -> None:
    scheduler = BackgroundScheduler(timezone="UTC")
    scheduler.add_job(lambda: None, "interval", hours=1, id="a")
    (entry,) = read_export(export(scheduler)).entries
    assert "has no name to call it by" in entry.problem
    assert entry.outcome == "left out"


class Mailer:
    """Stand for a class of the old application."""

    def send(self) -> None:
        """Need the object."""

    @classmethod
    def send_all(cls) -> None:
        """Need no object."""


def test_a_method_of_an_object_is_left_out_because_its_name_does_not_lead_to_the_object() -> None:
    scheduler = BackgroundScheduler(timezone="UTC")
    scheduler.add_job(Mailer().send, "interval", hours=1, id="a")
    scheduler.add_job(Mailer.send_all, "interval", hours=1, id="b")
    method, of_class = sorted(read_export(export(scheduler)).entries, key=lambda entry: entry.source)
    assert "Mailer.send of an object>) has no name to call it by" in method.problem
    assert of_class.job["func"].endswith(":Mailer.send_all")
    (flask,) = read_flask_jobs([{"id": "a", "func": Mailer().send, "trigger": "interval", "hours": 1}]).entries
    assert "of an object>) has no name" in flask.problem


def test_a_job_without_an_id_is_named_by_its_place() -> None:
    (entry,) = read_flask_jobs([{"func": "a:b", "trigger": "interval", "hours": 1}]).entries
    assert (entry.source, entry.problem) == ("job number 1", "has no id")


@pytest.mark.parametrize("name", ["json:nothing", "json:dumps", "json:dumps.nothing"])
def test_the_exporter_says_what_is_not_a_scheduler(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE")  # a second django.setup() would disable the loggers of other tests
    monkeypatch.setattr("sys.path", sys.path[:])
    assert main([name]) == 1
    assert capsys.readouterr().err == f"{name} is not a scheduler of APScheduler or Flask-APScheduler\n"


@pytest.mark.parametrize("job", [{}, {"id": "a", "func": "b:c"}, {"id": "a", "func": "b:c", "trigger": 5}])
def test_a_damaged_job_is_invalid(job: dict[str, Any]) -> None:
    (entry,) = read_export({"format": "apscheduler 3 jobs, 1", "jobs": [job]}).entries
    assert entry.outcome == "invalid"


@pytest.mark.parametrize("jobs", [None, [5]])
def test_a_file_without_jobs_is_refused(jobs: Any) -> None:
    with pytest.raises(ValueError, match="not a list of objects"):
        read_export({"format": "apscheduler 3 jobs, 1", "jobs": jobs})


@pytest.mark.parametrize("content", [{}, [], {"format": "other", "jobs": []}, None])
def test_another_file_is_refused(content: Any) -> None:
    with pytest.raises(ValueError, match="format"):
        read_export(content)


def test_the_jobs_of_flask_apscheduler_are_read_in_both_forms() -> None:
    flat = {"id": "a", "func": "app:send", "trigger": "interval", "seconds": 10, "args": (1, 2)}
    nested = {"id": "b", "func": "app:send", "trigger": {"type": "cron", "hour": 3}}
    first, second = read_flask_jobs([flat, nested]).jobs
    assert (first["trigger"], first["args"]) == ({"type": "interval", "seconds": 10}, [1, 2])
    assert second["trigger"] == {"type": "cron", "hour": 3}


def test_keys_of_flask_apscheduler_that_are_unknown_are_named_and_the_id_is_the_name() -> None:
    job = {"id": "a b", "func": "m:f", "trigger": "interval", "hours": 1, "hourz": 2, "replace_existing": True}
    (entry,) = read_flask_jobs([job]).entries
    assert entry.job is not None
    assert (entry.job["id"], entry.job["name"]) == ("a-b", "a b")
    assert "left out: hourz" in entry.notes


def test_triggers_of_apscheduler_itself_are_read_from_flask_apscheduler() -> None:
    given = {"id": "a", "func": send, "trigger": CronTrigger(hour=3, timezone="Asia/Tokyo"), "next_run_time": None}
    (job,) = read_flask_jobs([given]).jobs
    assert job["trigger"] == {"type": "cron", "hour": "3", "timezone": "Asia/Tokyo"}
    assert job["func"].endswith("test_import_apscheduler:send")
    assert job["paused"] is True


@pytest.mark.parametrize("arguments", [{"args": (object(),)}, {"args": object()}, {"kwargs": {"x": object()}}])
def test_arguments_of_flask_apscheduler_that_json_cannot_hold_are_left_out(arguments: dict[str, Any]) -> None:
    given = {"id": "a", "func": "app:send", "trigger": "interval", "hours": 1, **arguments}
    (entry,) = read_flask_jobs([given]).entries
    assert "not JSON" in entry.problem


def test_the_report_names_the_settings_that_are_not_read_from_flask_apscheduler() -> None:
    assert "SCHEDULER_JOB_DEFAULTS" in read_flask_jobs([]).notes[0]


def test_a_trigger_that_is_unknown_is_left_out() -> None:
    (entry,) = read_flask_jobs([{"id": "a", "func": "app:send", "trigger": "solar"}]).entries
    assert "no counterpart" in entry.problem


def test_the_functions_to_register_are_listed() -> None:
    jobs = [{"id": "a", "func": "app:send", "trigger": "interval", "seconds": 1},
            {"id": "b", "func": "app:other", "trigger": "interval", "seconds": 1}]  # fmt: skip
    assert read_flask_jobs(jobs).functions() == ["app:other", "app:send"]
