"""The counts of jobs, runs and schedulers at the instant of a request, each read once for a page."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property

from django.http import HttpRequest

from ..models import Control, Scheduler
from ..selectors import counts
from ..selectors.workers import Fleet
from .request_time import request_now


class Status:
    """The counts that several parts of a page show. Each is read when it is shown for the first time."""

    def __init__(self, now: datetime) -> None:
        """Keep the instant."""
        self._now = now

    @cached_property
    def jobs(self) -> counts.JobCounts:
        """The numbers of jobs by state."""
        return counts.job_counts(self._now)

    @cached_property
    def runs(self) -> counts.RunCounts:
        """The numbers of active runs."""
        return counts.run_counts()

    @cached_property
    def schedulers(self) -> list[Scheduler]:
        """The schedulers that have not stopped, the living ones first."""
        return counts.schedulers(self._now)

    @cached_property
    def alive(self) -> list[Scheduler]:
        """The schedulers that are alive."""
        return [scheduler for scheduler in self.schedulers if scheduler.is_alive(self._now)]

    @cached_property
    def fleet(self) -> Fleet:
        """The workers."""
        return Fleet(self._now)

    @cached_property
    def all_paused(self) -> Control | None:
        """The pause of all claiming, or None."""
        return counts.all_paused()


def request_status(request: HttpRequest) -> Status:
    """Return the status at the instant of `request`."""
    kept: dict[str, Status] = vars(request)
    if "cronzimus_status" not in kept:
        kept["cronzimus_status"] = Status(request_now(request))
    return kept["cronzimus_status"]
