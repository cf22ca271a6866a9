"""Write a batch that the database refused: each outcome alone, and one that is refused again as failed.

A database refuses a value that it cannot store: a character that its encoding lacks, a number or a text that is too
large. Such an outcome must not prevent the others from being written, and must not be tried for ever.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from django.db import DataError, IntegrityError, NotSupportedError, transaction

from ...core.runs import RunStatus
from .held import LiveUpdate, Outcome
from .outcomes import write_live, write_outcomes

logger = logging.getLogger("cronzimus.scheduler.store.refusals")

REFUSALS = (DataError, IntegrityError, NotSupportedError, TypeError, ValueError)
"""The errors that are due to the values. The third is that of SQL_ASCII, the last two are raised by the encoding."""


def write_each_outcome(
    outcomes: Sequence[Outcome], scheduler_id: str, now: datetime, observe: Callable[[list[Outcome], datetime], None]
) -> list[Outcome]:
    """Write each outcome in a transaction of its own, and call `observe` with it there.

    An outcome that the database refuses is written as failed, with the reason. Returns the outcomes that are stored.
    """
    written: list[Outcome] = []
    for outcome in outcomes:
        written += _write_alone(outcome, scheduler_id, now, observe)
    return written


def _write_alone(
    outcome: Outcome, scheduler_id: str, now: datetime, observe: Callable[[list[Outcome], datetime], None]
) -> list[Outcome]:
    for candidate in _candidates(outcome):
        try:
            with transaction.atomic():
                written = write_outcomes([candidate], scheduler_id, now)
                observe(written, now)
        except REFUSALS as error:
            message = "the database refused how run %s ended: %s"
            logger.error(message, outcome.run_id, _ascii(str(error)), extra={"action": "outcome_refused"})
        else:
            return written
    raise DataError(f"the database refuses every outcome of run {outcome.run_id}")


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


def write_each_live(updates: Sequence[LiveUpdate], scheduler_id: str) -> None:
    """Write each live update alone; if the database refuses its text, in ASCII, and at last without it."""
    for update in updates:
        for text in (update.text, _question_marks(update.text), ""):
            try:
                write_live([update._replace(text=text)], scheduler_id)
            except REFUSALS as error:
                logger.debug("run %s: %s", update.run_id, error, extra={"action": "output_refused"})
            else:
                break


def _ascii(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()


def _question_marks(text: str) -> str:
    # The number of characters stays: readers who follow the output go on at an offset.
    return text.encode("ascii", "replace").decode()
