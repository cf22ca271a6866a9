"""Update incidents in the transactions that record the ends of runs, and pause jobs that keep failing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from .. import alerts
from ..alerts import End
from ..core.planning import PlannedRun
from ..core.runs import RunStatus
from .store.failing import pause_failing
from .store.held import Outcome


class IncidentWatch:
    """Observes runs that did not succeed, and the successes of jobs with an open incident. Other runs cost nothing."""

    def __init__(self) -> None:
        """Start without open incidents; `refresh` reads them."""
        self._open: frozenset[str] = frozenset()

    def refresh(self) -> None:
        """Read the ids of the jobs with an open incident."""
        self._open = alerts.jobs_with_incidents()

    def ended(self, outcomes: Sequence[Outcome], now: datetime) -> None:
        """Observe outcomes that are being written."""
        concerned = [one for one in outcomes if one.status is not RunStatus.SUCCEEDED or one.job_id in self._open]
        if concerned:
            retried = alerts.retried([one.run_id for one in concerned if one.status is not RunStatus.SUCCEEDED])
            ends = [
                End(one.job_id, one.run_id, one.status, one.error or one.reason, one.finished_at,
                    is_final=one.run_id not in retried)
                for one in concerned
            ]  # fmt: skip
            alerts.observe(ends, now)
            pause_failing(ends, now)
            # Those of other processes show with the next `refresh`.
            self._open |= {one.job_id for one in ends if one.status is not RunStatus.SUCCEEDED}

    def born_finished(self, runs: Sequence[tuple[str, PlannedRun]], now: datetime) -> None:
        """Observe fire times that do not run."""
        if runs:
            alerts.observe([End(job_id, None, run.status, run.reason, now) for job_id, run in runs], now)
