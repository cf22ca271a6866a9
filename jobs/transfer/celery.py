"""Import the schedule of Celery beat: django-celery-beat's tables, and the setting `beat_schedule`.

Both name Celery tasks. A job calls `cronzimus.functions:celery_task`, which sends the task to its queue, so that the
tasks stay where they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ..core.values import is_number
from .celery_crontab import FIELDS, by_fields
from .report import Entry, Ids, Import, without_empty

SEND = "cronzimus.functions:celery_task"
PERIODS = ("days", "hours", "minutes", "seconds")
SCHEDULES = ("interval", "crontab", "clocked", "solar")
MODELS = {"intervalschedule": "interval", "crontabschedule": "crontab", "clockedschedule": "clocked",
          "solarschedule": "solar"}  # fmt: skip

Rows = Mapping[str, Mapping[Any, Mapping[str, Any]]]
"""Rows by the name of their model, in lower case, and by primary key."""


def read_dump(objects: Iterable[Mapping[str, Any]], *, now: datetime) -> Import:
    """Return what the output of `manage.py dumpdata django_celery_beat` becomes, read as JSON."""
    rows: dict[str, dict[Any, Mapping[str, Any]]] = {}
    for item in objects:
        app, _, model = str(item.get("model", "")).partition(".")
        if app == "django_celery_beat":
            rows.setdefault(model, {})[item.get("pk")] = item.get("fields", {})
    return read_tables(rows, now=now)


def read_tables(rows: Rows, *, now: datetime) -> Import:
    """Return what the rows of django-celery-beat become, by model and primary key."""
    ids, entries = Ids(), []
    for task in rows.get("periodictask", {}).values():
        entry = Entry(source=f"periodic task {task.get('name')!r}", text=str(task.get("task")))
        if task.get("task") == "celery.backend_cleanup":
            entry.problem = "is Celery's own housekeeping: beat makes it by itself"
        else:
            _read_task(task, rows, ids, now, entry)
        entries.append(entry)
    return Import(entries=entries)


def _read_task(task: Mapping[str, Any], rows: Rows, ids: Ids, now: datetime, entry: Entry) -> None:
    trigger = _trigger_of(task, rows, now, entry)
    if trigger is None:
        return
    arguments = _arguments(task, entry)
    if arguments is None:
        return
    args, kwargs = arguments
    message = without_empty(
        {
            "args": args,
            "kwargs": kwargs,
            "queue": task.get("queue"),
            "exchange": task.get("exchange"),
            "routing_key": task.get("routing_key"),
            "priority": task.get("priority"),
            "headers": _json(task.get("headers"), {}),
        }
    )
    for name, bound in (("start_time", "start_date"), ("expires", "end_date")):
        if task.get(name) and trigger["type"] != "date":
            trigger[bound] = str(task[name])
    entry.job = without_empty(
        {
            "id": ids.of(str(task.get("name"))),
            "name": str(task.get("name"))[:200],
            "description": task.get("description"),
            "func": SEND,
            "args": [task.get("task")],
            "kwargs": message,
            "trigger": trigger,
            "max_runs": 1 if task.get("one_off") and trigger["type"] != "date" else None,
            "misfire_grace_time": task.get("expire_seconds"),
            "paused": True if task.get("enabled") is False else None,
        }
    )
    if task.get("one_off"):
        entry.notes.append("one-off: max_runs is 1")
    if task.get("enabled") is False:
        entry.notes.append("was disabled: it is paused")


def _trigger_of(task: Mapping[str, Any], rows: Rows, now: datetime, entry: Entry) -> dict[str, Any] | None:
    for kind in SCHEDULES:
        if task.get(kind) is not None:
            row = rows.get(f"{kind}schedule", {}).get(task[kind])
            if row is None:
                entry.problem = f"its {kind} schedule {task[kind]} is missing"
                return None
            return {"interval": _interval, "crontab": _crontab, "clocked": _clocked, "solar": _solar}[kind](
                row, now, entry
            )
    entry.problem = "has no schedule"
    return None


def _interval(row: Mapping[str, Any], now: datetime, entry: Entry) -> dict[str, Any] | None:
    period, every = row.get("period"), row.get("every")
    if period not in PERIODS:
        entry.problem = f"an interval of {period} is too fine: the shortest is a second"
        return None
    return {"type": "interval", str(period): every}


def _crontab(row: Mapping[str, Any], now: datetime, entry: Entry) -> dict[str, Any] | None:
    given = {name: str(row.get(name, "*")) for name in FIELDS}
    zone = without_empty({"timezone": row.get("timezone")})
    return _cron(given, zone, entry)


def _cron(given: Mapping[str, str], zone: Mapping[str, Any], entry: Entry) -> dict[str, Any] | None:
    try:
        fields = by_fields(given)
    except ValueError as error:
        entry.problem = str(error)
        return None
    if "day" in fields and "day_of_week" in fields:
        entry.notes.append("fires where the day of the month AND the weekday match, as in Celery")
    return {"type": "cron", **fields, **zone}


def _clocked(row: Mapping[str, Any], now: datetime, entry: Entry) -> dict[str, Any] | None:
    text = str(row.get("clocked_time"))
    at = datetime.fromisoformat(text)
    if (at if at.tzinfo else at.replace(tzinfo=UTC)) <= now:
        entry.problem = f"was due once, at {text}: that has passed"
        return None
    return {"type": "date", "run_date": text}


def _solar(row: Mapping[str, Any], now: datetime, entry: Entry) -> None:
    entry.problem = f"solar schedules ({row.get('event')}) have no trigger here"


def _arguments(task: Mapping[str, Any], entry: Entry) -> tuple[list[Any], dict[str, Any]] | None:
    try:
        args, kwargs = _json(task.get("args"), []), _json(task.get("kwargs"), {})
    except ValueError as error:
        entry.problem = f"its arguments are not JSON: {error}"
        return None
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        entry.problem = "its arguments are not an array and an object"
        return None
    return args, kwargs


def _json(value: Any, default: Any) -> Any:
    if isinstance(value, str):
        return json.loads(value) if value.strip() else default
    return default if value is None else value


def read_schedule(schedule: Mapping[str, Mapping[str, Any]], *, now: datetime) -> Import:
    """Return what Celery's setting `beat_schedule` becomes.

    The objects in it are read by their attributes, so that Celery itself is not needed: crontab, timedelta, `schedule`,
    or a number of seconds.
    """
    ids, entries = Ids(), []
    for name, given in schedule.items():
        entry = Entry(source=f"beat_schedule[{name!r}]", text=str(given.get("task")))
        trigger = _beat_trigger(given.get("schedule"), entry)
        if trigger is not None:
            options = dict(given.get("options") or {})
            grace = options.pop("expires", None)
            message = {"args": list(given.get("args") or []), "kwargs": dict(given.get("kwargs") or {}), **options}
            entry.job = without_empty(
                {
                    "id": ids.of(name), "name": name[:200], "func": SEND, "args": [given.get("task")],
                    "kwargs": without_empty(message), "trigger": trigger,
                    "misfire_grace_time": int(grace) if isinstance(grace, int | float) else None,
                }
            )  # fmt: skip
        entries.append(entry)
    return Import(entries=entries)


def _beat_trigger(schedule: Any, entry: Entry) -> dict[str, Any] | None:
    if hasattr(schedule, "_orig_minute"):
        given = {name: str(getattr(schedule, f"_orig_{name}")) for name in FIELDS}
        return _cron(given, {}, entry)
    every = getattr(schedule, "run_every", schedule)
    seconds = every.total_seconds() if isinstance(every, timedelta) else every
    if not is_number(seconds):
        entry.problem = f"a schedule of the type {type(schedule).__name__} has no trigger here"
        return None
    if seconds < 1 or seconds != int(seconds):
        entry.problem = f"an interval of {seconds} seconds is too fine: whole seconds are counted"
        return None
    return {"type": "interval", "seconds": int(seconds)}
