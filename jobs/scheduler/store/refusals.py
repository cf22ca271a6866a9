"""Write a batch that the database refused: each outcome alone, and one that is refused again as failed.

A database refuses a value that it cannot store: a character that its encoding lacks, a number or a text that is too
large. Such an outcome must not prevent the others from being written, and must not be tried for ever. An outcome whose
job somebody else has locked must not keep the others back either.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TypeAlias

from django.db import DataError, IntegrityError, NotSupportedError, OperationalError, connection, transaction

from ...core.held import LiveUpdate, Outcome
from ...core.runs import RunStatus
from ...db.errors import is_locked
from ...models import Run
from .outcomes import Written, write_live, write_outcomes

logger = logging.getLogger("cronzimus.scheduler.store.refusals")

REFUSALS = (DataError, IntegrityError, NotSupportedError, TypeError, ValueError)
"""The errors that are due to the values. The third is that of SQL_ASCII, the last two are raised by the encoding."""
LOCK_MILLISECONDS = 20
"""Time for which the write of a single outcome waits for a row that others have locked."""
MAX_LOCKED = 25
"""Jobs with a lock that one call waits for, at most."""

Observer: TypeAlias = Callable[[list[Outcome], datetime], None]


def write_each_outcome(outcomes: Sequence[Outcome], holder: str, now: datetime, observe: Observer) -> Written:
    """Write each outcome in a transaction of its own, and call `observe` with it there.

    An outcome that the database refuses is written as failed, with the reason. One whose job others have locked is
    among the locked ones after a moment. After `MAX_LOCKED` such jobs the rest is, too.
    """
    stored, locked, locked_jobs = list[Outcome](), set[int](), set[str]()
    for outcome in outcomes:
        if outcome.job_id in locked_jobs or len(locked_jobs) >= MAX_LOCKED:
            locked.add(outcome.run_id)
            continue
        try:
            written = _write_alone(outcome, holder, now, observe)
        except OperationalError as error:
            if not is_locked(error):
                raise
            locked.add(outcome.run_id)
            locked_jobs.add(outcome.job_id)
        else:
            stored += written.outcomes
            locked |= written.locked
    return Written(stored, locked)


def _write_alone(outcome: Outcome, holder: str, now: datetime, observe: Observer) -> Written:
    for candidate in _candidates(outcome):
        try:
            with transaction.atomic():
                _wait_for_locks_no_longer_than(LOCK_MILLISECONDS)
                written = write_outcomes([candidate], holder, now)
                observe(written.outcomes, now)
        except REFUSALS as error:
            message = "the database refused how run %s ended: %s"
            logger.error(message, outcome.run_id, _ascii(str(error)), extra={"action": "outcome_refused"})
        else:
            return written
    return _write_the_row_alone(outcome, holder)


def _write_the_row_alone(outcome: Outcome, holder: str) -> Written:
    """Mark the run as lost, and count nothing: its job, its incident or its next attempt may be what is refused."""
    message = "the database refuses whatever is to be stored of the end of run %s: its outcome, %s, is lost"
    extra = {"action": "outcome_lost", "run": outcome.run_id}
    held = Run.objects.active().filter(pk=outcome.run_id, scheduler_id=holder)
    reason = f"the database refused to store its outcome, which was {outcome.status}"
    try:
        with transaction.atomic():
            held.update(status=RunStatus.LOST, reason=reason, finished_at=outcome.finished_at)
    except REFUSALS as error:
        logger.error("run %s stays as it is: %s", outcome.run_id, _ascii(str(error)), extra=extra)
    logger.error(message, outcome.run_id, outcome.status, extra=extra)
    return Written([], set())


def _wait_for_locks_no_longer_than(milliseconds: int) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = {milliseconds}")


def _candidates(outcome: Outcome) -> Iterator[Outcome]:
    """Yield the outcome, and its replacements if it is refused: in ASCII, and at last without its texts."""
    yield outcome
    reason = f"the database refused to store its outcome, which was {outcome.status}"
    failed = outcome._replace(status=RunStatus.FAILED, result="", reason=_ascii(outcome.reason))
    yield failed._replace(
        error=_ascii("\n".join([reason, outcome.error]).strip()),
        traceback=_ascii(outcome.traceback),
        output=_question_marks(outcome.output),
    )
    yield failed._replace(
        error=reason, reason="", traceback="", output="", output_omitted=0, output_marks="", progress=None
    )


def write_all_live(updates: Sequence[LiveUpdate], holder: str) -> list[LiveUpdate]:
    """Write live updates together, or each alone if the database refuses one; return those that are written.

    The others are of runs that somebody else has locked.
    """
    try:
        locked = write_live(updates, holder)
    except REFUSALS:
        locked = _write_each_live(updates, holder)
    return [update for update in updates if update.run_id not in locked]


def _write_each_live(updates: Sequence[LiveUpdate], holder: str) -> set[int]:
    """Write each live update alone; if the database refuses its text, in ASCII, and at last without it."""
    locked = set[int]()
    for update in updates:
        for text in (update.text, _question_marks(update.text), ""):
            try:
                locked |= write_live([update._replace(text=text)], holder)
            except REFUSALS as error:
                logger.debug("run %s: %s", update.run_id, error, extra={"action": "output_refused"})
            else:
                break
    return locked


def _ascii(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()


def _question_marks(text: str) -> str:
    # The number of characters stays: readers who follow the output go on at an offset.
    return text.encode("ascii", "replace").decode()
