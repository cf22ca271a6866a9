"""A history for benchmarks: statements that write the jobs and runs of a month."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

SPAN = timedelta(days=30)
"""From the first run's scheduled time to the last one's."""
BUSY = "job-00000"
"""The job of a fifth of all runs; nine more have a third together, and the others share the rest."""
STATUSES = {
    "succeeded": 920, "failed": 955, "timed_out": 965, "cancelled": 975, "lost": 978, "skipped": 988, "missed": 1000,
}  # fmt: skip
"""The upper thousandth of runs for each status; the runs of the last quarter have all succeeded."""
JOB = (
    "CASE WHEN n * 7919 % 1000 < 200 THEN 0 WHEN n * 7919 % 1000 < 560 THEN 1 + n * 31 % 9 "
    "ELSE 10 + n * 31 % ({jobs} - 10) END"
)
DIED = "{kind} BETWEEN 920 AND 977"


def insert_runs(vendor: str, jobs: int, runs: int, last: datetime) -> str:
    """Return the statement that writes `runs` finished runs of `jobs` jobs, the last one scheduled at `last`."""
    step, first = SPAN / runs, last.astimezone(UTC).replace(tzinfo=None) - SPAN
    kind = f"(CASE WHEN n < {runs * 3 // 4} THEN n * 613 % 1000 ELSE 0 END)"
    status = " ".join(f"WHEN {kind} < {edge} THEN '{name}'" for name, edge in STATUSES.items())
    died, by_hand = DIED.format(kind=kind), f"{kind} % 200 = 3"
    job = JOB.format(jobs=jobs)
    if vendor == "postgresql":
        numbers = f"generate_series(0::bigint, {runs - 1}) AS numbers(n)"
        at = f"timestamptz '{first}+00' + n * interval '{step.total_seconds():.6f} seconds'"
        end, job_id = f"{at} + interval '1 second'", f"'job-' || lpad(({job})::text, 5, '0')"
        with_numbers, empty = "", "'[]'::jsonb, '{}'::jsonb"
    else:
        numbers = "numbers"
        at = _sqlite_time(f"n * {step.total_seconds():.6f}", first)
        end, job_id = _sqlite_time(f"n * {step.total_seconds():.6f} + 1", first), f"printf('job-%05d', {job})"
        with_numbers = f"WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers LIMIT {runs}) "  # noqa: S608
        empty = "'[]', '{}'"
    output, trace = "line of output, as functions print them\n" * 3, '  File "x.py", line 1, in f\n    call()\n' * 15
    return (
        f"{with_numbers}INSERT INTO cronzimus_run (job_id, func, status, reason, trigger, actor, attempt, fire_times, "  # noqa: S608
        "scheduled_time, queued_at, started_at, finished_at, scheduler_id, executor, priority, concurrency_group, "
        "args, kwargs, error, traceback, output) "
        f"SELECT {job_id}, 'benchmarks.functions:noop', CASE {status} END, '', "
        f"CASE WHEN {kind} % 50 = 7 THEN 'retry' WHEN {by_hand} THEN 'manual' ELSE 'schedule' END, "
        f"CASE WHEN {by_hand} THEN 'ana' ELSE '' END, CASE WHEN {kind} % 50 = 7 THEN 2 ELSE 1 END, 1, "
        f"{at}, {at}, {at}, {end}, 'host-1-' || n % 3, 'thread', 0, '', {empty}, "
        f"CASE WHEN {died} THEN 'ValueError: ' || n ELSE '' END, CASE WHEN {died} THEN '{trace}' ELSE '' END, "
        f"'{output}' FROM {numbers} ORDER BY n"
    )


def _sqlite_time(seconds: str, first: datetime) -> str:
    # As Django writes it: strftime has milliseconds at most.
    whole = f"datetime('{first:%Y-%m-%d %H:%M:%S}', '+' || CAST({seconds} AS INTEGER) || ' seconds')"
    return f"{whole} || printf('.%06d', CAST(({seconds}) * 1000000 AS INTEGER) % 1000000)"
