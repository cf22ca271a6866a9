"""Checks that many kinds of input share: numbers, and unknown names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable
from itertools import islice
from math import inf
from typing import TypeGuard

MAX_UNKNOWN = 50
"""Unknown names that one refusal lists. Each is compared with all known names, and a body may hold thousands."""
MAX_NAME = 64
"""Characters of a name that a message shows."""

ELSEWHERE: dict[str, tuple[str, ...]] = {
    # crontabs, celery beat, node-cron, systemd
    "day_of_month": ("day",), "dom": ("day",), "mday": ("day",), "date_of_month": ("day",),
    "month_of_year": ("month",), "moy": ("month",), "mon": ("month",),
    "dow": ("day_of_week",), "wday": ("day_of_week",), "weekday": ("day_of_week",), "weekdays": ("day_of_week",),
    "days_of_month": ("day",), "months_of_year": ("month",), "days_of_week": ("day_of_week",),
    "hour_of_day": ("hour", "hours"), "minute_of_hour": ("minute", "minutes"), "second_of_minute": ("second",),
    "time_of_day": ("hour",), "time": ("run_date", "hour"), "day_of_year": (), "doy": (), "week_of_month": (),
    "nth": (), "quarter": (), "delay": (), "spec": ("crontab",), "cron_spec": ("crontab",),
    "week_of_year": ("week",), "cron": ("crontab",), "cron_expression": ("crontab",), "cronspec": ("crontab",),
    "expression": ("crontab",), "schedule": ("crontab", "trigger"), "trigger_type": ("trigger",),
    "crontab_expression": ("crontab",), "cron_expr": ("crontab",), "cron_string": ("crontab",),
    "every": ("seconds",), "period": ("seconds",), "interval": ("seconds",), "interval_seconds": ("seconds",),
    "sec": ("seconds", "second"), "secs": ("seconds", "second"), "s": ("seconds",), "repeat_interval": ("seconds",),
    "min": ("minutes", "minute"), "mins": ("minutes", "minute"), "m": ("minutes",), "h": ("hours",),
    "hr": ("hours", "hour"), "hrs": ("hours", "hour"), "d": ("days",), "w": ("weeks",),
    # zones, starts and ends
    "tz": ("timezone",), "zone": ("timezone",), "tzinfo": ("timezone",), "time_zone": ("timezone",),
    "timezone_name": ("timezone",), "cron_tz": ("timezone",), "zoneinfo": ("timezone",),
    "execute_at": ("run_date",), "fire_time": ("run_date",), "due": ("run_date",), "next_run": ("run_date",),
    "from": ("start_date",), "begin": ("start_date",), "first_run": ("start_date",), "anchor": ("start_date",),
    "stop": ("end_date",), "frequency": ("seconds",), "run_every": ("seconds",), "repeat_every": ("seconds",),
    "run_at": ("run_date",), "run_time": ("run_date",), "run_datetime": ("run_date",), "eta": ("run_date",),
    "clocked": ("run_date",), "clocked_time": ("run_date",), "at": ("run_date",), "date": ("run_date",),
    "datetime": ("run_date",), "timestamp": ("run_date",), "when": ("run_date",), "scheduled_at": ("run_date",),
    "scheduled_time": ("run_date",), "jitter_seconds": ("jitter",), "max_jitter": ("jitter",),
    "start": ("start_date",), "start_time": ("start_date",), "starts_at": ("start_date",),
    "not_before": ("start_date",),
    "end": ("end_date",), "end_time": ("end_date",), "ends_at": ("end_date",), "expires": ("end_date",),
    "until": ("end_date",), "not_after": ("end_date",), "splay": ("jitter",), "random_delay": ("jitter",),
    # jobs
    "task": ("func",), "function": ("func",), "target": ("func",), "callable": ("func",), "command": ("func",),
    "job_id": ("id",), "arguments": ("args",), "params": ("kwargs",), "parameters": ("kwargs",),
    "job_type": ("trigger",), "concurrency": ("max_instances",), "max_concurrency": ("max_instances",),
    "expire_seconds": ("misfire_grace_time",), "misfire_grace": ("misfire_grace_time",),
    "starting_deadline_seconds": ("misfire_grace_time",), "concurrency_policy": ("overlap",), "retry": ("retries",),
    "max_retries": ("retries",), "time_limit": ("timeout",), "repeat": ("max_runs",), "one_off": ("max_runs",),
}  # fmt: skip
"""The names of fields in other schedulers, and here; without a name here where only the spelling is near to one."""


def _plain(name: str) -> str:
    """Return a name without its style: dayOfMonth, day-of-month and DAY_OF_MONTH are one."""
    return re.sub(r"[-_\s]", "", name).lower()


_PLAIN = {_plain(name): here for name, here in ELSEWHERE.items()}


def is_whole(value: object, low: float = -inf, high: float = inf) -> TypeGuard[int]:
    """Tell whether a JSON value is a whole number from `low` to `high`. Neither true nor 1.0 is one."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def is_number(value: object, low: float = -inf, high: float = inf) -> TypeGuard[int | float]:
    """Tell whether a JSON value is a number from `low` to `high`. True is not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def did_you_mean(name: object, known: Iterable[str], *, likely: Iterable[str] = ()) -> str:
    """Return "; did you mean 'seconds'?" where a name in `likely` or else in `known` means `name` or is close to it.

    Returns "" where none is.
    """
    text = str(name)[:MAX_NAME]
    plain = _plain(text)
    if _PLAIN.get(plain) == ():
        return ""
    for names in (list(likely), list(known)):
        meant = [here for here in _PLAIN.get(plain, ()) if here in names]
        meant += [here for here in names if _plain(here) == plain]
        if near := meant or difflib.get_close_matches(text, names, n=1, cutoff=0.6):
            return f"; did you mean {near[0]!r}?"
    return ""


def unknown_names(
    given: Iterable[object], known: Collection[str], *, what: str = "field", likely: Iterable[str] = ()
) -> dict[str, str]:
    """Return a message for each of the first `MAX_UNKNOWN` names in `given` that are not `known`.

    `what` is the kind of the names, in the singular: "field", "parameter". Names in `likely` are suggested first.
    """
    known_words = f"; the {what}s here are {', '.join(known)}" if known else f"; no {what} is needed here"
    unknown = islice((name for name in given if name not in known), MAX_UNKNOWN)
    return {
        printable(name): f"unknown {what}{did_you_mean(name, known, likely=likely) or known_words}" for name in unknown
    }


def printable(name: object) -> str:
    """Return a name as a message may show it: cut to `MAX_NAME` characters, and encodable in UTF-8."""
    return str(name)[:MAX_NAME].encode("utf-8", "backslashreplace").decode()
