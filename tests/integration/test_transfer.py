"""Jobs as files: an export makes the same job again; applying is all or nothing."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from django.db import connection

from jobs import services
from jobs.core.exceptions import InvalidRequest
from jobs.models import Job
from jobs.transfer import sync
from jobs.transfer.export import definition_of, definitions_of
from tests.fakes import NOW, make_jobs

pytestmark = pytest.mark.django_db

HOURLY: dict[str, Any] = {"id": "a", "func": "tests:record", "trigger": {"type": "interval", "hours": 1}}
FULL: dict[str, Any] = {
    "id": "full", "name": "All of it", "description": "d", "tags": ["x"], "func": "tests:record", "args": [1],
    "owner": "ann", "misfire_grace_time": 5, "timeout": 60,
    "trigger": {"type": "cron", "hour": 9, "timezone": "Europe/Berlin"},
    "coalesce": False, "max_instances": 3, "overlap": "queue", "queue_limit": 4, "priority": 2, "max_runs": 9,
    "retries": {"max": 2, "delay": 10}, "keep_runs": 100, "keep_days": 7, "concurrency_group": "g",
}  # fmt: skip


def kinds(changes: list[sync.Change]) -> list[tuple[str, str]]:
    return [(change.kind, change.id) for change in changes]


@pytest.mark.parametrize("body", [HOURLY, FULL], ids=["small", "full"])
def test_an_exported_job_is_unchanged_when_applied_again(body: dict[str, Any]) -> None:
    job = services.add_job(body, now=NOW)
    assert kinds(sync.compare([definition_of(job)], now=NOW)) == [("unchanged", job.id)]


@pytest.mark.parametrize("body", [HOURLY, FULL], ids=["small", "full"])
def test_an_exported_job_is_made_again_where_it_is_gone(body: dict[str, Any]) -> None:
    exported = definition_of(services.add_job(body, now=NOW))
    services.remove_job(body["id"], now=NOW)
    sync.apply([exported], now=NOW)
    assert definition_of(Job.objects.get()) == exported


def test_a_policy_that_the_site_has_its_own_default_for_is_always_exported(settings: Any) -> None:
    job = services.add_job(HOURLY, now=NOW)
    assert "coalesce" not in definition_of(job)
    settings.CRONZIMUS = settings.CRONZIMUS | {"JOB_DEFAULTS": {"coalesce": False}}
    assert definition_of(job)["coalesce"] is True


@pytest.mark.skipif(connection.vendor != "sqlite", reason="about SQLite's limit of variables")
def test_a_file_may_have_more_jobs_than_a_statement_has_variables() -> None:
    make_jobs(60)
    bodies = definitions_of(list(Job.objects.all()))
    connection.ensure_connection()
    before = connection.connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 50)
    try:
        changes = sync.apply(bodies, now=NOW, source="jobs.yaml")
    finally:
        connection.connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, before)
    assert {kind for kind, _ in kinds(changes)} == {"unchanged"}
    assert Job.objects.filter(source="jobs.yaml").count() == 60


def test_a_new_job_is_created_and_says_where_it_came_from() -> None:
    assert kinds(sync.apply([HOURLY], now=NOW, source="jobs.yaml")) == [("create", "a")]
    assert Job.objects.get().source == "jobs.yaml"


def test_a_changed_field_is_named_with_its_values() -> None:
    services.add_job(HOURLY, now=NOW)
    (change,) = sync.compare([HOURLY | {"description": "new"}], now=NOW)
    assert (change.kind, change.fields) == ("change", {"description": ("", "new")})


def test_a_field_that_the_file_leaves_out_gets_its_default() -> None:
    services.add_job(HOURLY | {"description": "old", "max_instances": 5}, now=NOW)
    sync.apply([HOURLY], now=NOW)
    job = Job.objects.get()
    assert (job.description, job.max_instances) == ("", 1)


def test_an_unchanged_trigger_keeps_its_schedule() -> None:
    job = services.add_job(HOURLY, now=NOW)
    sync.apply([HOURLY | {"name": "New"}], now=NOW.replace(year=NOW.year + 1))
    again = Job.objects.get()
    assert (again.anchor, again.next_run_time) == (job.anchor, job.next_run_time)


@pytest.mark.parametrize("paused", [True, False])
def test_a_job_whose_pause_the_file_does_not_name_stays_as_it_is(paused: bool) -> None:
    services.add_job(HOURLY | {"paused": paused}, now=NOW)
    assert kinds(sync.apply([HOURLY], now=NOW)) == [("unchanged", "a")]
    assert Job.objects.get().paused is paused


@pytest.mark.parametrize("paused", [True, False])
def test_the_file_may_pause_and_resume(paused: bool) -> None:
    services.add_job(HOURLY | {"paused": not paused}, now=NOW)
    sync.apply([HOURLY | {"paused": paused}], now=NOW)
    assert Job.objects.get().paused is paused


def test_a_job_may_be_created_paused() -> None:
    sync.apply([HOURLY | {"paused": True}], now=NOW)
    job = Job.objects.get()
    assert (job.paused, job.next_run_time) == (True, None)


ONCE: dict[str, Any] = {"id": "once", "func": "tests:record", "trigger": {"type": "date", "run_date": "2029-01-01"}}


def test_a_new_job_whose_time_has_passed_is_completed_and_the_difference_says_so() -> None:
    (change,) = sync.compare([ONCE], now=NOW)
    assert (change.kind, change.notes) == ("create", ["its time has passed: it is completed"])
    sync.apply([ONCE, HOURLY], now=NOW)
    assert Job.objects.get(pk="once").next_run_time is None
    assert Job.objects.get(pk="a").next_run_time is not None
    assert kinds(sync.compare([ONCE], now=NOW)) == [("unchanged", "once")]


def test_a_job_whose_time_is_moved_into_the_past_is_completed() -> None:
    services.add_job(HOURLY | {"id": "once"}, now=NOW)
    (change,) = sync.apply([ONCE], now=NOW)
    assert (change.kind, change.notes) == ("change", ["its time has passed: it is completed"])
    assert Job.objects.get().next_run_time is None


def test_missing_jobs_of_the_same_file_are_paused_on_request() -> None:
    sync.apply([HOURLY, HOURLY | {"id": "b"}], now=NOW, source="jobs.yaml")
    services.add_job(HOURLY | {"id": "by-hand"}, now=NOW)
    assert kinds(sync.apply([HOURLY], now=NOW, source="jobs.yaml")) == [("unchanged", "a")]
    changes = sync.apply([HOURLY], now=NOW, source="jobs.yaml", pause_missing=True)
    assert kinds(changes) == [("unchanged", "a"), ("pause", "b")]
    assert set(Job.objects.filter(paused=True).values_list("id", flat=True)) == {"b"}


def test_one_invalid_job_keeps_all_others_out() -> None:
    wrong = HOURLY | {"id": "b", "func": "os:system", "max_instances": 0}
    with pytest.raises(InvalidRequest) as caught:
        sync.apply([HOURLY, wrong], now=NOW)
    assert set(caught.value.fields) == {"b.func", "b.max_instances"}
    assert not Job.objects.exists()


def test_an_id_that_stands_twice_is_refused() -> None:
    changes = sync.compare([HOURLY, HOURLY], now=NOW)
    assert [change.problems for change in changes] == [{"id": "stands more than once in the file"}] * 2


@pytest.mark.parametrize("job_id", [None, 5, "", "a b"])
def test_a_job_without_a_valid_id_is_refused_by_its_place_or_name(job_id: Any) -> None:
    (change,) = sync.compare([HOURLY | {"id": job_id}], now=NOW)
    assert change.kind == "invalid"
    assert "id" in change.problems


def test_a_pause_that_is_not_a_boolean_is_refused() -> None:
    (change,) = sync.compare([HOURLY | {"paused": "yes"}], now=NOW)
    assert change.problems == {"paused": "must be true or false"}


def test_comparing_writes_nothing() -> None:
    sync.compare([HOURLY], now=NOW)
    assert not Job.objects.exists()


def test_jobs_are_exported_in_their_order() -> None:
    for name in ("b", "a"):
        services.add_job(HOURLY | {"id": name}, now=NOW)
    assert [body["id"] for body in definitions_of(Job.objects.order_by("id"))] == ["a", "b"]
