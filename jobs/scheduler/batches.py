"""Write what a recorder keeps: in one transaction, or each outcome alone if one is refused or its job is locked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from math import inf
from typing import NamedTuple

from django.db import OperationalError, transaction

from ..core.clock import Clock
from ..core.held import Outcome
from ..db.errors import is_locked
from .incidents import IncidentWatch
from .recorder import Batch, Recorder
from .store.outcomes import Written, write_outcomes, write_starts
from .store.refusals import REFUSALS, write_each_outcome

FLUSH_SECONDS = 0.05
"""Time that a start or an outcome waits, at most, for others to be written with it."""
RETRY_SECONDS = 0.5
"""Time until outcomes are tried again whose run or job somebody else has locked."""


class Stored(NamedTuple):
    """The outcomes that are stored; and the runs that need no more writing, because others had ended some before."""

    outcomes: list[Outcome]
    ended: set[int]


class Batches:
    """Writes the starts and outcomes that a recorder keeps, for a scheduler or for a Celery worker.

    A slow request may hold the lock of a run or of a job for as long as it likes. The outcomes of that run, or of that
    job, are kept meanwhile, and the others are written.
    """

    def __init__(self, clock: Clock, recorder: Recorder, incidents: IncidentWatch) -> None:
        """Write what `recorder` keeps, and let `incidents` observe it."""
        self.retry_at = inf
        """The monotonic time in seconds at which to try locked outcomes again; infinite if there are none."""
        self._clock, self._recorder, self._incidents = clock, recorder, incidents
        self._locked_jobs: set[str] = set()

    @contextmanager
    def writing(self, holder: str, now: datetime) -> Iterator[Stored]:
        """Open a transaction, write the starts and outcomes of the runs of `holder`, and give what is stored.

        Raises the errors of the database; the whole transaction is then undone, and nothing is forgotten. Outcomes that
        the database refuses are written before, each alone, and so are those whose job was locked.
        """
        batch, is_time = self._recorder.batch(), self._clock.monotonic() >= self.retry_at
        of_locked_jobs, others = self._parted(batch.outcomes)
        retried = self._write_of_locked_jobs(of_locked_jobs, holder, now, is_time=is_time)
        with transaction.atomic():
            written = self._write_together(Batch(batch.starts, others), holder, now)
            if written is None:
                transaction.set_rollback(True)
            else:
                yield _stored(batch, retried, written)
        if written is None:
            written = self._write_apart(Batch(batch.starts, others), holder, now)
            with transaction.atomic():
                yield _stored(batch, retried, written)
        locked = retried.locked | written.locked
        if not locked:
            self.retry_at = inf
        elif is_time or self.retry_at == inf:  # else it is still to come: a write of others must not put it off
            self.retry_at = self._clock.monotonic() + RETRY_SECONDS
        self._recorder.forget(batch, locked)

    def _parted(self, outcomes: Sequence[Outcome]) -> tuple[Sequence[Outcome], Sequence[Outcome]]:
        """Return the outcomes of the jobs that were locked, and the others."""
        if not self._locked_jobs:
            return (), outcomes
        of_locked_jobs = [outcome for outcome in outcomes if outcome.job_id in self._locked_jobs]
        return of_locked_jobs, [outcome for outcome in outcomes if outcome.job_id not in self._locked_jobs]

    def _write_of_locked_jobs(
        self, outcomes: Sequence[Outcome], holder: str, now: datetime, *, is_time: bool
    ) -> Written:
        """Write outcomes of jobs that were locked, if it is time."""
        if outcomes and not is_time:
            return Written([], {outcome.run_id for outcome in outcomes})
        written = write_each_outcome(outcomes, holder, now, self._incidents.ended)
        self._locked_jobs = _jobs(outcomes, written.locked)
        return written

    def _write_together(self, batch: Batch, holder: str, now: datetime) -> Written | None:
        """Write a batch; return None if that has to be undone, because an outcome is refused or its job is locked."""
        try:
            locked = write_starts(batch.starts, holder)
            written = write_outcomes(batch.outcomes, holder, now)
            self._incidents.ended(written.outcomes, now)
        except REFUSALS:
            return None
        except OperationalError as error:
            if not is_locked(error):
                raise
            return None
        return Written(written.outcomes, written.locked | locked)

    def _write_apart(self, batch: Batch, holder: str, now: datetime) -> Written:
        locked = write_starts(batch.starts, holder)
        written = write_each_outcome(batch.outcomes, holder, now, self._incidents.ended)
        self._locked_jobs |= _jobs(batch.outcomes, written.locked)
        return Written(written.outcomes, written.locked | locked)


def _stored(batch: Batch, retried: Written, written: Written) -> Stored:
    ended = {outcome.run_id for outcome in batch.outcomes} - retried.locked - written.locked
    return Stored([*retried.outcomes, *written.outcomes], ended)


def _jobs(outcomes: Sequence[Outcome], run_ids: set[int]) -> set[str]:
    return {outcome.job_id for outcome in outcomes if outcome.run_id in run_ids}
