"""Delete the runs that jobs no longer keep, and find the jobs that may have such runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import OuterRef, Q, QuerySet, Subquery

from ...core.runs import FAILURES, FINISHED
from ...definitions.policies import default_policies
from ...models import Job, Run
from .statistics import prunable

MAX_BATCH = 1000
"""Runs deleted in one transaction, at most: on SQLite every other writer waits for it."""
BACKFILL_DAYS = 7
"""Days for which the runs of a backfill are kept by a job that limits the number of its runs, and not their age."""
OTHERS = tuple(status for status in FINISHED if status not in FAILURES)
"""The finished statuses that only `keep_runs` and `keep_days` limit."""
LIMITS = ("keep_runs", "keep_days")
"""A job that sets neither of these keeps all of its runs."""
LIMITED = Q(keep_runs__isnull=False) | Q(keep_days__isnull=False)
"""The condition for jobs that do not keep all of their runs."""
# Each step is one look-up in the index `run_once`, from one job's runs to the next job's, because there are far more
# runs than jobs.
RUN_JOBS_SQL = (
    "WITH RECURSIVE run_jobs(job_id) AS (SELECT min(job_id) FROM cronzimus_run WHERE job_id > %s UNION ALL "
    "SELECT (SELECT min(job_id) FROM cronzimus_run WHERE cronzimus_run.job_id > run_jobs.job_id) FROM run_jobs "
    "WHERE run_jobs.job_id IS NOT NULL) "
    "SELECT job_id, EXISTS (SELECT 1 FROM cronzimus_job WHERE id = job_id) FROM run_jobs WHERE job_id IS NOT NULL "
    "LIMIT %s"
)
"""The next job ids that runs have, and whether each job still exists."""


class Pruned(NamedTuple):
    """The number of deleted runs; and the time before which only kept failures are left, None if that is not known."""

    deleted: int
    reached: datetime | None = None


Page = tuple[list[str], str | None]
"""The ids found on one page, and the last id that was read (None after the last page)."""


def limited_jobs(after: str, size: int) -> Page:
    """Return the ids of the next `size` jobs that do not keep all of their runs."""
    ids = list(Job.objects.filter(LIMITED, pk__gt=after).order_by("pk").values_list("pk", flat=True)[:size])
    return ids, ids[-1] if len(ids) == size else None


def removed_jobs(after: str, size: int) -> Page:
    """Return the ids of removed jobs, whose runs JOB_DEFAULTS limits, among the next `size` job ids of runs."""
    if not _default_limits():
        return [], None
    with connection.cursor() as cursor:
        cursor.execute(RUN_JOBS_SQL, [after, size])
        rows = cursor.fetchall()
    return [job_id for job_id, exists in rows if not exists], rows[-1][0] if len(rows) == size else None


def jobs_with_oldest_run(ids: Sequence[str]) -> Iterator[Job]:
    """Yield the jobs `ids`, each with the scheduled time of its oldest run as `oldest`.

    A removed job is yielded as an unsaved one with the limits of JOB_DEFAULTS, without `oldest`.
    """
    oldest = Run.objects.filter(job_id=OuterRef("pk")).order_by("scheduled_time").values("scheduled_time")[:1]
    jobs = Job.objects.filter(pk__in=ids).only(*LIMITS, "keep_failed_days").annotate(oldest=Subquery(oldest))
    found = {job.pk: job for job in jobs}
    for job_id in ids:
        yield found.get(job_id) or Job(id=job_id, **_default_limits())


def _default_limits() -> dict[str, Any]:
    defaults = default_policies()
    if all(defaults[name] is None for name in LIMITS):
        return {}
    return {name: defaults[name] for name in (*LIMITS, "keep_failed_days")}


def prune_job(
    job: Job,
    now: datetime,
    limit: int = MAX_BATCH,
    oldest: datetime | None = None,
    pruned_until: datetime | None = None,
) -> Pruned:
    """Delete up to `limit` of the runs that `job` does not keep at `now`, oldest first.

    Active runs stay. If `keep_failed_days` is set beside another limit, it alone decides about failed runs.
    `oldest` is the scheduled time of the job's oldest run, if the caller knows it; usually this saves all queries.
    `pruned_until` is what an earlier call has `reached`, so that the failures before are not read with every call. The
    age of a backfill's run counts from when it was queued: its fire
    time may be older than all that the job keeps.
    """
    cutoff = max((found for found in (_age_cutoff(job.keep_days, now), _count_cutoff(job)) if found), default=None)
    if cutoff is None:
        return Pruned(0)
    failed_cutoff = cutoff if job.keep_failed_days is None else now - timedelta(days=job.keep_failed_days)
    if oldest is not None and oldest >= max(cutoff, failed_cutoff):
        return Pruned(0)
    # By all columns of `run_once`: if ordered by time alone, PostgreSQL may read the runs of all jobs from
    # `run_newest`.
    backfills_cutoff = now - timedelta(days=job.keep_days or BACKFILL_DAYS)
    runs = Run.objects.filter(_not_backfilled_since(backfills_cutoff), job_id=job.pk)
    runs = runs.order_by("scheduled_time", "attempt")
    deleted = _delete(runs.filter(scheduled_time__lt=min(cutoff, failed_cutoff), status__in=FINISHED), limit)
    if cutoff < failed_cutoff:
        failures = runs.failed().order_by("scheduled_time", "id")
        failures = failures.filter(scheduled_time__gte=cutoff, scheduled_time__lt=failed_cutoff)
        deleted += _delete(failures, limit - deleted)
    elif cutoff > failed_cutoff:
        start = max(failed_cutoff, pruned_until or failed_cutoff)
        others = runs.filter(scheduled_time__gte=start, scheduled_time__lt=cutoff, status__in=OTHERS)
        deleted += _delete(others, limit - deleted)
        return Pruned(deleted, cutoff if deleted < limit else None)
    return Pruned(deleted)


def _not_backfilled_since(instant: datetime) -> Q:
    return Q(backfill__isnull=True) | Q(queued_at__lt=instant)


def _delete(runs: QuerySet[Run], limit: int) -> int:
    runs = prunable(runs)
    if not connection.features.has_select_for_update_skip_locked:
        return _delete_all(runs.values_list("id", flat=True)[:limit])
    with transaction.atomic():
        # Runs that another scheduler is deleting are left to it.
        return _delete_all(runs.select_for_update(skip_locked=True).values_list("id", flat=True)[:limit])


def _delete_all(found: Iterable[int]) -> int:
    ids = list(found)
    return Run.objects.filter(id__in=ids).delete()[0] if ids else 0


def _age_cutoff(days: int | None, now: datetime) -> datetime | None:
    return None if days is None else now - timedelta(days=days)


def _count_cutoff(job: Job) -> datetime | None:
    if job.keep_runs is None:
        return None
    # The index `run_once` is enough. Active runs do not count. The attempts of one fire time stay together, so that
    # never fewer runs are kept than the job asks for.
    runs = Run.objects.filter(job_id=job.pk)
    place = job.keep_runs - 1 + runs.active().count()
    return runs.order_by("-scheduled_time").values_list("scheduled_time", flat=True)[place : place + 1].first()
