"""Import the schedule of Celery beat: django-celery-beat's tables, and the setting `beat_schedule`.

Both name Celery tasks. A job calls `cronzimus.functions:celery_task`, which sends the task to its queue, so that the
tasks stay where they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from ..core.values import is_number
from .celery_crontab import FIELDS, by_fields
from .report import Entry, Ids, Import, LeftOut, read_entry, without_empty

SEND = "cronzimus.functions:celery_task"
PERIODS = ("days", "hours", "minutes", "seconds")
OPTIONS = ("queue", "exchange", "routing_key", "priority", "headers")
"""The options of a message that `celery_task` takes."""
SETTING_KEYS = ("task", "schedule", "args", "kwargs", "options")
"""The keys of an entry of `beat_schedule` that are read."""

Rows = Mapping[str, Mapping[Any, Mapping[str, Any]]]
"""Rows by the name of their model, in lower case, and by primary key."""


def read_dump(objects: Iterable[Any], *, now: datetime) -> Import:
    """Return the import of the parsed output of `manage.py dumpdata django_celery_beat`.

    Raises `ValueError` for anything else.
    """
    rows: dict[str, dict[Any, Mapping[str, Any]]] = {}
    for item in objects:
        if not isinstance(item, Mapping) or not isinstance(item.get("fields"), Mapping):
            raise ValueError("is not the output of dumpdata: an object with a model and its fields is missing")
        app, _, model = str(item.get("model", "")).partition(".")
        if app == "django_celery_beat":
            rows.setdefault(model, {})[item.get("pk")] = item["fields"]
    return read_tables(rows, now=now)


def read_tables(rows: Rows, *, now: datetime) -> Import:
    """Return the import of the rows of django-celery-beat."""
    ids = Ids()
    return Import(
        entries=[
            read_entry(
                f"periodic task {task.get('name')!r}", str(task.get("task")), partial(_read_task, task, rows, ids, now)
            )
            for task in rows.get("periodictask", {}).values()
        ]
    )


def _read_task(task: Mapping[str, Any], rows: Rows, ids: Ids, now: datetime, entry: Entry) -> dict[str, Any]:
    if task.get("task") == "celery.backend_cleanup":
        raise LeftOut("is Celery's own housekeeping: beat makes it by itself")
    trigger = _trigger_of(task, rows, now, entry)
    args, kwargs = _arguments(task)
    message = without_empty(
        {
            "args": args, "kwargs": kwargs, "queue": task.get("queue"), "exchange": task.get("exchange"),
            "routing_key": task.get("routing_key"), "priority": task.get("priority"),
            "headers": _json("headers", task.get("headers"), {}),
        }
    )  # fmt: skip
    for name, bound in (("start_time", "start_date"), ("expires", "end_date")):
        if task.get(name) and trigger["type"] != "date":
            trigger[bound] = _instant(task[name]).isoformat()
    once = task.get("one_off") and trigger["type"] != "date"
    if once:
        entry.notes.append("one-off: max_runs is 1")
    if task.get("enabled") is False:
        entry.notes.append("was disabled: it is paused")
    return without_empty(
        {
            "id": ids.of(str(task.get("name"))), "name": str(task.get("name"))[:200],
            "description": task.get("description"), "func": SEND, "args": [_task_name(task)], "kwargs": message,
            "trigger": trigger, "max_runs": 1 if once else None, "misfire_grace_time": task.get("expire_seconds"),
            "paused": True if task.get("enabled") is False else None,
        }
    )  # fmt: skip


def _task_name(given: Mapping[str, Any]) -> str:
    if not isinstance(given.get("task"), str) or not given["task"]:
        raise ValueError("names no task")
    return str(given["task"])


def _instant(value: Any) -> datetime:
    """Return the instant of a column. Without an offset, as on SQLite, it is in UTC."""
    at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _trigger_of(task: Mapping[str, Any], rows: Rows, now: datetime, entry: Entry) -> dict[str, Any]:
    for kind, read in SCHEDULES.items():
        if task.get(kind) is not None:
            row = rows.get(f"{kind}schedule", {}).get(task[kind])
            if row is None:
                raise ValueError(f"its {kind} schedule {task[kind]} is missing")
            return read(row, now, entry)
    raise ValueError("has no schedule")


def _interval(row: Mapping[str, Any], now: datetime, entry: Entry) -> dict[str, Any]:
    period, every = row.get("period"), row.get("every")
    if period not in PERIODS:
        raise LeftOut(f"an interval of {period} is too fine: the shortest is a second")
    return {"type": "interval", str(period): every}


def _crontab(row: Mapping[str, Any], now: datetime, entry: Entry) -> dict[str, Any]:
    given = {name: str(row.get(name, "*")) for name in FIELDS}
    return _cron(given, str(row.get("timezone") or ""), entry)


def _cron(given: Mapping[str, str], zone: str, entry: Entry) -> dict[str, Any]:
    fields = by_fields(given)
    if "day" in fields and "day_of_week" in fields:
        entry.notes.append("fires where the day of the month AND the weekday match, as in Celery")
    return {"type": "cron", **fields, **without_empty({"timezone": zone})}


def _clocked(row: Mapping[str, Any], now: datetime, entry: Entry) -> dict[str, Any]:
    at = _instant(row.get("clocked_time"))
    if at <= now:
        raise LeftOut(f"was due once, at {at.isoformat()}: that has passed")
    return {"type": "date", "run_date": at.isoformat()}


def _solar(row: Mapping[str, Any], now: datetime, entry: Entry) -> dict[str, Any]:
    raise LeftOut(f"solar schedules ({row.get('event')}) have no trigger here")


SCHEDULES: Mapping[str, Callable[[Mapping[str, Any], datetime, Entry], dict[str, Any]]] = {
    "interval": _interval, "crontab": _crontab, "clocked": _clocked, "solar": _solar,
}  # fmt: skip
"""The readers of the rows of schedules, by the name of the relation."""


def _arguments(task: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    args, kwargs = _json("args", task.get("args"), []), _json("kwargs", task.get("kwargs"), {})
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise ValueError("its arguments are not an array and an object")
    return args, kwargs


def _json(name: str, value: Any, default: Any) -> Any:
    if isinstance(value, str):
        try:
            return json.loads(value) if value.strip() else default
        except ValueError as error:
            kind = "headers" if name == "headers" else "arguments"
            raise ValueError(f"its {kind} are not JSON: {name}: {error}") from error
    return default if value is None else value


def read_schedule(schedule: Mapping[str, Any], *, now: datetime) -> Import:
    """Return the import of Celery's setting `beat_schedule`.

    Its objects (crontab, timedelta, `schedule`, or a number of seconds) are read by their attributes, so that Celery
    itself is not needed.
    """
    ids = Ids()
    return Import(
        entries=[
            read_entry(f"beat_schedule[{name!r}]", _named(given), partial(_read_setting, str(name), given, ids))
            for name, given in schedule.items()
        ]
    )


def _named(given: Any) -> str:
    return str(given.get("task")) if isinstance(given, Mapping) else str(given)


def _read_setting(name: str, given: Any, ids: Ids, entry: Entry) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ValueError("is not a dictionary")
    trigger = _beat_trigger(given.get("schedule"), entry)
    options = dict(given.get("options") or {})
    grace = _grace(options.pop("expires", None), entry)
    if others := [key for key in given if key not in SETTING_KEYS]:
        entry.notes.append(f"left out: {', '.join(map(str, others))}")
    if unknown := [option for option in options if option not in OPTIONS]:
        entry.notes.append(f"left out: the options {', '.join(map(str, unknown))}")
    message = {
        "args": list(given.get("args") or []), "kwargs": dict(given.get("kwargs") or {}),
        **{name: options[name] for name in OPTIONS if name in options},
    }  # fmt: skip
    return without_empty(
        {
            "id": ids.of(name), "name": name[:200], "func": SEND, "args": [_task_name(given)],
            "kwargs": without_empty(message), "trigger": trigger,
            "misfire_grace_time": grace,
        }
    )  # fmt: skip


def _grace(expires: Any, entry: Entry) -> int | None:
    """Return the `misfire_grace_time` for a message's option `expires`."""
    if isinstance(expires, timedelta):
        expires = expires.total_seconds()
    if not is_number(expires):
        if expires is not None:
            entry.notes.append(f"left out: expires {expires}, which is no number of seconds")
        return None
    if expires != int(expires):
        entry.notes.append(f"expires after {expires} seconds: whole seconds are counted")
    return int(expires)


def _beat_trigger(schedule: Any, entry: Entry) -> dict[str, Any]:
    if schedule is None:
        raise ValueError("has no schedule")
    if hasattr(schedule, "_orig_minute"):
        given = {name: str(getattr(schedule, f"_orig_{name}")) for name in FIELDS}
        return _cron(given, _zone_of(schedule, entry), entry)
    every = getattr(schedule, "run_every", schedule)
    seconds = every.total_seconds() if isinstance(every, timedelta) else every
    if not is_number(seconds):
        raise LeftOut(f"a schedule of the type {type(schedule).__name__} has no trigger here")
    if seconds <= 0:
        raise ValueError(f"an interval of {seconds} seconds does not last")
    if seconds < 1 or seconds != int(seconds):
        raise LeftOut(f"an interval of {seconds} seconds is too fine: whole seconds are counted")
    return {"type": "interval", "seconds": int(seconds)}


def _zone_of(schedule: Any, entry: Entry) -> str:
    """Return the time zone of Celery's application, in which its crontabs fire."""
    with suppress(Exception):  # it may need an application that does not exist here
        if schedule.tz is not None:
            return str(schedule.tz)
    entry.notes.append("fires in this site's time zone: Celery's own is not known")
    return ""
