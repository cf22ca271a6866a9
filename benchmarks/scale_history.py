"""What is asked of a long history, in one table or in parts, and what it costs to change from the one to the other."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks import harness, tables
from benchmarks.databases import PostgreSQL
from benchmarks.history_rows import SPAN
from benchmarks.partitions import dropping, extending, partitioning
from benchmarks.scale_server import Copy

SCALE = harness.Contender("cronzimus", "cronzimus_scale", ("postgresql",))
HISTORY = harness.Contender("cronzimus", "cronzimus_history", ("postgresql",))
SPANS = 10
"""A history has as many spans of 30 days, each with as many runs, and each a partition if it has any."""
AT_ONCE = 1_000_000
"""Runs that one process writes: its time is limited."""
BUSY_JOBS = 1000
"""The jobs that have runs in the history."""
ASKED = (
    "runs", "runs, half a history in", "runs, failed", "runs, of an hour", "runs, of the busiest job",
    "runs, of the busiest job, lost", "a run", "its log", "jobs", "ready", "scheduler",
)  # fmt: skip
"""The pages that are shown."""
PARTITIONS, RUNS = "SELECT count(*) FROM cronzimus_run_partitions()", "SELECT count(*) FROM cronzimus_run"
SIZE = "SELECT pg_database_size(current_database())"
SETTLING = 2.0
"""Seconds for the scheduler to begin, and for the last runs to be recorded."""
QUIET = 5.0
"""Seconds before and after the change, in which the runs in time are counted."""
WRITE = "UPDATE cronzimus_run SET reason = 'written' WHERE id = {}"
DELAYS = (
    "SELECT count(*), max(EXTRACT(EPOCH FROM started_at - scheduled_time))::float8 FROM cronzimus_run "
    "WHERE id > {} AND scheduled_time >= '{}' AND scheduled_time < '{}' AND status = 'succeeded'"
)


@dataclass(frozen=True)
class Layout:
    """The shape of the table of runs."""

    name: str
    partitions: int = 0


LAYOUTS = {"plain": Layout("one table"), "partitioned": Layout("partitions", SPANS)}
"""The shapes by the names of their parts of the benchmark."""


@dataclass
class Told:
    """What was measured of a layout: milliseconds by question, the deletion of old runs, and the change to partitions.

    `steps` are the statements of the change: what each does, its seconds, and the longest wait of others for it.
    """

    layout: str
    milliseconds: dict[str, float] = field(default_factory=dict)
    bytes: int = 0
    pruned: dict[str, float] = field(default_factory=dict)
    dropped: dict[str, float] = field(default_factory=dict)
    steps: list[tuple[str, float, float]] = field(default_factory=list)
    change: dict[str, Any] = field(default_factory=dict)


@contextmanager
def filled(layout: Layout, jobs: int, runs: int) -> Iterator[PostgreSQL]:
    """Make a database with so many due jobs and finished runs, for copies of it."""
    with PostgreSQL() as database:
        harness.call(SCALE, database, "prepare", jobs=jobs, partitions=layout.partitions)
        started_at = time.monotonic()
        if runs:
            each, spans = runs // SPANS, list(reversed(range(SPANS)))
            for part in [spans] if runs <= AT_ONCE else [[span] for span in spans]:
                harness.call(SCALE, database, "add-history", jobs=min(jobs, BUSY_JOBS), runs=each, spans_ago=part)
            print(f"{layout.name}: {runs:,} runs in {time.monotonic() - started_at:.0f} s", file=sys.stderr)
        yield database


def measured(original: PostgreSQL, layout: Layout, seconds: int) -> Told:
    """Ask the questions of a history, delete old runs, and partition it if it is one table."""
    told = Told(layout.name)
    with Copy(original) as database:
        told.bytes = database.count(SIZE)
        for contender, action in ((SCALE, "statements"), (HISTORY, "pages")):
            for line in harness.call(contender, database, action).splitlines():
                answer = json.loads(line)
                if action == "statements" or answer["question"] in ASKED:
                    told.milliseconds[answer["question"]] = answer["milliseconds"]
    with Copy(original) as database:
        told.pruned = json.loads(harness.call(HISTORY, database, "prune", seconds=seconds))
        if layout.partitions:
            told.dropped = _dropped(database)
    if not layout.partitions:
        with Copy(original) as database:
            _change(database, told)
    return told


def _dropped(database: PostgreSQL) -> dict[str, float]:
    """Drop the partitions of the oldest half of the history."""
    before = datetime.now(UTC) - SPANS // 2 * SPAN
    old = [database.count(question) for question in (PARTITIONS, RUNS, SIZE)]
    with database.connected() as connection:
        started_at = time.monotonic()
        connection.execute(dropping(before))
        seconds = time.monotonic() - started_at
    new = [database.count(question) for question in (PARTITIONS, RUNS, SIZE)]
    partitions, runs, size = (before - after for before, after in zip(old, new, strict=True))
    return {"partitions": partitions, "seconds": seconds, "runs": runs, "bytes": size}


# --- the change to partitions ----------------------------------------------------------------------------------------


def _change(database: PostgreSQL, told: Told) -> None:
    """Partition the table while a scheduler works, and another process reads and writes it."""
    harness.call(SCALE, database, "prepare-steady")
    newest = database.count("SELECT max(id) FROM cronzimus_run")
    until = datetime.now(UTC) + timedelta(days=1)
    size = database.count(SIZE)
    with harness.running("cronzimus", database, "run") as child:
        child.wait_for("ready")
        time.sleep(SETTLING)
        began = _second()
        time.sleep(QUIET)
        steps = partitioning(until) | {"add partitions": extending(SPAN, 3 * SPAN)}
        with database.connected() as connection, _Others(database, newest) as others:
            for name, statement in steps.items():
                others.longest, started_at = 0.0, time.monotonic()
                connection.execute(statement)
                told.steps.append((name, time.monotonic() - started_at, others.longest_yet()))
        time.sleep(QUIET)
        ended = _second()
        time.sleep(SETTLING)
        child.check()
    with database.connected() as connection:
        count, latest = connection.execute(DELAYS.format(newest, began, ended)).fetchone()
    told.change = {
        "seconds": (ended - began).total_seconds(), "in_time": count, "latest": latest,
        "bytes": database.count(SIZE) - size,
        "partitions": database.count(PARTITIONS),
    }  # fmt: skip


def _second() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


class _Others:
    """A thread that writes a run and reads the newest ones all the time, and keeps how long it waited at most."""

    def __init__(self, database: PostgreSQL, run_id: int) -> None:
        self.longest = 0.0
        self._database, self._run_id = database, run_id
        self._began_at: float | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> _Others:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def longest_yet(self) -> float:
        """Return the longest wait; one that goes on counts when it has ended."""
        began_at = self._began_at
        if began_at is not None:
            time.sleep(0.05)
        return self.longest

    def _work(self) -> None:
        with self._database.connected() as connection:
            while not self._ended.wait(0.01):
                self._began_at = time.monotonic()
                connection.execute(WRITE.format(self._run_id))
                connection.execute("SELECT * FROM cronzimus_run ORDER BY scheduled_time DESC, id DESC LIMIT 20")
                self.longest = max(self.longest, time.monotonic() - self._began_at)
                self._began_at = None


# --- the tables ------------------------------------------------------------------------------------------------------


def tables_of(told: Sequence[Told]) -> Iterator[str]:
    """Yield the tables of the layouts."""
    if not told:
        return
    names = [layout.layout for layout in told]
    questions = dict.fromkeys(question for layout in told for question in layout.milliseconds)
    rows = [
        [question, *(f"{layout.milliseconds[question]:.1f}" for layout in told)] for question in questions
    ]  # fmt: skip
    rows.append(["the database, GB", *(f"{layout.bytes / 1e9:.2f}" for layout in told)])
    yield tables.table(["question", *(f"{name}, ms" for name in names)], rows, left=1)
    yield tables.table(("old runs", "runs/s", "seconds", "freed, GB"), list(_deletions(told)), left=1)
    for layout in told:
        if layout.steps:
            rows = [[name, f"{took:.3f}", tables.ms(wait)] for name, took, wait in layout.steps]
            yield tables.table(("step", "seconds", "others waited, ms"), rows, left=1)
            change = layout.change
            yield (
                f"{change['partitions']} partitions; {change['bytes'] / 1e6:+.1f} MB; in {change['seconds']:.0f} s "
                f"{change['in_time']:,} runs in time, the latest {tables.ms(change['latest'])} ms after its fire time"
            )


def _deletions(told: Sequence[Told]) -> Iterator[list[str]]:
    for layout in told:
        yield [f"{layout.layout}: row by row", f"{layout.pruned['runs_per_second']:,.0f}", "–", "0"]
        if dropped := layout.dropped:
            yield [
                f"{layout.layout}: {dropped['partitions']} dropped", f"{dropped['runs'] / dropped['seconds']:,.0f}",
                f"{dropped['seconds']:.2f}", f"{dropped['bytes'] / 1e9:.2f}",
            ]  # fmt: skip
