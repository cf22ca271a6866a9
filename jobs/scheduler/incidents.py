"""Update incidents in the transactions that record the ends of runs, and pause jobs that keep failing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from .. import alerts
from ..alerts import End
from ..core.held import Outcome
from ..core.planning import PlannedRun
from ..core.runs import RunStatus
from .store.failing import observe_ends


class IncidentWatch:
    """Observes runs that did not succeed, and the successes of jobs with an open incident. Other runs cost nothing."""

    def __init__(self) -> None:
        """Start without open incidents; `refresh` reads them."""
        self._open: frozenset[str] = frozenset()
        self._later: list[End] = []
        """Fire times that did not run, of jobs whose incident was locked."""

    def refresh(self, now: datetime) -> None:
        """Read the ids of the jobs with an open incident, and observe what was put off."""
        if self._later:
            with transaction.atomic():
                self.born_finished((), now)
        self._open = alerts.jobs_with_incidents()

    def ended(self, outcomes: Sequence[Outcome], now: datetime) -> None:
        """Observe outcomes that are being written."""
        concerned = [
            outcome for outcome in outcomes
            if outcome.status is not RunStatus.SUCCEEDED or outcome.job_id in self._open
        ]  # fmt: skip
        if concerned:
            observe_ends(concerned, now)
            # Those of other processes show with the next `refresh`.
            self._open |= {outcome.job_id for outcome in concerned if outcome.status is not RunStatus.SUCCEEDED}

    def born_finished(self, runs: Sequence[tuple[str, PlannedRun]], now: datetime) -> None:
        """Observe fire times that do not run, in the transaction that records them.

        Those of jobs whose incident somebody else has locked are put off: a claim of all jobs must not wait for them.
        """
        ends = [*self._later, *(End(job_id, None, run.status, run.reason, now) for job_id, run in runs)]
        if not ends:
            return
        locked = alerts.locked_jobs({end.job_id for end in ends})
        later = [end for end in ends if end.job_id in locked]
        alerts.observe([end for end in ends if end.job_id not in locked], now)
        if later or self._later:
            transaction.on_commit(lambda: self._put_off(later))  # if it is undone, its fire times come again

    def _put_off(self, ends: list[End]) -> None:
        self._later = ends
