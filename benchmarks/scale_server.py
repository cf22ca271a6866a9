"""What a PostgreSQL server does while it is measured: its statements, its waits and its log; copies of a database."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.databases import PostgreSQL

SAMPLE = 0.05
"""Seconds between two looks at what the server's processes do."""
KNOWN = {
    "claim: look for due jobs of an executor that is not full": "SELECT %WHERE next_run_time <=%timeout IS NOT NULL%",
    "claim: read and lock due jobs": "SELECT %FROM cronzimus_job WHERE next_run_time <=%",
    "claim: look for active runs": "SELECT r.job_id, r.id, r.scheduler_id%",
    "claim: insert runs": "INSERT INTO cronzimus_run (job_id, func%",
    "claim: move jobs on": "UPDATE cronzimus_job SET next_run_time = %",
    "record: outcomes of runs": "UPDATE cronzimus_run SET status = v.status%",
    "record: starts of runs": "UPDATE cronzimus_run SET status = $1%started_at = v.started_at%",
    "record: count for jobs": "WITH w AS (SELECT v.*%",
    "look for work": "SELECT (SELECT next_run_time%",
    "commit": "COMMIT%",
}
"""The statements of the loop, as patterns of LIKE."""
OTHER = "all others"
ACTIVITY = (
    "SELECT state, COALESCE(wait_event_type, 'CPU') FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)


@dataclass
class Work:
    """What the server did: milliseconds and calls by statement, bytes of its log, and what its processes waited for.

    `others` are the slowest of the further statements: milliseconds, calls and text. `busy` is the number of the
    server's processes that worked at once, on average; `waits` has what they did, by share.
    """

    milliseconds: dict[str, float] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    others: list[tuple[float, int, str]] = field(default_factory=list)
    log_bytes: float = 0.0
    busy: float = 0.0
    waits: dict[str, float] = field(default_factory=dict)


class Copy(PostgreSQL):
    """A copy of a database that nobody is connected to."""

    def __init__(self, original: PostgreSQL) -> None:
        """Copy `original` when it is entered."""
        self._original = original

    def _made(self) -> str:
        # The files are copied, and not written into the log row by row.
        return f"{super()._made()} TEMPLATE {self._original.name} STRATEGY file_copy"


@contextmanager
def watched(database: PostgreSQL) -> Iterator[Work]:
    """Watch the server within the context; the returned object is filled at its end."""
    work, ended = Work(), threading.Event()
    with database.connected() as connection:
        counted = _begin(connection)
        sampler = threading.Thread(target=_sample, args=(database, work, ended))
        sampler.start()
        try:
            yield work
        finally:
            ended.set()
            sampler.join()
        if counted:
            _count(connection, work)


def _begin(connection: Any) -> bool:
    """Tell whether the server counts statements, and let it begin anew for this database."""
    (loaded,) = connection.execute("SHOW shared_preload_libraries").fetchone()
    if "pg_stat_statements" not in loaded:
        return False
    connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    connection.execute("SELECT pg_stat_statements_reset(0, oid, 0) FROM pg_database WHERE datname = current_database()")
    return True


def _count(connection: Any, work: Work) -> None:
    cases = " ".join("WHEN query LIKE %s THEN %s" for _ in KNOWN)
    rows = connection.execute(
        f"SELECT CASE {cases} END, query, total_exec_time, calls, wal_bytes "  # noqa: S608
        "FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = current_database() "
        "AND query NOT LIKE '%%pg_stat%%' ORDER BY total_exec_time DESC",
        [part for name, pattern in KNOWN.items() for part in (pattern, name)],
    ).fetchall()
    for name, query, spent, calls, log_bytes in rows:
        if name is None:
            work.others.append((spent, calls, query[:200]))
        name = name or OTHER
        work.milliseconds[name] = work.milliseconds.get(name, 0.0) + spent
        work.calls[name] = work.calls.get(name, 0) + calls
        work.log_bytes += float(log_bytes)
    del work.others[10:]


def _sample(database: PostgreSQL, work: Work, ended: threading.Event) -> None:
    looks, found = 0, Counter[str]()
    with database.connected() as connection:
        while not ended.wait(SAMPLE):
            looks += 1
            found.update(wait for state, wait in connection.execute(ACTIVITY).fetchall() if state == "active")
    busy = sum(found.values())
    work.busy = busy / looks if looks else 0.0
    work.waits = {wait: number / busy for wait, number in found.most_common()}
