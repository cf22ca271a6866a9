"""Write starts, live output and outcomes of runs, the jobs' counters, and the next attempts."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple, Protocol

import orjson
from django.db import connection

from ...core.held import LiveUpdate, Outcome, Start
from ...core.retries import Retries, retry_delay
from ...core.runs import FAILURES, RunStatus, RunTrigger
from ...models import Run
from . import bulk
from .held import ACTIVE_SQL

logger = logging.getLogger("cronzimus.scheduler.store.outcomes")

# The columns of the tables that the statements below get as one parameter each.
START_COLUMNS = {"id": "number", "started_at": "time"}
FINISH_COLUMNS = {
    "id": "number", "status": "text", "reason": "text", "started_at": "time", "finished_at": "time", "result": "json",
    "error": "text", "traceback": "text", "output": "text", "output_omitted": "number", "output_marks": "text",
    "progress_done": "number", "progress_total": "number",
}  # fmt: skip
END_COLUMNS = {"id": "number", "status": "text", "finished_at": "time"}
LIVE_COLUMNS = {
    "id": "number", "kept": "number", "text": "text", "output_omitted": "number", "output_marks": "text",
    "progress_done": "number", "progress_total": "number",
}  # fmt: skip
COUNT_COLUMNS = {"id": "text", "runs": "number", "failures": "number", "status": "text", "at": "time"}
RETRY_COLUMNS = {"id": "number", "available_at": "time"}

TEXTS = ("reason", "error", "traceback", "output")
"""The texts of an outcome."""
PROGRESS_SQL = "progress_done = v.progress_done, progress_total = v.progress_total"
LIVE_SQL = (
    # Cut to the length that was known to be stored, so that nothing is appended twice after a lost answer.
    "output = CASE WHEN v.text = '' THEN cronzimus_run.output "
    "ELSE substr(cronzimus_run.output, 1, CAST(v.kept AS integer)) || v.text END, "
    "output_omitted = v.output_omitted, output_marks = v.output_marks, " + PROGRESS_SQL
)
FINISHED_SQL = (
    "status = v.status, started_at = v.started_at, finished_at = v.finished_at, result = v.result, "
    # The reason of a cancellation stays even if the function ended in another way.
    "reason = COALESCE(v.reason, cronzimus_run.reason), error = COALESCE(v.error, ''), "
    "traceback = COALESCE(v.traceback, ''), output = COALESCE(v.output, ''), "
    "output_omitted = v.output_omitted, output_marks = v.output_marks, " + PROGRESS_SQL
)
COPIED = (
    "job_id", "func", "args", "kwargs", "scheduled_time", "executor", "queue", "version", "timeout", "priority",
    "concurrency_group", "backfill_id", "traceparent",
)  # fmt: skip
"""The columns that an attempt copies from the one before."""


class Ended(Protocol):
    """The end of a run, as its job counts it."""

    @property
    def job_id(self) -> str:
        """The id of its job."""

    @property
    def status(self) -> RunStatus:
        """How it ended."""

    @property
    def finished_at(self) -> datetime:
        """When it ended."""


class Written(NamedTuple):
    """The outcomes that are stored, and the ids of runs whose rows somebody else has locked: their outcomes are not."""

    outcomes: list[Outcome]
    locked: set[int]


def write_starts(starts: Sequence[Start], holder: str) -> set[int]:
    """Write the starts of runs that `holder` still holds; return the ids of those that others have locked."""
    if not starts:
        return set()
    rows = [{"id": start.run_id, "started_at": start.started_at} for start in starts]
    found = _update(START_COLUMNS, rows, "status = 'running', started_at = v.started_at", holder)
    return _still_held({start.run_id for start in starts} - found, holder)


def write_live(updates: Sequence[LiveUpdate], holder: str) -> set[int]:
    """Write the output and the progress of running runs that `holder` still holds.

    Return the ids of the runs that others have locked.
    """
    if not updates:
        return set()
    rows = [
        {
            "id": update.run_id, "kept": update.kept, "text": update.text,
            "output_omitted": update.omitted or None, "output_marks": update.marks or None,
            **_progress(update.progress),
        }
        for update in updates
    ]  # fmt: skip
    found = _update(LIVE_COLUMNS, rows, LIVE_SQL, holder)
    return _still_held({update.run_id for update in updates} - found, holder)


def write_outcomes(outcomes: Sequence[Outcome], holder: str, now: datetime) -> Written:
    """Write the outcomes of runs, count them for their jobs, and queue retries; return the outcomes that are stored.

    These are the outcomes of runs that `holder` still held, and outcomes written earlier whose answer was lost.
    A run that was given up as lost stays lost. Runs whose rows somebody else has locked stay as they are.
    """
    if not outcomes:
        return Written([], set())
    found = _update(FINISH_COLUMNS, [_finished_row(outcome) for outcome in outcomes], FINISHED_SQL, holder)
    written = [outcome for outcome in outcomes if outcome.run_id in found]
    count_ended(written)
    rest = [outcome for outcome in outcomes if outcome.run_id not in found]
    locked = _still_held({outcome.run_id for outcome in rest}, holder)
    written += _written_before([outcome for outcome in rest if outcome.run_id not in locked])
    queue_retries([outcome.run_id for outcome in written if outcome.status in FAILURES], now)
    return Written(written, locked)


def _update(columns: dict[str, str], rows: Iterable[Mapping[str, object]], assigned: str, holder: str) -> set[int]:
    """Update the runs of `rows` that `holder` still holds and nobody else has locked; return their ids."""
    source, data = bulk.rows_as_table(columns, rows)
    # The empty text keeps the planners off the index `run_held`. The primary key finds each row at once; walking
    # through all held runs for each row of `v` makes the work grow with the square of the batch.
    chosen = bulk.unlocked_runs(source, f"scheduler_id || '' = %s AND cronzimus_run.status || '' IN ({ACTIVE_SQL})")
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE cronzimus_run SET {assigned} {chosen} RETURNING cronzimus_run.id",  # noqa: S608
            [data, holder],
        )
        return {run_id for (run_id,) in cursor.fetchall()}


def _still_held(run_ids: Collection[int], holder: str) -> set[int]:
    """Return the runs among `run_ids` that `holder` holds: they could not be written, so others lock them."""
    held = Run.objects.active().filter(pk__in=run_ids, scheduler_id=holder) if run_ids else Run.objects.none()
    return set(held.values_list("pk", flat=True))


def _finished_row(outcome: Outcome) -> dict[str, object]:
    row: dict[str, object] = {
        "id": outcome.run_id, "status": outcome.status, "started_at": outcome.started_at,
        "finished_at": outcome.finished_at,
    }  # fmt: skip
    # Most runs have no other values, and a column that is left out costs nothing.
    row |= {name: text for name in TEXTS if (text := getattr(outcome, name))}
    if outcome.output_omitted:
        row["output_omitted"] = outcome.output_omitted
    if outcome.output_marks:
        row["output_marks"] = outcome.output_marks
    if outcome.result:
        row["result"] = orjson.Fragment(outcome.result)
    return row | _progress(outcome.progress) if outcome.progress else row


def _progress(made: tuple[int, int | None] | None) -> dict[str, int | None]:
    done, total = made or (None, None)
    return {"progress_done": done, "progress_total": total}


def count_ended(outcomes: Sequence[Ended]) -> None:
    """Add ended runs to the counters of their jobs, in one statement for any number of jobs."""
    if not outcomes:
        return
    runs = Counter(outcome.job_id for outcome in outcomes)
    failures = Counter(outcome.job_id for outcome in outcomes if outcome.status in FAILURES)
    last = {outcome.job_id: outcome for outcome in sorted(outcomes, key=lambda outcome: outcome.finished_at)}
    rows = [
        {
            "id": job_id, "runs": runs[job_id], "failures": failures[job_id], "status": outcome.status,
            "at": outcome.finished_at,
        }
        for job_id, outcome in last.items()
    ]  # fmt: skip
    source, data = bulk.rows_as_table(COUNT_COLUMNS, rows)
    # Two schedulers may count the same jobs. Both lock them in the order of their ids, which avoids deadlocks.
    lock = 'ORDER BY j.id COLLATE "C" FOR NO KEY UPDATE OF j' if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH w AS (SELECT v.* FROM {source} JOIN cronzimus_job j ON j.id = v.id {lock}) "  # noqa: S608
            "UPDATE cronzimus_job SET run_count = run_count + w.runs, failure_count = failure_count + w.failures, "
            "last_status = w.status, last_run_at = w.at FROM w WHERE cronzimus_job.id = w.id",
            [data],
        )


def _written_before(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes that are stored already, and log that the other runs had been given up."""
    on_record = _on_record(outcomes) if outcomes else set()
    for outcome in outcomes:
        if outcome.run_id not in on_record:
            extra = {"action": "run_not_held", "run": outcome.run_id}
            message = "run %s ended as %s, but it had been given up before"
            logger.warning(message, outcome.run_id, outcome.status, extra=extra)
    return [outcome for outcome in outcomes if outcome.run_id in on_record]


def _on_record(outcomes: Sequence[Outcome]) -> set[int]:
    rows = [{"id": ended.run_id, "status": ended.status, "finished_at": ended.finished_at} for ended in outcomes]
    source, data = bulk.rows_as_table(END_COLUMNS, rows)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT r.id FROM {source} JOIN cronzimus_run r ON r.id = v.id "  # noqa: S608
            "WHERE r.status = v.status AND r.finished_at = v.finished_at",
            [data],
        )
        return {run_id for (run_id,) in cursor.fetchall()}


def queue_retries(run_ids: Sequence[int], now: datetime) -> None:
    """Queue the next attempt of each of the failed runs `run_ids` whose job has one left.

    Two statements for any number of runs. Call it in the transaction in which the runs ended.
    """
    if not run_ids:
        return
    ended = Run.objects.filter(
        id__in=run_ids, status__in=FAILURES, cancel_requested_at__isnull=True, job__retries__isnull=False
    )
    rows = []
    for run_id, attempt, definition in ended.values_list("id", "attempt", "job__retries"):
        delay = _retry_delay(definition, attempt, run_id)
        if delay is not None:
            rows.append({"id": run_id, "available_at": now + delay})
    if rows:
        source, data = bulk.rows_as_table(RETRY_COLUMNS, rows)
        with connection.cursor() as cursor:
            cursor.execute(_retries_sql(connection.vendor, source), [RunTrigger.RETRY, bulk.instant(now), data])


def _retry_delay(definition: Any, attempt: int, run_id: int) -> timedelta | None:
    try:
        return retry_delay(Retries.of(definition), attempt, key=str(run_id))
    except (TypeError, ValueError, OverflowError):
        # One damaged row must not keep the outcomes of other runs from being written.
        logger.exception("run %s: the retries of its job are invalid", run_id, extra={"action": "job_broken"})
        return None


@cache
def _retries_sql(vendor: str, source: str) -> str:
    at, copied = bulk.INSTANT_SQL[vendor], bulk.qualified("r", COPIED)
    return (
        f"INSERT INTO cronzimus_run ({', '.join(COPIED)}, status, reason, trigger, actor, attempt, fire_times, "  # noqa: S608
        "queued_at, available_at, error, traceback, output) "
        f"SELECT {copied}, 'queued', '', %s, '', r.attempt + 1, r.fire_times, {at}, v.available_at, '', '', '' "
        f"FROM {source} JOIN cronzimus_run r ON r.id = v.id WHERE true "
        "ON CONFLICT (job_id, scheduled_time, attempt) DO NOTHING"
    )
