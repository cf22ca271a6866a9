"""With any value that somebody has written into a column by hand, the lists and each row's own page answer."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, models

from jobs.core.runs import RunStatus
from jobs.models import Backfill, Job, Run, Scheduler
from jobs.scheduler.store.backfills import advance
from tests.conftest import CI
from tests.fakes import NOW, after, make_job, make_run, make_scheduler

from .admin_support import JOBS, RUNS, SCHEDULERS, Admin, admin_fixture, at_noon_fixture, ids  # noqa: F401
from .api_client import Api

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sqlite_only")]

DAMAGE = (
    "'garbage'", "''", "x'ff'", "x'616263'", "CAST(x'ff61' AS TEXT)", "1000000000000000000", "-1", "1e300",
    "'2030-13-45 99:99:99'", "'9999-12-31 23:59:59'", f"'{'1' * 5000}'", f"'{'[' * 5000}'",
)  # fmt: skip


def columns(model: type[models.Model]) -> list[str]:
    return [field.column for field in model._meta.concrete_fields if not field.primary_key]


def damage(model: type[models.Model], column: str, pk: object, value: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA ignore_check_constraints = ON")
        cursor.execute(f"UPDATE {model._meta.db_table} SET {column} = {value} WHERE id = '{pk}'")  # noqa: S608
        cursor.execute("PRAGMA ignore_check_constraints = OFF")


def finished(run_id: int, **fields: Any) -> None:
    make_run(
        id=run_id, scheduled_time=after(run_id), status=RunStatus.FAILED, started_at=NOW, progress_done=1, error="e",
        output="o", **fields,
    )  # fmt: skip


@pytest.mark.parametrize("column", columns(Run))
def test_runs_are_listed_and_shown(api: Api, admin: Admin, column: str) -> None:
    for number, value in enumerate(DAMAGE, 1):
        finished(number)
        damage(Run, column, number, value)
    finished(100, job_id="sound")
    everyone = {100, *range(1, len(DAMAGE) + 1)}
    assert {run["id"] for run in api.get("/scheduler/runs")["results"]} == everyone
    assert {int(text) for text in ids(admin.read(RUNS))} == everyone
    for run_id in everyone:
        assert api.get(f"/scheduler/runs/{run_id}")["id"] == run_id
        assert api.get(f"/scheduler/runs/{run_id}/log")["run_id"] == run_id
    for run_id in sorted(everyone)[:: 1 if CI else 4]:
        admin.open(f"{RUNS}{run_id}/change/")


def damaged_jobs(column: str) -> set[str]:
    """Write a sound job and one for each damage of `column`, and return their ids."""
    job_ids = ["sound", *(f"job-{number}" for number in range(len(DAMAGE)))]
    for job_id in job_ids:
        make_job(job_id)
    for number, value in enumerate(DAMAGE):
        damage(Job, column, f"job-{number}", value)
    return set(job_ids)


@pytest.mark.parametrize("column", columns(Job))
def test_jobs_are_listed_and_shown(api: Api, admin: Admin, column: str) -> None:
    everyone = damaged_jobs(column)
    assert {job["id"] for job in api.get("/scheduler/jobs")} == everyone
    assert set(ids(admin.read(JOBS))) == everyone
    for job_id in everyone:
        assert api.get(f"/scheduler/jobs/{job_id}")["id"] == job_id


@pytest.mark.parametrize("column", columns(Job))
def test_the_form_of_a_damaged_job_opens(admin: Admin, column: str) -> None:
    damaged_jobs(column)
    for job_id in ("sound", "job-0", "job-7"):
        admin.open(f"{JOBS}{job_id}/change/")


@pytest.mark.slow
@pytest.mark.parametrize("column", columns(Job))
def test_the_form_of_each_damaged_job_opens(admin: Admin, column: str) -> None:
    for job_id in damaged_jobs(column):
        admin.open(f"{JOBS}{job_id}/change/")


@pytest.mark.parametrize("column", columns(Scheduler))
def test_schedulers_are_listed_and_shown(api: Api, admin: Admin, column: str) -> None:
    for number, value in enumerate(DAMAGE):
        make_scheduler(f"s{number}")
        damage(Scheduler, column, f"s{number}", value)
    api.get("/scheduler")
    admin.open(SCHEDULERS)
    for number in range(0, len(DAMAGE), 1 if CI else 4):
        admin.open(f"{SCHEDULERS}s{number}/change/")


@pytest.mark.parametrize(
    ("column", "shown"),
    [("scheduled_time", None), ("started_at", None), ("attempt", 1), ("fire_times", 1), ("progress_done", None)],
)
def test_a_damaged_value_is_shown_as_null_or_as_what_its_column_defaults_to(
    api: Api, column: str, shown: object
) -> None:
    finished(1)
    damage(Run, column, 1, "x'ff'")
    run = api.get("/scheduler/runs/1")
    assert (run["progress"] if column == "progress_done" else run[column]) == shown


def test_the_pages_of_the_list_lead_past_runs_without_a_time(api: Api) -> None:
    for number in range(1, 6):
        finished(number)
    for number, value in ((2, "'garbage'"), (3, "x'ff'"), (5, "-1")):
        damage(Run, "scheduled_time", number, value)
    page, seen = api.get("/scheduler/runs?limit=1"), []
    for _ in range(10):
        seen += [run["id"] for run in page["results"]]
        if page["next"] is None:
            break
        page = api.get(page["next"].partition("testserver")[2])
    assert {1, 4} <= set(seen)
    assert page["next"] is None


def test_a_run_without_a_time_is_tried_again_at_this_instant(api: Api) -> None:
    finished(1)
    damage(Run, "scheduled_time", 1, "'garbage'")
    again = api.done("POST", "/scheduler/runs/1/retry")
    assert api.get(f"/scheduler/runs/{again['run_id']}")["scheduled_time"] == "2030-01-01T12:00:00Z"


@pytest.mark.parametrize("column", ["start", "end", "queued_until", "max_active"])
@pytest.mark.parametrize("value", ["'garbage'", "''", "x'ff'", "1000000000000000000"])
def test_a_damaged_backfill_holds_no_other_up(column: str, value: str) -> None:
    times = {"start": after(-100), "end": after(-1), "created_at": NOW, "fire_times": 10}
    damaged, sound = (
        Backfill.objects.create(job=make_job(name, anchor=after(-100)), only_missing=True, max_active=3, **times)
        for name in ("damaged", "sound")
    )
    damage(Backfill, column, damaged.pk, value)
    advance(NOW)
    assert Run.objects.filter(backfill=sound).count() == 3
