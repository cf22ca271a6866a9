"""Checks of everything that jobs need to run: the database, the settings, the schedulers, the backlog, the jobs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from django.core import checks
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from ..core.runs import JobState
from ..db.errors import one_line
from ..models import Control, Job, Scheduler
from . import backlog, states
from .obstacles import differing_brokers, problems
from .workers import Fleet

MOST_NAMED = 3
"""Missing migrations that are named."""


class Finding(NamedTuple):
    """The result of a check: "ok", "warning" or "error", the subject, and a sentence with the remedy."""

    result: str
    check: str
    finding: str


def findings(at: datetime) -> Iterator[Finding]:
    """Yield the findings about the database, the settings, the schedulers and the backlog at `at`."""
    try:
        connection.ensure_connection()
        missing = _missing_migrations()
    except DatabaseError as error:
        yield Finding("error", "database", f"does not answer: {one_line(error)}")
        return
    yield Finding("ok", "database", f"{connection.vendor} answers")
    if missing:
        some = ", ".join(missing[:MOST_NAMED]) + (", …" if len(missing) > MOST_NAMED else "")
        yield Finding("error", "migrations", f"{len(missing)} not applied ({some}): run manage.py migrate")
        return
    yield Finding("ok", "migrations", "all are applied")
    yield from _settings()
    yield from _schedulers(at)


def _missing_migrations() -> list[str]:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    names = [f"{migration.app_label}.{migration.name}" for migration, _ in plan]
    return sorted(names, key=lambda name: not name.startswith("cronzimus."))


def _settings() -> Iterator[Finding]:
    found = [message for message in checks.run_checks(databases=[DEFAULT_DB_ALIAS]) if not message.is_silenced()]
    for message in found:
        result = "error" if message.level >= checks.ERROR else "warning"
        yield Finding(result, f"settings {message.id}", " ".join(f"{message.msg} {message.hint or ''}".split()))
    if not found:
        yield Finding("ok", "settings", "no check complains")


def _schedulers(at: datetime) -> Iterator[Finding]:
    alive = list(Scheduler.objects.alive(at))
    if alive:
        yield Finding("ok", "schedulers", f"{len(alive)} alive: {', '.join(one.id for one in alive)}")
    else:
        yield Finding("error", "schedulers", "none is alive, so no job runs: start manage.py runscheduler")
    if alive and all(one.drained_at for one in alive):
        yield Finding("error", "schedulers", "all are drained, so no job runs: let one claim again in the admin")
    versions = {one.version for one in alive}
    if len(versions) > 1:
        yield Finding("warning", "versions", f"the schedulers differ: {', '.join(sorted(versions))}")
    control = Control.objects.filter(paused=True).first()
    if control is not None:
        who = f" by {control.actor}" if control.actor else ""
        yield Finding("warning", "pause", f"all jobs are paused{who}: {control.reason or 'no reason given'}")
    yield from _backlog(at)


def _backlog(at: datetime) -> Iterator[Finding]:
    fleet = Fleet(at)
    due, stuck = backlog.due_jobs(at), backlog.stuck_runs(at, fleet)
    if due.overdue:
        jobs = "1 job is" if due.overdue == 1 else f"{due.overdue} jobs are"
        yield Finding("error", "backlog", f"{jobs} overdue, the oldest for {due.oldest:.0f} s")
    if stuck.number:
        runs = "1 run has" if stuck.number == 1 else f"{stuck.number} runs have"
        yield Finding("error", "backlog", f"{runs} waited to start, the oldest for {stuck.oldest:.0f} s")
    if not due.overdue and not stuck.number:
        yield Finding("ok", "backlog", "no job is overdue, and no run waits for long")
    # Without the queues of jobs to come: the check cronzimus.W010 names them.
    unserved = set(fleet.unserved) - Job.objects.queues_to_come() if fleet.unserved else set()
    if differ := differing_brokers(fleet):
        yield Finding(
            "warning", "brokers", f"{differ} Unless these are names of one broker, no run passes between them"
        )
    for problem in problems(fleet, "{:%Y-%m-%d %H:%M:%S} UTC".format, unserved):
        yield Finding("error", "workers", str(problem))


def broken_jobs(at: datetime) -> Iterator[Finding]:
    """Yield a finding for each job that is broken at `at`. It reads and judges all jobs."""
    broken = [(job.id, error) for job in Job.objects.iterator() for state, error in [states.job_state(job, at)]
              if state is JobState.BROKEN]  # fmt: skip
    for job_id, error in broken:
        yield Finding("error", f"job {job_id}", f"is broken: {error}")
    if not broken:
        yield Finding("ok", "jobs", "none is broken")
