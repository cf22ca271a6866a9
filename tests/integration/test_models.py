"""Rows that the database itself refuses."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from jobs.core.runs import FINISHED, RunStatus
from jobs.models import Job, Run, Scheduler
from tests.fakes import NOW, after, make_job, make_run, make_scheduler

pytestmark = pytest.mark.django_db


def refuses(constraint: str, action: Any) -> None:
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        action()


@pytest.mark.parametrize(
    ("constraint", "change"),
    [
        ("run_status_known", {"status": "dreaming", "finished_at": NOW}),
        ("run_trigger_known", {"trigger": "mood"}),
        ("run_attempt_from_one", {"attempt": 0}),
        ("run_finished_has_an_end", {"status": "succeeded", "finished_at": None}),
        ("run_finished_has_an_end", {"status": "lost", "finished_at": None}),
        ("run_finished_has_an_end", {"finished_at": NOW}),
        ("run_finished_has_an_end", {"status": "running", "finished_at": NOW}),
    ],
    ids=repr,
)
def test_a_run_that_can_not_be_is_refused(constraint: str, change: dict[str, Any]) -> None:
    make_run()
    refuses(constraint, lambda: Run.objects.update(**change))


@pytest.mark.parametrize("status", list(RunStatus))
def test_a_run_of_every_status_is_stored(status: RunStatus) -> None:
    make_run(status=status)
    assert Run.objects.get().status == status


def test_a_fire_time_has_one_first_attempt() -> None:
    make_run()
    refuses("run_once|UNIQUE constraint failed: cronzimus_run.job_id", lambda: make_run())


def test_a_fire_time_can_have_another_attempt() -> None:
    make_run()
    make_run(attempt=2)
    assert Run.objects.count() == 2


def test_two_jobs_can_have_the_same_fire_time() -> None:
    make_run("a")
    make_run("b")
    assert Run.objects.count() == 2


@pytest.mark.parametrize(
    ("constraint", "change"),
    [
        ("job_paused_is_never_due", {"paused": True}),
        ("job_max_instances_positive", {"max_instances": 0}),
        ("job_last_status_known", {"last_status": "dreaming"}),
    ],
    ids=repr,
)
def test_a_job_that_can_not_be_is_refused(constraint: str, change: dict[str, Any]) -> None:
    make_job()
    refuses(constraint, lambda: Job.objects.update(**change))


def test_a_job_without_an_id_is_refused() -> None:
    refuses("job_id_not_empty", lambda: make_job(""))


def test_a_run_outlives_its_job_and_its_scheduler() -> None:
    make_job()
    make_scheduler("s1")
    make_run(status=RunStatus.SUCCEEDED, scheduler_id="s1")
    Job.objects.all().delete()
    Scheduler.objects.all().delete()
    run = Run.objects.get()
    assert (run.job_id, run.scheduler_id) == ("job", "s1")


@pytest.mark.parametrize("status", FINISHED)
def test_a_finished_run_is_not_active(status: RunStatus) -> None:
    make_run(status=status)
    assert not Run.objects.active().exists()


@pytest.mark.parametrize("status", [RunStatus.QUEUED, RunStatus.RUNNING])
def test_a_queued_or_running_run_is_active(status: RunStatus) -> None:
    make_run(status=status)
    assert Run.objects.active().exists()


def test_active_runs_can_be_counted_for_one_job_and_changed() -> None:
    make_run("a")
    make_run("b", status=RunStatus.SUCCEEDED)
    assert Run.objects.filter(job_id="a").active().count() == 1
    assert Run.objects.active().exclude(job_id="b").update(reason="changed") == 1
    assert Job.objects.filter(runs__in=Run.objects.active()).count() == 0


def test_a_runs_duration_is_from_its_start_to_its_end() -> None:
    run = make_run(status=RunStatus.SUCCEEDED, started_at=after(-2))
    assert run.duration == after(0) - after(-2)
    assert make_run("b").duration is None


def test_a_scheduler_is_alive_until_its_lease_ends_or_it_stops() -> None:
    make_scheduler("alive", lease_until=after(1))
    make_scheduler("dead", lease_until=NOW)
    make_scheduler("stopped", lease_until=after(1), stopped_at=NOW)
    assert [s.id for s in Scheduler.objects.alive(NOW)] == ["alive"]
    assert [s.id for s in Scheduler.objects.dead(NOW)] == ["dead"]


def test_outputs_are_compressed_with_what_is_fast(postgresql_only: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT enumvals FROM pg_settings WHERE name = 'default_toast_compression'")
        (known,) = cursor.fetchone()
        cursor.execute(
            "SELECT attcompression FROM pg_attribute WHERE attrelid = 'cronzimus_run'::regclass AND attname = 'output'"
        )
        assert cursor.fetchone() == ("l" if "lz4" in known else "",)


def test_constraints_and_indexes_have_names_that_no_other_app_has() -> None:
    models = apps.get_app_config("cronzimus").get_models()
    names = [item.name for model in models for item in (*model._meta.constraints, *model._meta.indexes)]
    assert len(names) > 50
    assert not [name for name in names if not name.startswith("cronzimus_")]


def test_the_migrations_are_those_of_the_models() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
