"""Write what came of runs, behind them and many at a time."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

import orjson
from django.db import connection, transaction

from ..core.retries import RETRIED
from ..worker.runner import Activity
from .store import bulk
from .store.held import ACTIVE_SQL, Outcome
from .store.retries import queue_retries

logger = logging.getLogger("cronzimus.scheduler.recorder")

FINISHED = {
    "id": "number", "status": "text", "reason": "text", "started_at": "time", "finished_at": "time", "result": "json",
    "error": "text", "traceback": "text", "output": "text", "progress_done": "number", "progress_total": "number",
}  # fmt: skip
"""The columns of the table of runs that have ended."""
STARTED = {"id": "number", "started_at": "time"}
"""The columns of the table of runs that have started."""
ENDED = {"id": "number", "status": "text", "finished_at": "time"}
"""The columns of the table of ends that are looked for on record."""
LIVE = {"id": "number", "kept": "number", "more": "text", "progress_done": "number", "progress_total": "number"}
"""The columns of the table of what running runs have written."""
COUNTED = {"id": "text", "runs": "number", "failures": "number", "status": "text", "at": "time"}
"""The columns of the table by which jobs count."""
LIVE_AT_ONCE = 4_000_000
"""Characters that one write of what running runs wrote may come to: the database writes anew what was there before,
and the loop waits for it."""


class Shown(NamedTuple):
    """What of a running run is on record: characters of its output, its progress; and since when (monotonic)."""

    size: int = 0
    progress: tuple[int, int | None] | None = None
    at: float = 0.0


NOTHING = Shown()
"""Of a running run nothing is on record yet."""


class Recorder:
    """Collects starts and outcomes from the threads that run, until the loop flushes them to the database.

    What it can not write, because the database is gone, it keeps and writes later. A run is written only while the
    scheduler still holds it: one given up for lost stays lost.
    """

    def __init__(self, told: Callable[[int | None], None]) -> None:
        """Call `told` whenever there is more to write: with the id of a run that has ended, or None for a start."""
        self._told = told
        # Filled by the threads, emptied by the loop; single operations, so that no thread holds a lock.
        self._ended: deque[Outcome] = deque()
        self._live: dict[int, Activity] = {}
        # Those of `_live` whose start is not written yet.
        self._starting: dict[int, Activity] = {}
        # The loop's own: what it has taken from the threads and not written yet.
        self._finished: list[Outcome] = []
        self._shown: dict[int, Shown] = {}

    @property
    def dirty(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._starting or self._ended or self._finished)

    @property
    def running(self) -> int:
        """How many runs are being called now."""
        return len(self._live)

    def unwritten(self) -> set[int]:
        """Return the ids of the runs that ended and whose outcome is not written yet."""
        return {outcome.run_id for outcome in (*self._finished, *self._ended.copy())}

    def cancel(self, run_id: int, reason: str) -> None:
        """Let a function that is being called in a thread know that it is to end."""
        activity = self._live.get(run_id)
        if activity is not None:
            activity.cancel(reason)

    def activities(self) -> list[Activity]:
        """Return the runs that are being called now."""
        return list(self._live.copy().values())

    def started(self, activity: Activity) -> None:
        """Note that a run has started."""
        self._live[activity.run.id] = self._starting[activity.run.id] = activity
        self._told(None)

    def finished(self, outcome: Outcome) -> None:
        """Note what came of a run."""
        self._ended.append(outcome)
        # A run that ended before its start was written is written once.
        self._starting.pop(outcome.run_id, None)
        self._live.pop(outcome.run_id, None)
        self._told(outcome.run_id)

    def flush(self, scheduler_id: str, now: datetime) -> list[Outcome]:
        """Write all that was noted, and return the outcomes that are on record then. Raises as `flushing`."""
        with self.flushing(scheduler_id, now) as written:
            return written

    @contextmanager
    def flushing(self, scheduler_id: str, now: datetime) -> Iterator[list[Outcome]]:
        """Write all that was noted, in a transaction that ends with the block; gives the outcomes that are on record.

        Those are the ones of runs that `scheduler_id` held, and of a write before whose answer was lost. Runs that did
        not succeed are queued again where their jobs have retries. Raises what the database raises; nothing is lost
        then, and what the block wrote is undone with the rest.
        """
        self._finished += [self._ended.popleft() for _ in range(len(self._ended))]
        started = list(self._starting.copy().values())
        with transaction.atomic():
            yield self._write(started, scheduler_id, now) if started or self._finished else []
        for activity in started:
            self._starting.pop(activity.run.id, None)
        for outcome in self._finished:
            self._shown.pop(outcome.run_id, None)
        self._finished = []

    def _write(self, started: Sequence[Activity], scheduler_id: str, now: datetime) -> list[Outcome]:
        _write_started(started, scheduler_id)
        written = _write_finished(self._finished, scheduler_id)
        failed = [outcome.run_id for outcome in written if outcome.status in RETRIED]
        if failed:
            queue_retries(failed, now)
        return written

    def flush_live(self, scheduler_id: str) -> float:
        """Write what running runs wrote and how far they came since this was last done; return the seconds it took."""
        began, room = time.perf_counter(), LIVE_AT_ONCE
        rows: list[dict[str, object]] = []
        shown: dict[int, Shown] = {}
        # Who was shown longest ago comes first: whom there is no room for is among the next.
        for activity in sorted(self.activities(), key=lambda activity: self._shown_of(activity).at):
            before, size, progress = self._shown_of(activity), activity.output.size, activity.context.progress_made
            if before[:2] == (size, progress):
                continue
            room -= size
            if rows and room < 0:
                break
            more = activity.output.getvalue()[before.size :] if size > before.size else ""
            rows.append({"id": activity.run.id, "kept": before.size, "more": more, **_progress(progress)})
            shown[activity.run.id] = Shown(size, progress, began)
        if rows:
            _update(LIVE, rows, f"{OUTPUT_SQL}, {PROGRESS_SQL}", scheduler_id)
            self._shown |= shown
        return time.perf_counter() - began

    def _shown_of(self, activity: Activity) -> Shown:
        return self._shown.get(activity.run.id, NOTHING)


TEXTS = ("reason", "error", "traceback", "output")
"""The texts of an outcome."""
# What is there is cut to what was known to be: that of a write whose answer was lost is not there twice.
OUTPUT_SQL = (
    "output = CASE WHEN v.more = '' THEN cronzimus_run.output "
    "ELSE substr(cronzimus_run.output, 1, CAST(v.kept AS integer)) || v.more END"
)
"""Appends what is new of an output."""
PROGRESS_SQL = "progress_done = v.progress_done, progress_total = v.progress_total"
"""Writes how far a run has come."""
ENDED_SQL = (
    "status = v.status, started_at = v.started_at, finished_at = v.finished_at, result = v.result, "
    # Why a run was to be cancelled stays on record where its function ended otherwise.
    "reason = COALESCE(v.reason, cronzimus_run.reason), error = COALESCE(v.error, ''), "
    "traceback = COALESCE(v.traceback, ''), output = COALESCE(v.output, ''), " + PROGRESS_SQL
)
"""Writes how a run ended."""


def _write_started(started: Sequence[Activity], scheduler_id: str) -> None:
    if started:
        rows = [{"id": activity.run.id, "started_at": activity.started_at} for activity in started]
        _update(STARTED, rows, "status = 'running', started_at = v.started_at", scheduler_id)


def _write_finished(outcomes: Sequence[Outcome], scheduler_id: str) -> list[Outcome]:
    """Write how runs ended, and return the outcomes that are on record then."""
    if not outcomes:
        return []
    held = set(_update(FINISHED, [_finished_row(outcome) for outcome in outcomes], ENDED_SQL, scheduler_id))
    written = [outcome for outcome in outcomes if outcome.run_id in held]
    _count(written)
    return written + _written_before([outcome for outcome in outcomes if outcome.run_id not in held])


def _written_before(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return those that are on record, of a write whose answer was lost, and say that the others were given up."""
    on_record = _on_record(outcomes) if outcomes else set()
    for outcome in outcomes:
        if outcome.run_id not in on_record:
            extra = {"action": "run_not_held", "run": outcome.run_id}
            logger.warning("run %s ended %s, but was given up before", outcome.run_id, outcome.status, extra=extra)
    return [outcome for outcome in outcomes if outcome.run_id in on_record]


def _on_record(outcomes: Sequence[Outcome]) -> set[int]:
    rows = [{"id": ended.run_id, "status": ended.status, "finished_at": ended.finished_at} for ended in outcomes]
    source, data = bulk.rows_as_table(ENDED, rows)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT r.id FROM {source} JOIN cronzimus_run r ON r.id = v.id "  # noqa: S608
            "WHERE r.status = v.status AND r.finished_at = v.finished_at",
            [data],
        )
        return {run_id for (run_id,) in cursor.fetchall()}


def _finished_row(outcome: Outcome) -> dict[str, object]:
    row: dict[str, object] = {
        "id": outcome.run_id, "status": outcome.status, "started_at": outcome.started_at,
        "finished_at": outcome.finished_at,
    }  # fmt: skip
    # Most runs leave nothing more to be said: what is left out costs nothing on its way, nor in the database.
    texts = zip(TEXTS, (outcome.reason, outcome.error, outcome.traceback, outcome.output), strict=True)
    row |= {name: text for name, text in texts if text}
    if outcome.result:
        row["result"] = orjson.Fragment(outcome.result)
    return row | _progress(outcome.progress) if outcome.progress else row


def _progress(made: tuple[int, int | None] | None) -> dict[str, int | None]:
    done, total = made or (None, None)
    return {"progress_done": done, "progress_total": total}


def _update(
    columns: dict[str, str], rows: Iterable[Mapping[str, object]], assigned: str, scheduler_id: str
) -> list[int]:
    """Update the runs of `rows` that `scheduler_id` still holds, and return their ids."""
    source, data = bulk.rows_as_table(columns, rows)
    with connection.cursor() as cursor:
        # The empty text keeps the planners off the index `run_held`: the primary key finds each row at once, while a
        # walk through all that is held, for each row of `v`, makes the work grow with the square of the batch.
        cursor.execute(
            f"UPDATE cronzimus_run SET {assigned} FROM {source} WHERE cronzimus_run.id = v.id "  # noqa: S608
            f"AND scheduler_id || '' = %s AND cronzimus_run.status || '' IN ({ACTIVE_SQL}) RETURNING cronzimus_run.id",
            [data, scheduler_id],
        )
        return [run_id for (run_id,) in cursor.fetchall()]


def _count(outcomes: Sequence[Outcome]) -> None:
    """Add `outcomes` to their jobs' counters."""
    runs = Counter(outcome.job_id for outcome in outcomes)
    failures = Counter(outcome.job_id for outcome in outcomes if outcome.status in RETRIED)
    last = {outcome.job_id: outcome for outcome in sorted(outcomes, key=lambda outcome: outcome.finished_at)}
    rows = [
        {
            "id": job_id, "runs": runs[job_id], "failures": failures[job_id], "status": outcome.status,
            "at": outcome.finished_at,
        }
        for job_id, outcome in last.items()
    ]  # fmt: skip
    source, data = bulk.rows_as_table(COUNTED, rows)
    # Two schedulers may count the same jobs: both lock them in the order of their ids, so that neither waits in a ring.
    lock = 'ORDER BY j.id COLLATE "C" FOR NO KEY UPDATE OF j' if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH w AS (SELECT v.* FROM {source} JOIN cronzimus_job j ON j.id = v.id {lock}) "  # noqa: S608
            "UPDATE cronzimus_job SET run_count = run_count + w.runs, failure_count = failure_count + w.failures, "
            "last_status = w.status, last_run_at = w.at FROM w WHERE cronzimus_job.id = w.id",
            [data],
        )
