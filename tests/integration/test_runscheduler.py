"""The command: it runs due jobs, and names the errors that keep it from starting."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError, connection, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.test import override_settings

from jobs.db import readiness
from jobs.management import startup
from jobs.models import Job, Run, Scheduler
from jobs.scheduler.scheduler import Scheduler as Loop
from tests.fakes import make_job

pytestmark = pytest.mark.django_db(transaction=True)

HOUR_AGO = datetime.now(UTC) - timedelta(hours=1)


@pytest.fixture(autouse=True)
def no_declared_jobs() -> Any:
    with override_settings(CRONZIMUS={"JOBS": []}):
        yield


def due(**fields: Any) -> Job:
    """Write a job that is due by the real clock, and not again during the test."""
    trigger = {"type": "interval", "hours": 2}
    return make_job(next_run_time=HOUR_AGO, anchor=HOUR_AGO, trigger=trigger, **fields)


def test_once_runs_what_is_due_and_exits(calls: list[tuple[Any, ...]]) -> None:
    due(args=["it ran"])
    call_command("runscheduler", "--once", "--threads=2")
    assert calls == [("it ran",)]
    assert Run.objects.get().status == "succeeded"
    assert Scheduler.objects.get().stopped_at is not None


def test_what_a_run_prints_is_its_output() -> None:
    due(func="tests:speak", args=["hello"])
    call_command("runscheduler", "--once")
    assert Run.objects.get().output == "hello\n"


def test_the_streams_and_the_signals_are_restored() -> None:
    before = (sys.stdout, sys.stderr, signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))
    call_command("runscheduler", "--once")
    assert (sys.stdout, sys.stderr, signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@contextmanager
def signalled(number: signal.Signals) -> Iterator[threading.Event]:
    """Send this process a signal a moment after the event that it yields is set, which says that it has handlers."""
    handled, over = threading.Event(), threading.Event()

    def send() -> None:
        handled.wait()
        if not over.wait(0.3):
            os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield handled
    finally:
        over.set()
        handled.set()
        thread.join()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it(monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    main_loop = Loop._main_loop

    def begin(loop: Loop) -> None:
        handled.set()
        main_loop(loop)

    monkeypatch.setattr(Loop, "_main_loop", begin)
    with signalled(number) as handled:
        call_command("runscheduler")
    assert Scheduler.objects.get().stopped_at is not None


def test_the_threads_and_processes_are_on_record() -> None:
    call_command("runscheduler", "--once", "--threads=3", "--processes=5")
    scheduler = Scheduler.objects.get()
    assert (scheduler.threads, scheduler.processes) == (3, 5)


@pytest.mark.parametrize("processes", ["0", "101", "many"])
def test_a_wrong_number_of_processes_is_refused(processes: str) -> None:
    with pytest.raises(CommandError, match="is not a number from 1 to 100"):
        call_command("runscheduler", "--once", f"--processes={processes}")


@pytest.mark.parametrize("threads", ["0", "-1", "1001", "many", "1.5", "", "²"])
def test_a_wrong_number_of_threads_is_refused(threads: str) -> None:
    with pytest.raises(CommandError, match="is not a number from 1 to 1000"):
        call_command("runscheduler", "--once", f"--threads={threads}")


@override_settings(
    CRONZIMUS={"JOBS": [{"id": "declared", "func": "tests:record", "trigger": "interval", "seconds": 60}]}
)
def test_declared_jobs_are_made() -> None:
    call_command("runscheduler", "--once")
    assert Job.objects.get().id == "declared"


@override_settings(CRONZIMUS={"JOBS": [{"id": "declared", "func": "gone:away", "trigger": "interval", "seconds": 60}]})
def test_a_wrong_declaration_is_named() -> None:
    with pytest.raises(CommandError, match=r"JOBS\[0\]\.func: 'gone:away' is not a registered function"):
        call_command("runscheduler", "--once")
    assert not Scheduler.objects.exists()


def test_a_database_that_is_not_up_to_date_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "applied_migrations", lambda: {"0000_before"})
    with pytest.raises(CommandError, match=r"the database is not up to date; run: manage\.py migrate"):
        call_command("runscheduler", "--once")


def test_an_empty_database_is_said_to_be_out_of_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection.introspection, "table_names", no_tables)
    with pytest.raises(CommandError, match=r"the database is not up to date; run: manage\.py migrate"):
        call_command("runscheduler", "--once")


def no_tables(cursor: object) -> list[str]:
    return []


def refuse_connections(*args: Any) -> Any:
    raise OperationalError("connection refused")


def test_a_database_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection.introspection, "table_names", refuse_connections)
    with pytest.raises(CommandError, match="the database does not answer: connection refused"):
        call_command("runscheduler", "--once")


def test_a_late_database_and_late_migrations_are_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [refuse_connections, refuse_connections, no_tables, no_tables, connection.introspection.table_names]
    monkeypatch.setattr(connection.introspection, "table_names", lambda cursor: answers.pop(0)(cursor))
    monkeypatch.setattr(readiness, "RETRY_SECONDS", 0)
    with caplog.at_level(logging.INFO, "cronzimus.runscheduler"):
        startup.wait_for_tables()
    assert answers == []
    said = [record.getMessage() for record in caplog.records]
    assert said[:2] == [
        "waiting: the database does not answer: connection refused",
        "waiting: the database is not up to date; run: manage.py migrate",
    ]
    assert said[2].startswith("going on after ")


def test_what_is_waited_for_is_said_again_after_a_while(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [no_tables, no_tables, no_tables, connection.introspection.table_names]
    monkeypatch.setattr(connection.introspection, "table_names", lambda cursor: answers.pop(0)(cursor))
    monkeypatch.setattr(readiness, "RETRY_SECONDS", 0)
    monkeypatch.setattr(readiness, "REPEAT_SECONDS", 0)
    startup.wait_for_tables()
    assert [record.getMessage().split(":")[0] for record in caplog.records][:3] == ["waiting"] * 3


def test_a_lock_in_the_way_of_declared_jobs_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers: list[Any] = [refuse_connections, lambda *args, **kwargs: None]
    monkeypatch.setattr(startup.services, "sync_declared_jobs", lambda *args, **kwargs: answers.pop(0)())
    monkeypatch.setattr(readiness, "RETRY_SECONDS", 0)
    startup.make_declared_jobs()
    assert caplog.messages[0] == "waiting: the declared jobs cannot be made: connection refused"


@override_settings(USE_TZ=False)
def test_settings_with_which_no_scheduler_works_are_named() -> None:
    with pytest.raises(CommandError, match=r"USE_TZ is False.* Set USE_TZ = True\. \(cronzimus\.E003\)"):
        call_command("runscheduler", "--once")


@pytest.mark.usefixtures("postgresql_only")
def test_more_threads_than_postgresql_has_connections_are_said(caplog: pytest.LogCaptureFixture) -> None:
    startup.warn_of_connections(2, 1)
    assert caplog.messages == []
    startup.warn_of_connections(999, 1)
    (said,) = caplog.messages
    assert said.startswith("999 threads and 1 processes may need 1003 connections, and PostgreSQL allows ")


@pytest.mark.usefixtures("postgresql_only")
def test_the_limits_of_the_role_and_of_the_database_count_too(caplog: pytest.LogCaptureFixture) -> None:
    name = connection.settings_dict["NAME"]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f'CREATE ROLE limited CONNECTION LIMIT 9; ALTER DATABASE "{name}" CONNECTION LIMIT 8')
        startup.warn_of_connections(5, 1)
        assert caplog.messages == []  # a superuser
        cursor.execute("SET ROLE limited")
        startup.warn_of_connections(5, 1)
        cursor.execute(f'RESET ROLE; ALTER DATABASE "{name}" CONNECTION LIMIT -1; SET ROLE limited')
        startup.warn_of_connections(6, 1)
        transaction.set_rollback(True)
    assert [message.partition(": ")[0] for message in caplog.messages] == [
        "5 threads and 1 processes may need 9 connections, and PostgreSQL allows 8",
        "6 threads and 1 processes may need 10 connections, and PostgreSQL allows 9",
    ]


def test_migrations_of_a_later_version_are_said(caplog: pytest.LogCaptureFixture) -> None:
    startup.warn_of_later_migrations()
    assert caplog.messages == []
    recorder = MigrationRecorder(connection)
    recorder.record_applied("cronzimus", "0002_later")
    try:
        startup.warn_of_later_migrations()
    finally:
        recorder.record_unapplied("cronzimus", "0002_later")
    assert caplog.messages == [
        "the database is that of a later version, which has made 0002_later: install that version here"
    ]


def test_a_signal_before_there_is_a_scheduler_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection.introspection, "table_names", lambda cursor: handled.set() or no_tables(cursor))
    with signalled(signal.SIGTERM) as handled:
        call_command("runscheduler")
    assert not Scheduler.objects.exists()
