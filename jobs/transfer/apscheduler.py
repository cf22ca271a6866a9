"""Import the jobs of APScheduler 3: a file of `apscheduler_export.py`, or the `JOBS` of Flask-APScheduler.

APScheduler's defaults differ from ours (it allows one second of lateness), so an imported job names them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from .apscheduler_export import FORMAT, name_of, to_json, trigger_as_json
from .report import Entry, Ids, Import, LeftOut, read_entry, without_empty

DEFAULTS = {"misfire_grace_time": 1, "coalesce": True, "max_instances": 1}
"""APScheduler's defaults, `BaseScheduler._configure` in version 3.11."""
CRON_FIELDS = ("year", "month", "day", "week", "day_of_week", "hour", "minute", "second")
UNITS = ("years", "months", "weeks", "days", "hours", "minutes", "seconds")
FLASK_KEYS = {
    "id", "name", "func", "args", "kwargs", "trigger", "executor", "next_run_time", "jobstore", "replace_existing",
    "run_date", "start_date", "end_date", "timezone", "jitter", *DEFAULTS, *CRON_FIELDS, *UNITS,
}  # fmt: skip
"""The keys of a job of Flask-APScheduler that are read, or that mean nothing here."""
KINDS = {"IntervalTrigger": "interval", "CronTrigger": "cron", "DateTrigger": "date",
         "CalendarIntervalTrigger": "calendarinterval"}  # fmt: skip


def read_export(exported: Any) -> Import:
    """Return the import of an output of `apscheduler_export.py`. Raises `ValueError` for anything else."""
    if not isinstance(exported, Mapping) or exported.get("format") != FORMAT:
        raise ValueError(f"is not the output of apscheduler_export.py: its format is not {FORMAT!r}")
    jobs = exported.get("jobs")
    if not isinstance(jobs, list) or not all(isinstance(job, Mapping) for job in jobs):
        raise ValueError("is not the output of apscheduler_export.py: its jobs are not a list of objects")
    return _read(jobs, lambda job, entry: _exported_trigger(job["trigger"], entry))


def read_flask_jobs(jobs: Iterable[Mapping[str, Any]]) -> Import:
    """Return the import of Flask-APScheduler's setting `JOBS`."""
    imported = _read(jobs, _flask_trigger)
    imported.notes.append(
        "SCHEDULER_TIMEZONE and SCHEDULER_JOB_DEFAULTS are not in JOBS: where you set them, give the jobs a timezone "
        "and policies"
    )
    return imported


TriggerReader = Callable[[Mapping[str, Any], Entry], dict[str, Any]]


def _read(jobs: Iterable[Mapping[str, Any]], read_trigger: TriggerReader) -> Import:
    ids = Ids()
    return Import(
        entries=[
            read_entry(_source(number, job), _reference(job.get("func")), partial(_job, job, ids, read_trigger))
            for number, job in enumerate(jobs, start=1)
        ]
    )


def _source(number: int, job: Mapping[str, Any]) -> str:
    return f"job number {number}" if job.get("id") is None else f"job {job['id']!r}"


def _reference(func: Any) -> str:
    return str(name_of(func, f"{func.__module__}:{func.__qualname__}") if callable(func) else func)


def _job(job: Mapping[str, Any], ids: Ids, read_trigger: TriggerReader, entry: Entry) -> dict[str, Any]:
    if job.get("id") is None:
        raise ValueError("has no id")
    trigger = read_trigger(job, entry)
    if job.get("func") is None or "<" in entry.text:
        raise LeftOut(f"its function ({entry.text}) has no name to call it by, such as module:name")
    args, kwargs = _arguments(job)
    job_id = ids.of(str(job["id"]))
    if job_id != job["id"]:
        entry.notes.append(f"its id becomes {job_id!r}: other characters are not allowed")
    policies = {name: job.get(name, default) for name, default in DEFAULTS.items()}
    if policies["misfire_grace_time"] is None:
        entry.notes.append("misfire_grace_time null: a late run starts however late it is")
    executor = str(job.get("executor") or "default")
    if executor not in ("default", "thread"):
        entry.notes.append(f"its executor was {executor!r}: it runs in a {_executor(executor)}")
    is_paused = job.get("paused") or ("next_run_time" in job and job["next_run_time"] is None)
    body = {
        "id": job_id, "name": str(job.get("name") or job["id"])[:200], "func": entry.text, "args": args,
        "kwargs": kwargs,
        "trigger": trigger, "paused": True if is_paused else None, "executor": _executor(executor),
    }  # fmt: skip
    return {**without_empty(body), **policies}


def _executor(name: str) -> str:
    return "process" if "process" in name.lower() else "thread"


def _arguments(job: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    args, kwargs = job.get("args") or [], job.get("kwargs") or {}
    for given in (args, kwargs):
        plain = to_json(list(given) if isinstance(given, tuple) else given)
        if isinstance(plain, Mapping) and set(plain) == {"repr"}:
            raise LeftOut(f"its arguments are not JSON: {plain['repr']}")
    return list(args), dict(kwargs)


def _exported_trigger(given: Mapping[str, Any], entry: Entry) -> dict[str, Any]:
    kind = KINDS.get(given["type"])
    if kind is None:
        raise LeftOut(f"a trigger of the type {given['type']} has no counterpart: make a job for each of its parts")
    shared = {name: given.get(name) for name in ("start_date", "end_date", "timezone", "jitter")}
    _explain_jitter(given, entry)
    if kind == "date":
        return {"type": "date", "run_date": given["run_date"]}
    if kind == "cron":
        return without_empty({"type": "cron", **given["fields"], **shared})
    if kind == "calendarinterval":
        parts = {name: given.get(name) or None for name in ("years", "months", "weeks", "days")}
        hour, minute, second = (int(part) for part in str(given["time"])[:8].split(":"))
        return without_empty({"type": kind, **parts, "hour": hour, "minute": minute, "second": second, **shared})
    seconds = given["seconds"]
    if seconds != int(seconds) or seconds < 1:
        raise LeftOut(f"an interval of {seconds} seconds is too fine: whole seconds are counted")
    return without_empty({"type": "interval", "seconds": int(seconds), **shared})


def _explain_jitter(given: Mapping[str, Any], entry: Entry) -> None:
    if given.get("jitter"):
        entry.notes.append("APScheduler's jitter goes both ways: here a run starts later, by at most as many seconds")


def _flask_trigger(job: Mapping[str, Any], entry: Entry) -> dict[str, Any]:
    trigger = job.get("trigger")
    if unknown := [key for key in job if key not in FLASK_KEYS]:
        entry.notes.append(f"left out: {', '.join(map(str, unknown))}")
    if hasattr(trigger, "get_next_fire_time"):  # a trigger of APScheduler's own
        return _exported_trigger(trigger_as_json(trigger), entry)
    fields = dict(trigger) if isinstance(trigger, Mapping) else {"type": trigger, **_trigger_fields(job)}
    kind = fields.pop("type", None)
    if kind not in KINDS.values():
        raise LeftOut(f"its trigger {trigger!r} has no counterpart")
    _explain_jitter(fields, entry)
    for name in ("run_date", "start_date", "end_date", "timezone"):
        if fields.get(name) is not None:
            fields[name] = str(fields[name])
    return without_empty({"type": kind, **fields})


def _trigger_fields(job: Mapping[str, Any]) -> dict[str, Any]:
    names = {*CRON_FIELDS, *UNITS, "run_date", "start_date", "end_date", "timezone", "jitter"}
    return {name: value for name, value in job.items() if name in names}
