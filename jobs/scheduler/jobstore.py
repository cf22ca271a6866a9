"""Show Cronzimus's jobs through APScheduler's own interface, for its listeners and plugins."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apscheduler.job import Job as APSchedulerJob
from apscheduler.jobstores.base import JobLookupError
from django_apscheduler.jobstores import DjangoJobStore
from django_apscheduler.util import retry_on_db_operational_error

from ..core.exceptions import CronzimusError
from ..definitions.triggers import trigger_of
from ..functions import registry
from ..models import Job


class JobStore(DjangoJobStore):
    """A `DjangoJobStore` on Cronzimus's rows.

    Nothing is pickled, damaged rows are left out, and no listener records runs: the claims and the recorder do.
    APScheduler's calls that add, change or remove jobs are refused: the admin, the API and the app's services do that,
    with validation.
    """

    def register_event_listeners(self) -> None:
        """Register no listener: every run has its row already."""

    @retry_on_db_operational_error
    def lookup_job(self, job_id: str) -> APSchedulerJob | None:
        """Return the job `job_id`; None if there is no such job, or its row is damaged."""
        job = Job.objects.filter(pk=job_id).first()
        return None if job is None else self._apscheduler_job(job)

    @retry_on_db_operational_error
    def get_next_run_time(self) -> datetime | None:
        """Return the next fire time of all jobs."""
        due = Job.objects.filter(next_run_time__isnull=False).order_by("next_run_time")
        return due.values_list("next_run_time", flat=True).first()

    @retry_on_db_operational_error
    def _get_jobs(self, **filters: Any) -> list[APSchedulerJob]:
        jobs = Job.objects.filter(**filters).order_by("next_run_time")
        return [found for job in jobs if (found := self._apscheduler_job(job)) is not None]

    def add_job(self, job: APSchedulerJob) -> None:
        """Refuse. Raises `NotImplementedError`."""
        raise NotImplementedError("jobs are added in the admin, over the API or with services.add_job")

    def update_job(self, job: APSchedulerJob) -> None:
        """Refuse. Raises `NotImplementedError`."""
        raise NotImplementedError("jobs are changed in the admin, over the API or with services.update_job")

    def remove_job(self, job_id: str) -> None:
        """Refuse. Raises `JobLookupError` for an unknown job, `NotImplementedError` otherwise."""
        if not Job.objects.filter(pk=job_id).exists():
            raise JobLookupError(job_id)
        raise NotImplementedError("jobs are removed in the admin, over the API or with services.remove_job")

    def remove_all_jobs(self) -> None:
        """Refuse. Raises `NotImplementedError`."""
        raise NotImplementedError("jobs are removed in the admin, over the API or with services.remove_job")

    def _apscheduler_job(self, job: Job) -> APSchedulerJob | None:
        try:
            state = {
                "id": job.id, "name": job.name, "args": tuple(job.args),
                "kwargs": dict(job.kwargs), "trigger": trigger_of(job), "executor": job.executor,
                "misfire_grace_time": job.misfire_grace_time, "coalesce": job.coalesce,
                "max_instances": job.max_instances, "next_run_time": job.next_run_time,
            }  # fmt: skip
            found = APSchedulerJob.__new__(APSchedulerJob)
            for name, value in state.items():
                setattr(found, name, value)
            found.func, found.func_ref = registry.lookup(job.func).call, job.func
        except (CronzimusError, TypeError, ValueError):
            return None
        found._scheduler, found._jobstore_alias = self._scheduler, self._alias
        return found
