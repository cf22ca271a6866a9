"""Outdated statistics of ANALYZE on SQLite do not slow the loop down when the tables have grown."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

import pytest
from django.db import connection

from jobs.core.runs import RunStatus
from jobs.models import Run
from jobs.scheduler.recorder import Recorder
from jobs.scheduler.store.analysis import Analysis
from tests.fakes import make_job, make_run, make_scheduler, make_user, outcome

from .loop_support import MakeLoop, flush
from .plans import plan

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sqlite_only")]

FROM_END_TO_END = re.compile(r"^SCAN (cronzimus_\w+|[jr])\b", re.MULTILINE)
"""A line of a plan by which a table, or an index of it, is read from end to end: jobs are `j`, and runs `r`."""


@pytest.fixture
def analysed(sqlite_only: None, transactional_db: None) -> Iterator[None]:
    """ANALYZE has seen one job, one run of a live scheduler, and one user."""
    make_job()
    make_scheduler("s1")
    make_run(id=1, status=RunStatus.RUNNING, scheduler_id="s1")
    make_user()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    connection.close()  # the statistics are read when the file is opened
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE sqlite_stat1")
        cursor.execute("DROP TABLE IF EXISTS sqlite_stat4")


def read_whole() -> list[str]:
    """Return the tables that are read from end to end to write an outcome."""
    Run.objects.update(status=RunStatus.RUNNING, scheduler_id="s1", finished_at=None)  # nobody has given it up
    recorder = Recorder(lambda ended: None)
    recorder.finished(outcome(1))
    return FROM_END_TO_END.findall(plan(lambda: flush(recorder)))


def statistics() -> set[str]:
    """Return the names of the tables that have statistics."""
    with sqlite3.connect(connection.settings_dict["NAME"]) as other:
        return {name for (name,) in other.execute("SELECT tbl FROM sqlite_stat1")}


@pytest.mark.usefixtures("analysed")
def test_a_scheduler_that_starts_plans_without_statistics(make_loop: MakeLoop) -> None:
    assert read_whole()
    make_loop()
    assert not read_whole()


@pytest.mark.usefixtures("analysed")
def test_a_scheduler_forgets_statistics_that_come_while_it_runs(make_loop: MakeLoop) -> None:
    loop = make_loop()
    with sqlite3.connect(connection.settings_dict["NAME"]) as other:
        other.execute("ANALYZE")
        other.execute("CREATE TABLE something (id)")  # a change of the schema has all connections read them
        other.execute("DROP TABLE something")
    assert read_whole()
    loop.clock.advance(5)  # type: ignore[attr-defined]
    loop.tick.run()
    assert not read_whole()


@pytest.mark.usefixtures("analysed")
def test_a_connection_that_has_read_them_forgets_what_another_scheduler_deletes() -> None:
    assert read_whole()
    with sqlite3.connect(connection.settings_dict["NAME"]) as other:
        other.execute("DELETE FROM sqlite_stat1")
    Analysis().forget()
    assert not read_whole()


@pytest.mark.usefixtures("analysed")
def test_the_statistics_of_other_apps_stay() -> None:
    assert {"auth_user", "cronzimus_job"} <= statistics()
    Analysis().forget()
    assert "auth_user" in statistics()
    assert not [name for name in statistics() if name.startswith("cronzimus_")]


@pytest.mark.usefixtures("analysed")
def test_the_connection_is_opened_anew_once_alone() -> None:
    analysis = Analysis()
    analysis.forget()
    before = connection.connection
    analysis.forget()
    assert connection.connection is before


def test_nothing_is_done_where_nobody_has_analysed(transactional_db: None) -> None:
    connection.ensure_connection()
    before = connection.connection
    Analysis().forget()
    assert connection.connection is before
