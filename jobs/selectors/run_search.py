"""The search for runs: words and qualifiers, such as `job:sync status:failed took:>30s since:24h`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import FloatField, Func, Q

from ..core.runs import DID_NOT_RUN, FAILURES, UNSUCCESSFUL, RunStatus, RunTrigger, holders_on
from ..core.times import parse_instant
from ..models import Job
from ..models.run import RunQuerySet

GROUPS: dict[str, str] = {
    "failures": "failed, timed out or lost",
    "not_run": "missed or skipped",
    "unsuccessful": "not succeeded",
}
"""Names that stand for several statuses, with their meaning."""
STATUSES = {"failures": FAILURES, "not_run": DID_NOT_RUN, "unsuccessful": UNSUCCESSFUL}
"""The statuses that the names of `GROUPS` stand for."""
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
"""The units of lengths of time, in seconds."""
TERM = re.compile(r'([a-z]+):("[^"]*"|\S+)|"([^"]*)"|(\S+)')
"""A part of a search: a qualifier and its value, a text in quotes, or a word."""
LENGTH = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|min|m|h|d|w)", re.ASCII)
"""A length of time: its number and its unit."""
COMPARED = re.compile(r"([<>])=?(.*)", re.DOTALL)
"""A comparison: its sign and its value. `>=` is `>`."""
MAX_JOBS = 1000
"""Jobs whose runs a search finds, at most."""
MAX_ID = 2**63 - 1
"""The largest id of a database."""
UNINDEXED_SPAN = timedelta(hours=24)
"""Age of the oldest runs that are read one by one if no index helps."""


class Took(Func):
    """The duration of a run in seconds; null if it did not start or has not ended."""

    output_field = FloatField()
    template = "EXTRACT(EPOCH FROM cronzimus_run.finished_at - cronzimus_run.started_at)::float"

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Return the SQL for SQLite. Django's own SQL calls a Python function for each row."""
        return "((julianday(cronzimus_run.finished_at) - julianday(cronzimus_run.started_at)) * 86400.0)", ()


@dataclass(slots=True)
class RunSearch:
    """A parsed search. `problems` has a message for each wrong qualifier."""

    words: list[str] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    status: str = ""
    trigger: str = ""
    host: str = ""
    error: str = ""
    since: datetime | None = None
    until: datetime | None = None
    longer: float | None = None
    shorter: float | None = None
    attempt: int | None = None
    more_attempts: bool = False
    problems: list[str] = field(default_factory=list)

    @property
    def reads_rows(self) -> bool:
        """Whether no index helps: the search is then limited to recent runs, unless it names a time or a job."""
        unindexed = self.host or self.error or self.attempt or self.longer is not None or self.shorter is not None
        return bool(unindexed) and self.since is None and not self.jobs


def parse_search(text: str, now: datetime) -> RunSearch:
    """Read a search: qualifiers such as `job:sync`, and words to look for."""
    search = RunSearch()
    for name, value, quoted, word in TERM.findall(text):
        read = QUALIFIERS.get(name)
        if read is None:
            search.words.append(quoted or word or f"{name}:{value}")
            continue
        try:
            read(search, value.strip('"'), now)
        except ValueError as error:
            search.problems.append(f"{name} {error}")
    return search


def narrowed(runs: RunQuerySet, search: RunSearch, now: datetime) -> RunQuerySet:
    """Return the runs among `runs` that match `search`; none if a part of it is wrong."""
    if search.problems:
        return runs.none()
    if search.status:
        runs = with_status(runs, search.status)
    if search.trigger:
        runs = runs.made_by(search.trigger)
    if search.host:
        runs = runs.filter(Q(scheduler_id=search.host) | Q(scheduler__id__regex=holders_on(search.host)))
    if search.error:
        runs = runs.filter(Q(error__has_text=search.error) | Q(reason__has_text=search.error))
    if search.attempt is not None:
        runs = runs.filter(**{"attempt__gt" if search.more_attempts else "attempt": search.attempt})
    since = now - UNINDEXED_SPAN if search.reads_rows else search.since
    times = {"scheduled_time__gte": since, "scheduled_time__lt": search.until}
    runs = runs.filter(**{name: at for name, at in times.items() if at is not None})
    if search.longer is not None or search.shorter is not None:
        lengths = {"took__gt": search.longer, "took__lt": search.shorter}
        runs = runs.alias(took=Took()).filter(**{name: value for name, value in lengths.items() if value is not None})
    for words in search.jobs:
        runs = runs.filter(_of_jobs(words))
    for words in search.words:
        number = run_number(words.removeprefix("#"))
        runs = runs.filter(_of_jobs(words) if number is None else _of_jobs(words) | Q(pk=number))
    return runs


def with_status(runs: RunQuerySet, name: str) -> RunQuerySet:
    """Return the runs of a status, or of one of `GROUPS`."""
    if name == "unsuccessful":
        return runs.unsuccessful()
    if name == "failures":
        return runs.failed()
    if name == "not_run":
        return runs.did_not_run()
    return runs.of_status(name)


def by_status(runs: RunQuerySet, name: str) -> list[RunQuerySet]:
    """Return the runs of one of `GROUPS`, status by status; an empty list for any other name.

    The runs of a status are in the order of lists in the index `run_by_status`, those of several are not.
    """
    return [runs.filter(status=status) for status in STATUSES.get(name, ())]


def run_number(text: str) -> int | None:
    """Return `text` as the id of a run; None if it is not a whole number, or too large."""
    number = int(text[:20]) if text.isascii() and text.isdigit() else MAX_ID + 1
    return number if number <= MAX_ID else None


def _of_jobs(words: str) -> Q:
    jobs = Job.objects.filter(Q(id__has_text=words) | Q(name__has_text=words))
    # As literals, not as a subquery: the planner of PostgreSQL then knows whether they have few runs or many.
    return Q(job_id__in={words, *jobs.order_by("pk").values_list("pk", flat=True)[:MAX_JOBS]})


# --- qualifiers ------------------------------------------------------------------------------------------------------


def _one_of(names: list[str], value: str) -> str:
    name = value.lower().replace("-", "_").replace(" ", "_")
    if name in names:
        return name
    near = get_close_matches(name, names, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    raise ValueError(f"must be one of {', '.join(names)}{meant}")


def _seconds(value: str, example: str) -> float:
    match = LENGTH.fullmatch(value.lower())
    if match is None:
        raise ValueError(f"must be a length of time with a unit, such as {example}")
    return float(match[1]) * UNITS[match[2]]


def _instant(value: str, now: datetime, *, end: bool) -> datetime:
    if LENGTH.fullmatch(value.lower()):
        try:
            return now - timedelta(seconds=_seconds(value, ""))
        except OverflowError:
            raise ValueError("lies before the calendar begins") from None
    try:
        return parse_instant(value, ZoneInfo(settings.TIME_ZONE), end=end)
    except ValueError as error:
        raise ValueError(f"{error}, or a length of time such as 24h") from None


def _job(search: RunSearch, value: str, now: datetime) -> None:
    search.jobs.append(value)


def _status(search: RunSearch, value: str, now: datetime) -> None:
    search.status = _one_of([*RunStatus, *GROUPS], value)


def _trigger(search: RunSearch, value: str, now: datetime) -> None:
    search.trigger = _one_of(list(RunTrigger), value)


def _host(search: RunSearch, value: str, now: datetime) -> None:
    search.host = value


def _error(search: RunSearch, value: str, now: datetime) -> None:
    search.error = value


def _since(search: RunSearch, value: str, now: datetime) -> None:
    search.since = _instant(value, now, end=False)


def _until(search: RunSearch, value: str, now: datetime) -> None:
    search.until = _instant(value, now, end=True)


def _took(search: RunSearch, value: str, now: datetime) -> None:
    match = COMPARED.fullmatch(value)
    if match is None:
        raise ValueError("must begin with > or <, such as >30s")
    seconds = _seconds(match[2], f"{match[1]}30s")
    if match[1] == ">":
        search.longer = seconds
    else:
        search.shorter = seconds


def _attempt(search: RunSearch, value: str, now: datetime) -> None:
    number = value.removeprefix(">")
    if not (number.isascii() and number.isdigit() and len(number) <= 4):
        raise ValueError("must be a whole number, such as 2 or >1")
    search.attempt, search.more_attempts = int(number), value.startswith(">")


SUGGESTED = (
    "job:", *(f"status:{name}" for name in (*GROUPS, *RunStatus)), *(f"trigger:{name}" for name in RunTrigger),
    "took:>30s", "since:1h", "since:24h", "since:7d", "until:1h", "host:", "error:", "attempt:>1",
)  # fmt: skip
"""Qualifiers that a search offers, in this order."""

QUALIFIERS: dict[str, Callable[[RunSearch, str, datetime], None]] = {
    "job": _job, "status": _status, "state": _status, "trigger": _trigger, "host": _host, "error": _error,
    "since": _since, "until": _until, "took": _took, "attempt": _attempt,
}  # fmt: skip
"""The parser of each qualifier; it raises `ValueError` with a message for the user."""
