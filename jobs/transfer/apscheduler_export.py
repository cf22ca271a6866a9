"""Write the jobs of an APScheduler 3 scheduler as JSON. Run this file in the application that has the scheduler.

    python apscheduler_export.py myapp.scheduling:scheduler > jobs.json

It needs that application and nothing else: APScheduler's job stores hold pickles, which only the application itself can
read. It works for APScheduler's own stores, for Flask-APScheduler (name its `scheduler` attribute) and for
django-apscheduler (set DJANGO_SETTINGS_MODULE first). Then, with Cronzimus:

    manage.py cronzimus import apscheduler jobs.json
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys
from typing import Any

FORMAT = "apscheduler 3 jobs, 1"


def export(scheduler: Any) -> dict[str, Any]:
    """Return the jobs of `scheduler` as JSON values."""
    from apscheduler.schedulers.background import BackgroundScheduler
    from apscheduler.schedulers.base import BaseScheduler

    if not isinstance(scheduler, BaseScheduler):
        scheduler = scheduler.scheduler  # Flask-APScheduler wraps one
    if scheduler.state == 0:
        # A scheduler reads its stores once it has started. `start` of the other classes blocks, or wants an event loop.
        kind = BackgroundScheduler if isinstance(scheduler, BackgroundScheduler) else BaseScheduler
        kind.start(scheduler, paused=True)
    return {"format": FORMAT, "jobs": [_job(job) for job in scheduler.get_jobs()]}


def _job(job: Any) -> dict[str, Any]:
    return {
        "id": job.id,
        "name": job.name,
        "func": name_of(job.func, job.func_ref),
        "args": to_json(list(job.args)),
        "kwargs": to_json(dict(job.kwargs)),
        "trigger": trigger_as_json(job.trigger),
        "executor": job.executor,
        "misfire_grace_time": job.misfire_grace_time,
        "coalesce": job.coalesce,
        "max_instances": job.max_instances,
        "paused": job.next_run_time is None,
    }


def name_of(func: Any, reference: str | None) -> str | None:
    """Return the reference of `func`, in angle brackets for a method of an object: it does not lead to the object."""
    if inspect.ismethod(func) and not inspect.isclass(func.__self__):
        return f"<the method {reference} of an object>"
    return reference


def trigger_as_json(trigger: Any) -> dict[str, Any]:
    """Return a trigger by its type and its fields."""
    kind = type(trigger).__name__
    shown: dict[str, Any] = {"type": kind}
    if kind == "CronTrigger":
        shown["fields"] = {field.name: str(field) for field in trigger.fields if not field.is_default}
    elif kind == "IntervalTrigger":
        shown["seconds"] = trigger.interval.total_seconds()
    elif kind == "DateTrigger":
        shown["run_date"] = trigger.run_date.isoformat()
    elif kind == "CalendarIntervalTrigger":
        for name in ("years", "months", "weeks", "days"):
            shown[name] = getattr(trigger, name)
        shown["time"] = trigger._time.isoformat()
    elif hasattr(trigger, "triggers"):
        shown["triggers"] = [trigger_as_json(part) for part in trigger.triggers]
    for name in ("start_date", "end_date"):
        value = getattr(trigger, name, None)
        if value is not None:
            shown[name] = value.isoformat()
    if getattr(trigger, "timezone", None) is not None:
        shown["timezone"] = str(trigger.timezone)
    if getattr(trigger, "jitter", None):
        shown["jitter"] = trigger.jitter
    return shown


def to_json(value: Any) -> Any:
    """Return `value` if JSON can hold it, else {"repr": …}."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return {"repr": repr(value)}
    return value


def main(words: list[str]) -> int:
    """Export the scheduler that the command line names."""
    if len(words) != 1 or ":" not in words[0]:
        print("usage: python apscheduler_export.py MODULE:SCHEDULER", file=sys.stderr)  # noqa: T201
        return 2
    sys.path.insert(0, "")
    if os.environ.get("DJANGO_SETTINGS_MODULE"):
        import django

        django.setup()
    module, _, name = words[0].partition(":")
    scheduler: Any = importlib.import_module(module)
    for part in name.split("."):
        scheduler = getattr(scheduler, part, None)
    if not hasattr(scheduler, "get_jobs"):
        print(f"{words[0]} is not a scheduler of APScheduler or Flask-APScheduler", file=sys.stderr)  # noqa: T201
        return 1
    json.dump(export(scheduler), sys.stdout, indent=2, ensure_ascii=False)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
