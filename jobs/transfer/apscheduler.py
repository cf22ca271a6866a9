"""Import the jobs of APScheduler 3: a file of `apscheduler_export.py`, or the `JOBS` of Flask-APScheduler.

APScheduler's defaults are not ours (it forgives one second of lateness), so a job names them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .apscheduler_export import FORMAT
from .report import Entry, Ids, Import, without_empty

DEFAULTS = {"misfire_grace_time": 1, "coalesce": True, "max_instances": 1}
"""APScheduler's defaults, `BaseScheduler._configure` in version 3.11."""
CRON_FIELDS = ("year", "month", "day", "week", "day_of_week", "hour", "minute", "second")
UNITS = ("weeks", "days", "hours", "minutes", "seconds")
KINDS = {"IntervalTrigger": "interval", "CronTrigger": "cron", "DateTrigger": "date",
         "CalendarIntervalTrigger": "calendarinterval"}  # fmt: skip


def read_export(exported: Any) -> Import:
    """Return what the output of `apscheduler_export.py` becomes. Raises `ValueError` where it is something else."""
    if not isinstance(exported, Mapping) or exported.get("format") != FORMAT:
        raise ValueError(f"is not the output of apscheduler_export.py: its format is not {FORMAT!r}")
    ids = Ids()
    return Import(entries=[_entry(job, ids, _exported_trigger) for job in exported["jobs"]])


def read_flask_jobs(jobs: Iterable[Mapping[str, Any]]) -> Import:
    """Return what the setting `JOBS` of Flask-APScheduler becomes."""
    ids = Ids()
    return Import(entries=[_entry(job, ids, _flask_trigger) for job in jobs])


def _entry(job: Mapping[str, Any], ids: Ids, read_trigger: Any) -> Entry:
    entry = Entry(source=f"job {job.get('id')!r}", text=str(job.get("func")))
    if callable(job.get("func")):
        entry.text = f"{job['func'].__module__}:{job['func'].__qualname__}"
    trigger = read_trigger(job, entry)
    arguments = _arguments(job, entry)
    if trigger is None or arguments is None:
        return entry
    job_id = ids.of(str(job.get("id")))
    if job_id != job.get("id"):
        entry.notes.append(f"its id becomes {job_id!r}: other characters are not allowed")
    policies = {name: job.get(name, default) for name, default in DEFAULTS.items()}
    if policies["misfire_grace_time"] is None:
        entry.notes.append("misfire_grace_time null: a late run starts however late it is")
    executor = str(job.get("executor") or "default")
    if executor not in ("default", "thread"):
        entry.notes.append(f"its executor was {executor!r}: it runs in a {_executor(executor)}")
    entry.job = {
        **without_empty(
            {
                "id": job_id, "name": str(job.get("name") or job_id)[:200], "func": entry.text, "args": arguments[0],
                "kwargs": arguments[1], "trigger": trigger, "paused": True if job.get("paused") else None,
                "executor": _executor(executor),
            }
        ),
        **policies,
    }  # fmt: skip
    return entry


def _executor(name: str) -> str:
    return "process" if "process" in name.lower() else "thread"


def _arguments(job: Mapping[str, Any], entry: Entry) -> tuple[list[Any], dict[str, Any]] | None:
    args, kwargs = job.get("args") or [], job.get("kwargs") or {}
    if isinstance(args, Mapping) or set(kwargs) == {"repr"}:
        entry.problem = (
            f"its arguments are not JSON: {args.get('repr') if isinstance(args, Mapping) else kwargs['repr']}"
        )
        return None
    return list(args), dict(kwargs)


def _exported_trigger(job: Mapping[str, Any], entry: Entry) -> dict[str, Any] | None:
    given = job["trigger"]
    kind = KINDS.get(given["type"])
    if kind is None:
        entry.problem = f"a trigger of the type {given['type']} has no counterpart: make a job for each of its parts"
        return None
    shared = {name: given.get(name) for name in ("start_date", "end_date", "timezone", "jitter")}
    if given.get("jitter"):
        entry.notes.append("APScheduler's jitter goes both ways: here a run starts later, by at most as many seconds")
    if kind == "date":
        return {"type": "date", "run_date": given["run_date"]}
    if kind == "cron":
        return without_empty({"type": "cron", **given["fields"], **shared})
    if kind == "calendarinterval":
        parts = {name: given.get(name) or None for name in ("years", "months", "weeks", "days")}
        hour, minute, second = (int(part) for part in str(given["time"])[:8].split(":"))
        return without_empty({"type": kind, **parts, "hour": hour, "minute": minute, "second": second, **shared})
    return _interval(given["seconds"], shared, entry)


def _interval(seconds: float, shared: Mapping[str, Any], entry: Entry) -> dict[str, Any] | None:
    if seconds != int(seconds) or seconds < 1:
        entry.problem = f"an interval of {seconds} seconds is too fine: whole seconds are counted"
        return None
    return without_empty({"type": "interval", "seconds": int(seconds), **shared})


def _flask_trigger(job: Mapping[str, Any], entry: Entry) -> dict[str, Any] | None:
    trigger = job.get("trigger")
    fields = dict(trigger) if isinstance(trigger, Mapping) else {"type": trigger, **_trigger_fields(job)}
    kind = fields.pop("type", None)
    if kind not in KINDS.values():
        entry.problem = f"its trigger {trigger!r} has no counterpart"
        return None
    for name in ("run_date", "start_date", "end_date", "timezone"):
        if name in fields:
            fields[name] = str(fields[name])
    return without_empty({"type": kind, **fields})


def _trigger_fields(job: Mapping[str, Any]) -> dict[str, Any]:
    names = {*CRON_FIELDS, *UNITS, "run_date", "start_date", "end_date", "timezone", "jitter"}
    return {name: value for name, value in job.items() if name in names}
