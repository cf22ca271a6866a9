"""Jobs: stored definitions, and the scheduler's progress with each."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from functools import reduce
from operator import or_

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.utils import timezone

from ..core.runs import Executor, JobState, Overlap, RunStatus
from .fields import ActorField, StoredJSON
from .lookups import HasTag

JOB_ID = r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}"
"""The pattern of a job's id."""


KEEPING = ("keep_runs", "keep_days", "keep_failed_days")
"""The fields that limit the runs that are kept."""
SEARCHED = ("id", "name", "func", "description")
"""The fields in which people search for jobs."""

OWNER = re.compile(r'(?:^|(?<=\s))owner:(?:"([^"]*)"|(\S+))')
"""The part of a search that names an owner: owner:ann, owner:"Team A"; owner:"" finds jobs without one."""
PAUSE_FIELDS = (
    "paused", "paused_at", "paused_by", "paused_until", "pause_reason", "next_run_time", "updated_at", "version",
)  # fmt: skip
"""The fields that `Job.pause` and `Job.resume` change."""
DEFAULT_QUEUE = "cronzimus"
"""The queue of jobs that Celery workers run, unless a job names another one."""
KEEP_DAYS = 90
"""Days for which a job keeps its runs by default: without a limit a history would grow for ever."""


class JobQuerySet(models.QuerySet["Job"]):
    """The queries of the scheduler and of lists."""

    def due(self, now: datetime) -> JobQuerySet:
        """Return the jobs with an unclaimed fire time at `now`, the longest due first (index `job_due`)."""
        return self.filter(next_run_time__lte=now).order_by("next_run_time")

    def queues_to_come(self) -> set[str]:
        """Return the queues of workers to which jobs with a next fire time go."""
        remote = self.filter(executor=Executor.CELERY, next_run_time__isnull=False)
        return set(remote.order_by().values_list("queue", flat=True).distinct())

    def with_state(self, now: datetime | Value, *, functions: Collection[str] | None = None) -> JobQuerySet:
        """Annotate each job with its `state` at `now`: the rule of `selectors.states.job_state` in SQL.

        A job whose function is not in `functions`, the registered ones, is broken. SQL cannot find definitions that are
        broken by a damaged trigger or by arguments that do not fit.
        """
        is_broken = Q(next_run_time=None) & ~Q(error="")
        if functions is not None:
            is_broken |= ~Q(func__in=functions)
        state = Case(
            When(is_broken, then=Value(JobState.BROKEN.value)),
            When(Q(paused=True) | Q(paused_until__gt=now), then=Value(JobState.PAUSED.value)),
            When(next_run_time=None, then=Value(JobState.COMPLETED.value)),
            When(last_run_at=None, then=Value(JobState.PENDING.value)),
            default=Value(JobState.RUNNING.value),
            output_field=models.TextField(),
        )
        return self.annotate(state=state)

    def tagged(self, *tags: str) -> JobQuerySet:
        """Return the jobs that have at least one of `tags`."""
        return self.filter(reduce(or_, (Q(HasTag("tags", tag)) for tag in tags))) if tags else self.none()

    def search(self, words: str) -> JobQuerySet:
        """Return the jobs whose id, name, function or description contains `words`, ignoring case.

        Each `owner:…` in `words` finds the jobs of that owner instead.
        """
        jobs, words = self.of_owners(words)
        return jobs.containing(words) if words else jobs

    def of_owners(self, words: str) -> tuple[JobQuerySet, str]:
        """Return the jobs of the owners that a search names as `owner:…`, and the rest of the search."""
        jobs = self
        for quoted, word in OWNER.findall(words):
            owner = quoted or word
            jobs = jobs.filter(owner__has_text=owner) if owner else jobs.filter(owner="")
        return jobs, OWNER.sub("", words).strip()

    def containing(self, words: str) -> JobQuerySet:
        """Return the jobs whose id, name, function or description contains `words`, ignoring case."""
        return self.filter(reduce(or_, (Q(**{f"{name}__has_text": words}) for name in SEARCHED)))


class Job(models.Model):
    """A function with its arguments, the trigger that calls it, and the policies of its runs.

    People write the first fields; the scheduler writes `next_run_time` and the fields after it. The two parts are
    written separately, so that an edit never overwrites a claim.
    """

    id = models.CharField(
        primary_key=True,
        max_length=64,
        validators=[RegexValidator(rf"\A{JOB_ID}\Z", "Letters, digits and _ . : - only; a letter or digit first.")],
    )
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True, default="")
    owner = models.CharField(max_length=254, blank=True, default="", help_text="A person or a team.")
    tags = StoredJSON(blank=True, default=list)
    func = models.CharField("function", max_length=200)
    args = StoredJSON(blank=True, default=list)
    kwargs = StoredJSON(blank=True, default=dict)
    trigger = StoredJSON()
    anchor = models.DateTimeField(help_text="The instant from which an interval without a start date counts.")
    paused = models.BooleanField(default=False)
    executor = models.CharField(
        max_length=20, default=Executor.THREAD, choices=[(name.value, name.value) for name in Executor]
    )
    queue = models.CharField(max_length=64, default=DEFAULT_QUEUE)
    misfire_grace_time = models.PositiveIntegerField(null=True, blank=True)
    coalesce = models.BooleanField(default=True)
    max_instances = models.PositiveSmallIntegerField(default=1)
    overlap = models.CharField(
        max_length=16, default=Overlap.SKIP, choices=[(name.value, name.value) for name in Overlap]
    )
    queue_limit = models.PositiveSmallIntegerField(default=10)
    timeout = models.PositiveIntegerField(null=True, blank=True, help_text="Seconds; such a job runs in a process.")
    retries = StoredJSON(null=True, blank=True)
    priority = models.SmallIntegerField(default=0, help_text="The higher ones first, where more is due than can start.")
    concurrency_group = models.CharField(max_length=64, blank=True, default="")
    concurrency_limit = models.PositiveSmallIntegerField(default=1)
    max_runs = models.PositiveIntegerField(null=True, blank=True)
    pause_after = models.PositiveSmallIntegerField(null=True, blank=True)
    keep_runs = models.PositiveIntegerField(null=True, blank=True)
    keep_days = models.PositiveIntegerField(null=True, blank=True, default=KEEP_DAYS)
    keep_failed_days = models.PositiveIntegerField(null=True, blank=True)
    paused_at = models.DateTimeField(null=True, editable=False)
    paused_by = ActorField(editable=False)
    paused_until = models.DateTimeField(null=True, editable=False)
    pause_reason = models.TextField(blank=True, default="", editable=False)
    declaration = StoredJSON(null=True, blank=True, editable=False)
    source = models.CharField(max_length=200, blank=True, default="", editable=False)
    version = models.PositiveIntegerField(default=1, editable=False, help_text="Counts edits and pauses.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    next_run_time = models.DateTimeField(null=True, editable=False)
    error = models.TextField(blank=True, default="", editable=False)
    claimed_count = models.PositiveBigIntegerField(default=0, editable=False)
    run_count = models.PositiveBigIntegerField(default=0, editable=False)
    failure_count = models.PositiveBigIntegerField(default=0, editable=False)
    last_status = models.CharField(max_length=16, blank=True, default="", editable=False)
    last_run_at = models.DateTimeField(null=True, editable=False)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        permissions = (("run_job", "Can run job"), ("pause_job", "Can pause and resume job"))
        indexes = (
            # Read to find due jobs, and when the next one is due. A job without a fire time has no entry.
            models.Index(F("next_run_time"), name="cronzimus_job_due", condition=Q(next_run_time__isnull=False)),
            # Read by the admin and the API, to find queues without a worker. Other jobs have no entry.
            models.Index("queue", name="cronzimus_job_of_queue", condition=Q(executor=Executor.CELERY)),
            # Read at every tick to find out whether priorities matter, and by claims that go by priority.
            models.Index(
                F("next_run_time"),
                name="cronzimus_job_prioritised",
                condition=Q(next_run_time__isnull=False) & ~Q(priority=0),
            ),
        )
        constraints = (
            models.CheckConstraint(condition=Q(max_instances__gte=1), name="cronzimus_job_max_instances_positive"),
            models.CheckConstraint(
                condition=Q(concurrency_limit__gte=1), name="cronzimus_job_concurrency_limit_positive"
            ),
            models.CheckConstraint(condition=Q(overlap__in=list(Overlap)), name="cronzimus_job_overlap_known"),
            models.CheckConstraint(condition=Q(executor__in=list(Executor)), name="cronzimus_job_executor_known"),
            *(
                models.CheckConstraint(condition=Q(**{f"{name}__gte": 1}), name=f"cronzimus_job_{name}_positive")
                for name in ("queue_limit", "timeout", "max_runs", "pause_after", *KEEPING)
            ),
            models.CheckConstraint(condition=~Q(id=""), name="cronzimus_job_id_not_empty"),
            models.CheckConstraint(
                condition=Q(paused=False) | Q(next_run_time__isnull=True), name="cronzimus_job_paused_is_never_due"
            ),
            models.CheckConstraint(
                condition=Q(last_status__in=["", *RunStatus]), name="cronzimus_job_last_status_known"
            ),
        )

    def __str__(self) -> str:
        return self.id

    def is_paused(self, now: datetime) -> bool:
        """Tell whether the trigger is stopped at `now`: for good, or until a later instant."""
        return self.paused or (self.paused_until is not None and self.paused_until > now)

    def pause(
        self,
        now: datetime,
        *,
        by: str = "",
        until: datetime | None = None,
        next_run_time: datetime | None = None,
        reason: str = "",
    ) -> None:
        """Stop the trigger, for good or `until` an instant, after which it is due at `next_run_time`. Not saved.

        Of a job that is paused already, the instant of the first pause and who made the last one are kept.
        """
        self.paused_at = self.paused_at if self.is_paused(now) else now
        self.paused, self.paused_by, self.paused_until, self.pause_reason = until is None, by, until, reason
        self.next_run_time, self.updated_at, self.version = next_run_time, now, self.version + 1

    def resume(self, now: datetime, *, next_run_time: datetime | None) -> None:
        """Restart the trigger: the job is due at `next_run_time`. Not saved."""
        self.paused, self.paused_at, self.paused_by, self.paused_until, self.pause_reason = False, None, "", None, ""
        self.next_run_time, self.updated_at, self.version = next_run_time, now, self.version + 1
