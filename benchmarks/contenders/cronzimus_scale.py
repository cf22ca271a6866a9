"""Cronzimus with many rows: `prepare` and `add_history` write them, `statements` times what the scheduler asks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from benchmarks import child
from benchmarks.history_rows import SPAN, insert_runs
from benchmarks.partitions import extending, partitioning

TIMES = 7
"""Repetitions of each statement, after one that does not count."""
BATCH = 100
"""Jobs of one claim, and runs whose outcomes are written at once."""
STEADY = 100
"""Jobs that fire every second while the table of runs is partitioned."""


def prepare(jobs: int, partitions: int = 0) -> None:
    """Make the database with so many due jobs, and a pause; with `partitions`, the runs have some of 30 days each."""
    from django.core.management import call_command

    from jobs.models import Control, Job

    call_command("migrate", verbosity=0)
    now = datetime.now(UTC).replace(microsecond=0)
    Control.objects.update_or_create(pk=1, defaults={"paused": True})
    # One row with all defaults, of which the others are copies with ids of their own. No two are due at one instant of
    # the clock's second, and no two intervals count from the same one.
    Job.objects.create(
        id="model", name="job", func="benchmarks.functions:noop", trigger={"type": "interval", "seconds": 3600},
        anchor=now, next_run_time=now - timedelta(minutes=1),
    )  # fmt: skip
    copied = {
        "id": "'job-' || lpad(n::text, GREATEST(5, length(n::text)), '0')",
        "next_run_time": "next_run_time - n % 60 * interval '1 second'",
        "anchor": "next_run_time - n % 60 * interval '1 second' - (1 + n / 60) * interval '1 hour'",
    }
    columns = [field.column for field in Job._meta.concrete_fields]
    values = ", ".join(copied.get(name, name) for name in columns)
    with _cursor() as cursor:
        cursor.execute(
            f"INSERT INTO cronzimus_job ({', '.join(columns)}) "  # noqa: S608
            f"SELECT {values} FROM cronzimus_job, generate_series(0, {jobs - 1}) AS numbers(n) ORDER BY n"
        )
        cursor.execute("DELETE FROM cronzimus_job WHERE id = 'model'")
        if partitions:
            for statement in (*partitioning(now - partitions * SPAN).values(), extending(SPAN, SPAN)):
                cursor.execute(statement)
        cursor.execute("VACUUM ANALYZE")


def prepare_steady() -> None:
    """Let the first jobs fire every second, and no other job."""
    from jobs.models import Control, Job

    now = datetime.now(UTC).replace(microsecond=0)
    Job.objects.update(next_run_time=now + timedelta(days=2))
    trigger = {"type": "interval", "seconds": 1}
    Job.objects.filter(pk__lt=f"job-{STEADY:05}").update(anchor=now, next_run_time=now, trigger=trigger)
    Control.objects.update(paused=False)
    with _cursor() as cursor:
        cursor.execute("VACUUM ANALYZE cronzimus_job")


def add_history(jobs: int, runs: int, spans_ago: list[int]) -> None:
    """Write `runs` runs in each of the spans of 30 days that ended so many spans ago."""
    now = datetime.now(UTC).replace(microsecond=0)
    with _cursor() as cursor:
        for ago in spans_ago:
            cursor.execute(insert_runs("postgresql", jobs, runs, now - ago * SPAN))
        cursor.execute("VACUUM ANALYZE cronzimus_run")


# --- what the scheduler asks -----------------------------------------------------------------------------------------


def statements() -> None:
    """Print the median of what the scheduler does in each tick, in milliseconds; all of it is undone."""
    from jobs.models import Run
    from jobs.scheduler.store.connection import loop_connection

    with loop_connection():
        newest = Run.objects.order_by("-id").values_list("id", flat=True)[:1].first() or 0
        for name, call in _work(datetime.now(UTC), newest).items():
            _undone(call)
            print(json.dumps({"question": name, "milliseconds": median(_undone(call) for _ in range(TIMES)) * 1000}))


def _work(now: datetime, newest: int) -> dict[str, Callable[[], Callable[[], Any]]]:
    """Return what is timed, by its name: each prepares something, and returns the call that counts."""
    from jobs.core.held import Outcome
    from jobs.core.runs import RunStatus
    from jobs.models import Job, RollUp
    from jobs.scheduler.store import claims, outcomes, recovery, retention, statistics
    from jobs.scheduler.store.work import pending_work

    def claim() -> claims.Claimed:
        return claims.claim_due("bench", {"thread": BATCH}, now)

    def record() -> Callable[[], Any]:
        ended = [
            Outcome(run.id, run.job_id, run.executor, RunStatus.SUCCEEDED, now, now, run.scheduled_time)
            for run in claim().runs
        ]
        return lambda: outcomes.write_outcomes(ended, "bench", now)

    def lose() -> Callable[[], Any]:
        claim()
        return lambda: recovery.lose(["bench"], "timed", now)

    def count() -> Callable[[], Any]:
        RollUp.objects.update_or_create(
            pk=1, defaults={"counted": newest - statistics.MOST_RUNS, "seen": newest, "seen_at": now}
        )
        return lambda: statistics.roll_up(now)

    job = Job(id="job-00000", keep_days=15, keep_failed_days=None)
    return {
        "look for work": lambda: lambda: pending_work("bench"),
        f"claim {BATCH} fire times": lambda: claim,
        f"record {BATCH} outcomes": record,
        "recovery, nothing to do": lambda: lambda: recovery.recover(now, lambda: now),
        f"recovery of {BATCH} runs": lose,
        f"statistics of {statistics.MOST_RUNS:,} runs": count,
        "prune 1,000 runs": lambda: lambda: retention.prune_job(job, now),
        "look for runs of removed jobs": lambda: lambda: retention.removed_jobs("", 200),
    }


def _undone(prepare: Callable[[], Callable[[], Any]]) -> float:
    from django.db import transaction

    with transaction.atomic():
        call = prepare()
        started = time.perf_counter()
        call()
        spent = time.perf_counter() - started
        transaction.set_rollback(True)
    return spent


@contextmanager
def _cursor() -> Iterator[Any]:
    from django.db import connection

    with connection.cursor() as cursor:
        yield cursor


if __name__ == "__main__":
    child.set_up_site()
    child.main({
        "prepare": prepare, "prepare-steady": prepare_steady, "add-history": add_history,
        "statements": statements,
    })  # fmt: skip
