"""The banners at the top of every page, for reasons why jobs do not run as expected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from ...models import Control, Scheduler
from ...selectors.obstacles import differing_brokers, problems
from ...selectors.workers import Fleet
from ..status import Status
from ..times import Times, duration

SKEWED = 2.0
"""Seconds by which a scheduler's clock is off before pages warn of it."""
LARGEST_SKEW = 1e9
"""The most seconds that are shown. On SQLite, somebody may have written any number."""
MIGRATIONS_KEPT = timedelta(seconds=30)
"""Time for which pending migrations are cached. That there are none is cached until the process ends."""


@dataclass(frozen=True, slots=True)
class Banner:
    """A banner; its tone is "" (bad), "late" or "busy"."""

    key: str
    icon: str
    headline: str
    text: str = ""
    tone: str = ""
    code: str = ""
    """A command to copy."""


def banners(status: Status, times: Times) -> list[Banner]:
    """Return the banners, the worst first."""
    found = status.schedulers
    checks = (
        _pending(times.now), _no_scheduler(found, times), _all_drained(found, times),
        *_of_queues(status.fleet, times), _all_paused(status.all_paused, times), _skewed(found, times),
    )  # fmt: skip
    return [banner for banner in checks if banner is not None]


def _no_scheduler(found: list[Scheduler], times: Times) -> Banner | None:
    if any(scheduler.is_alive(times.now) for scheduler in found):
        return None
    text = "Start one:"
    if found:
        last = max(found, key=lambda scheduler: scheduler.heartbeat_at)
        text = f"The last heartbeat was {last.pk}’s, {duration(times.now - last.heartbeat_at)} ago. Start one:"
    return Banner(
        "no-scheduler", "warning", "No scheduler is running: jobs will not fire.", text,
        code="python manage.py runscheduler",
    )  # fmt: skip


def _all_drained(found: list[Scheduler], times: Times) -> Banner | None:
    alive = [scheduler for scheduler in found if scheduler.is_alive(times.now)]
    if not alive or any(scheduler.drained_at is None for scheduler in alive):
        return None
    which = "The only scheduler is" if len(alive) == 1 else f"All {len(alive)} schedulers are"
    return Banner("all-drained", "pause", f"{which} drained: jobs will not fire.", "Let one claim again.", "late")


def _skewed(found: list[Scheduler], times: Times) -> Banner | None:
    off = [one for one in found if one.is_alive(times.now) and abs(one.clock_skew) > SKEWED]
    if not off:
        return None
    worst = max(off, key=lambda scheduler: abs(scheduler.clock_skew))
    direction = "ahead of" if worst.clock_skew > 0 else "behind"
    by = skew_words(worst)
    return Banner(
        "clock-skew", "clock", f"The clock of {worst.hostname} is {by} {direction} the database’s.",
        "Fire times follow the database’s clock, but functions see the wrong time.", "late",
    )  # fmt: skip


def skew_words(scheduler: Scheduler) -> str:
    """Return how far the clock of a scheduler is off, in either direction: "2.5 s"."""
    return duration(timedelta(seconds=min(abs(scheduler.clock_skew), LARGEST_SKEW)))


def _of_queues(fleet: Fleet, times: Times) -> Iterator[Banner]:
    for problem in problems(fleet, times.short):
        more = differing_brokers(fleet) if problem.key == "not-taken" else ""
        text = f"{problem.remedy} {more}".strip()
        yield Banner(problem.key, "warning", problem.headline, text, code=problem.command)


def _all_paused(control: Control | None, times: Times) -> Banner | None:
    if control is None:
        return None
    since = f" since {times.short(control.paused_at, seconds=False)}" if control.paused_at else ""
    by = f" by {control.actor}" if control.actor else ""
    why = f": {control.reason.rstrip('.')}" if control.reason else ""
    return Banner("all-paused", "pause", "All claiming is paused", f"{since}{by}{why}. Running jobs go on.", "late")


_migrations: dict[str, tuple[bool, datetime]] = {}
_lock = Lock()


def _pending(now: datetime) -> Banner | None:
    with _lock:
        pending, at = _migrations.get("pending", (True, None))
        if pending and (at is None or now - at > MIGRATIONS_KEPT):
            executor = MigrationExecutor(connection)
            pending = bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
            _migrations["pending"] = (pending, now)
    if not pending:
        return None
    return Banner(
        "migrations", "warning", "Migrations are pending: pages and schedulers may fail.", "Run:",
        code="python manage.py migrate",
    )  # fmt: skip
