"""The runs related to a run: other attempts of its fire time, and runs that failed in the same way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models.functions import Left

from ..core.alerts import fingerprint_of
from ..models import Run

ATTEMPTS = 100
"""Attempts of a fire time that are read: a job cannot have more."""
WATERFALL_FIELDS = (
    "id", "attempt", "status", "executor", "queued_at", "available_at", "dispatches", "dispatched_at", "started_at",
    "finished_at",
)  # fmt: skip
"""The columns of an attempt from which the waterfall is drawn."""
MAX_COMPARED = 1000
"""Unsuccessful runs that are compared."""
COMPARED_AGE = timedelta(days=7)
"""Age of the oldest runs that are compared."""
COMPARED_CHARACTERS = 200
"""Characters of an error that are compared."""


def attempts_of(run: Run) -> list[Run]:
    """Return all attempts of the fire time of `run`, with it, the first one first (index `run_once`)."""
    same = Run.objects.filter(job_id=run.job_id, scheduled_time=run.scheduled_time)
    return list(same.only(*WATERFALL_FIELDS).order_by("attempt")[:ATTEMPTS])


class Failed(NamedTuple):
    """A run that did not succeed."""

    id: int
    status: str
    at: datetime


@dataclass(frozen=True, slots=True)
class SameError:
    """The runs of a job that failed in one way, the newest first. With `more` there may be more of them."""

    runs: list[Failed]
    more: bool

    @property
    def first(self) -> datetime:
        """The fire time of the first of them."""
        return self.runs[-1].at


def same_error(job_id: str, error: str, now: datetime) -> SameError:
    """Return the runs of the last seven days that failed with `error` (index `run_unsuccessful`).

    Numbers and quoted texts may differ.
    """
    wanted = fingerprint_of(error[:COMPARED_CHARACTERS])
    rows = (
        Run.objects.unsuccessful()
        .filter(job_id=job_id, scheduled_time__gte=now - COMPARED_AGE)
        .annotate(start=Left("error", COMPARED_CHARACTERS))
        .order_by("-scheduled_time", "-id")
        .values_list("id", "status", "scheduled_time", "start")[:MAX_COMPARED]
    )
    found = list(rows)
    same = [Failed(pk, status, at) for pk, status, at, start in found if fingerprint_of(start) == wanted]
    return SameError(same, more=len(found) == MAX_COMPARED)
