"""Runs: the record of each fire time, run or not, with the reason.

Docstrings name indexes without their prefix `cronzimus_`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db import models
from django.db.models import Case, F, Q, When
from django.db.models.functions import Coalesce, Left
from django.utils import timezone

from ..core.runs import (
    ACTIVE,
    DID_NOT_RUN,
    EXCEPTIONAL,
    FAILURES,
    TEST_MARK,
    UNSCHEDULED,
    UNSUCCESSFUL,
    Executor,
    RunStatus,
    RunTrigger,
)
from ..core.traces import MAX_LENGTH
from .fields import ActorField, StoredJSON, choices_of


class OneOf(models.Func):
    """A column has one of a few values, written as literals: SQLite reads a partial index only for its condition."""

    output_field = models.BooleanField()
    template = "%(expressions)s IN (%(values)s)"

    def __init__(self, column: str, values: Iterable[StrEnum]) -> None:
        """Compare `column` with the values of the index's condition."""
        super().__init__(F(column), values=", ".join(repr(value.value) for value in values))


class NoneOf(OneOf):
    """A column has none of a few values. The condition goes beside one that implies it, and names the partial index.

    Written as "one of the others", SQLite would look up each value and sort. PostgreSQL finds the index without this
    condition, and is not given it: it multiplies selectivities, so a repeated condition makes it expect too few rows.
    """

    template = "NOT (%(expressions)s IN (%(values)s))"

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[()]]:
        """Return a condition that is always true."""
        return "true", ()


USUAL = tuple(status for status in RunStatus if status not in EXCEPTIONAL)
"""The statuses that have no entry in the index `run_by_status`."""
NOT_UNSUCCESSFUL = tuple(status for status in RunStatus if status not in UNSUCCESSFUL)
"""The statuses that have no entry in the index `run_unsuccessful`."""
SCHEDULED = tuple(trigger for trigger in RunTrigger if trigger not in UNSCHEDULED)
"""The triggers that have no entry in the index `run_unscheduled`."""


class RunQuerySet(models.QuerySet["Run"]):
    """The questions that the scheduler and the lists ask."""

    def active(self) -> RunQuerySet:
        """Return the runs that are queued or running (indexes `run_active_of_job` and `run_held`)."""
        return self.filter(OneOf("status", ACTIVE))

    def of_status(self, status: str) -> RunQuerySet:
        """Return the runs of one status.

        Nearly all runs have succeeded; these are read from the index of all runs (`run_newest`). The others have
        indexes of their own (`run_by_status`, `run_unsuccessful`, `run_active_of_job`), which cost a successful run
        nothing.
        """
        if status in ACTIVE:
            # A subquery, because SQLite would otherwise read all runs in the order of the list to find a few.
            return self.filter(pk__in=RunQuerySet(self.model).active().filter(status=status).values("pk"))
        implied = [NoneOf("status", others) for others in (USUAL, NOT_UNSUCCESSFUL) if status not in others]
        return self.filter(*implied, status=status)

    def unsuccessful(self) -> RunQuerySet:
        """Return the runs that were queued and did not succeed (indexes `run_unsuccessful` and `run_by_status`)."""
        implied = (NoneOf("status", others) for others in (USUAL, NOT_UNSUCCESSFUL))
        return self.filter(*implied, status__in=UNSUCCESSFUL)

    def failed(self) -> RunQuerySet:
        """Return the runs that count as failures (indexes `run_unsuccessful` and `run_by_status`)."""
        return self.unsuccessful().filter(status__in=FAILURES)

    def did_not_run(self) -> RunQuerySet:
        """Return the rows for fire times that were missed or skipped (index `run_by_status`)."""
        return self.filter(NoneOf("status", USUAL), status__in=DID_NOT_RUN)

    def made_by(self, trigger: str) -> RunQuerySet:
        """Return the runs of one `RunTrigger` (index `run_unscheduled`; scheduled runs: `run_newest`)."""
        implied = [NoneOf("trigger", SCHEDULED)] if trigger not in SCHEDULED else []
        return self.filter(*implied, trigger=trigger)

    def without_tests(self) -> RunQuerySet:
        """Return the runs that are not test runs (`core.runs.as_test`)."""
        return self.exclude(job__id__startswith=TEST_MARK)

    def waiting(self) -> RunQuerySet:
        """Return the runs that wait for a scheduler, in the order in which they are taken (index `run_waiting`)."""
        return self.filter(status=RunStatus.QUEUED, scheduler__isnull=True).order_by("-priority", "id")

    def cancel(self, reason: str, now: datetime) -> int:
        """Cancel the active runs, and return how many there were. An earlier request to cancel a run stands.

        Waiting runs end at once, also in a queue of workers; the scheduler or worker that holds a run ends it. Lock the
        runs first: schedulers write many at a time, in an order of their own.
        """
        waits = Q(status=RunStatus.QUEUED) & (Q(scheduler__isnull=True) | Q(executor=Executor.CELERY))
        held = self.active().filter(~waits, scheduler__isnull=False, cancel_requested_at__isnull=True)
        asked = held.update(cancel_requested_at=now, reason=reason)
        ended = self.active().filter(waits).update(status=RunStatus.CANCELLED, reason=reason, finished_at=now)
        return asked + ended


class Run(models.Model):
    """The record of one fire time of one job, or of one request of a person.

    It outlives its job and its scheduler: it names both, and neither has to exist. `scheduler` is the holder of the
    run: the scheduler that claimed it, or the worker that started it. `func`, `args` and `kwargs` are those of the
    call, even if the job changes. `fire_times` is the number of fire times for which the row stands: several that were
    due at once and became one run, or several in a row that did not run.
    """

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey("Job", models.DO_NOTHING, db_constraint=False, db_index=False, related_name="runs")
    func = models.CharField("function", max_length=200)
    status = models.CharField(max_length=16, choices=choices_of(RunStatus))
    reason = models.TextField(blank=True, default="")
    trigger = models.CharField(max_length=16, choices=choices_of(RunTrigger))
    actor = ActorField()
    attempt = models.PositiveSmallIntegerField(default=1)
    fire_times = models.PositiveBigIntegerField(default=1)
    scheduled_time = models.DateTimeField()
    queued_at = models.DateTimeField(default=timezone.now)
    available_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    scheduler = models.ForeignKey("Scheduler", models.DO_NOTHING, null=True, db_constraint=False, db_index=False)
    executor = models.CharField(max_length=20, default=Executor.THREAD, choices=choices_of(Executor))
    version = models.PositiveIntegerField(null=True, help_text="The version of the job's definition that it ran.")
    # Of runs that Celery workers run; null for all others. The one delivery that may start a run has `dispatch_id`.
    queue = models.CharField(max_length=64, null=True)  # noqa: DJ001 (most runs have none, which costs nothing)
    dispatch_id = models.CharField(max_length=32, null=True)  # noqa: DJ001
    dispatches = models.PositiveSmallIntegerField(null=True)
    dispatched_at = models.DateTimeField(null=True)
    timeout = models.PositiveIntegerField(null=True)
    priority = models.SmallIntegerField(default=0)
    concurrency_group = models.CharField(max_length=64, blank=True, default="")
    cancel_requested_at = models.DateTimeField(null=True)
    backfill = models.ForeignKey("Backfill", models.DO_NOTHING, null=True, db_constraint=False, db_index=False)
    args = StoredJSON(default=list)
    kwargs = StoredJSON(default=dict)
    progress_done = models.PositiveBigIntegerField(null=True)
    progress_total = models.PositiveBigIntegerField(null=True)
    result = StoredJSON(null=True)
    error = models.TextField(blank=True, default="")
    traceback = models.TextField(blank=True, default="")
    output = models.TextField(blank=True, default="")
    # Characters left out after the head of a long output; null for none (`core.output`).
    output_omitted = models.PositiveBigIntegerField(null=True)
    # When its parts were written, and on which stream (`core.output_marks`); null for none.
    output_marks = models.TextField(null=True)  # noqa: DJ001
    # Of the request that asked for the run (`core.traces`). Null and not "", so that scheduled runs take no room.
    traceparent = models.CharField(max_length=MAX_LENGTH, null=True)  # noqa: DJ001

    objects = RunQuerySet.as_manager()

    class Meta:
        default_permissions = ("view",)  # the scheduler writes runs, and the pruner deletes them
        permissions = (("cancel_run", "Can cancel run"), ("retry_run", "Can retry run"))
        indexes = (
            models.Index(F("scheduled_time").desc(), F("id").desc(), name="cronzimus_run_newest"),
            # Read by filtered lists. A scheduled run that succeeded has no entry in any of them.
            models.Index(
                "status",
                F("scheduled_time").desc(),
                F("id").desc(),
                name="cronzimus_run_by_status",
                condition=~Q(status__in=USUAL),
            ),
            models.Index(
                "job",
                F("scheduled_time").desc(),
                F("id").desc(),
                name="cronzimus_run_unsuccessful",
                condition=~Q(status__in=NOT_UNSUCCESSFUL),
            ),
            models.Index(
                "trigger",
                F("scheduled_time").desc(),
                F("id").desc(),
                name="cronzimus_run_unscheduled",
                condition=~Q(trigger__in=SCHEDULED),
            ),
            # Read by the claims, to count a job's active runs.
            models.Index("job", "id", name="cronzimus_run_active_of_job", condition=Q(status__in=ACTIVE)),
            # Read by recovery, to find the runs of a dead scheduler.
            models.Index("scheduler", "id", name="cronzimus_run_held", condition=Q(status__in=ACTIVE)),
            # Read by the admission of runs of a group.
            models.Index(
                "concurrency_group",
                name="cronzimus_run_active_of_group",
                condition=Q(status__in=ACTIVE, scheduler__isnull=False) & ~Q(concurrency_group=""),
            ),
            # Read at every tick, to find the runs that wait for a scheduler, and those to cancel.
            models.Index(
                F("priority").desc(),
                "id",
                name="cronzimus_run_waiting",
                condition=Q(status=RunStatus.QUEUED, scheduler__isnull=True),
            ),
            models.Index(
                Coalesce("available_at", "queued_at"),
                name="cronzimus_run_startable",
                condition=Q(status=RunStatus.QUEUED, scheduler__isnull=True),
            ),
            models.Index(
                "scheduler",
                name="cronzimus_run_cancel",
                condition=Q(status__in=ACTIVE, cancel_requested_at__isnull=False),
            ),
            # Read by backfills, which no other run belongs to.
            models.Index("backfill", "id", name="cronzimus_run_of_backfill", condition=Q(backfill__isnull=False)),
        )
        constraints = (
            # The last guard of the guarantee: a fire time is claimed once, and each attempt is made once.
            models.UniqueConstraint("job", "scheduled_time", "attempt", name="cronzimus_run_once"),
            models.CheckConstraint(condition=Q(status__in=list(RunStatus)), name="cronzimus_run_status_known"),
            models.CheckConstraint(condition=Q(trigger__in=list(RunTrigger)), name="cronzimus_run_trigger_known"),
            models.CheckConstraint(condition=Q(attempt__gte=1), name="cronzimus_run_attempt_from_one"),
            models.CheckConstraint(
                condition=Q(status__in=ACTIVE, finished_at__isnull=True)
                | (~Q(status__in=ACTIVE) & Q(finished_at__isnull=False)),
                name="cronzimus_run_finished_has_an_end",
            ),
        )

    def __str__(self) -> str:
        # Lists show damaged rows of SQLite, too, which may have no scheduled time.
        return f"{self.job_id} {self.scheduled_time:%Y-%m-%d %H:%M:%S}" if self.scheduled_time else self.job_id

    @property
    def worker(self) -> str | None:
        """The id of the Celery worker that started the run; None for none."""
        return self.scheduler_id if self.executor == Executor.CELERY and self.started_at else None

    @property
    def duration(self) -> timedelta | None:
        """The duration of the call; None if it did not start or has not ended."""
        return duration(self.started_at, self.finished_at)


def duration(started_at: datetime | None, finished_at: datetime | None) -> timedelta | None:
    """Return the time from the start of a run to its end; None if one of them is missing."""
    return finished_at - started_at if started_at and finished_at else None


def error_start(length: int) -> Left:
    """Return the first `length` characters of a run's error, or else of its reason, as SQL."""
    return Left(Case(When(error="", then=F("reason")), default=F("error")), length)
