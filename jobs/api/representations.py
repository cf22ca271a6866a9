"""Represent rows: plain functions that turn a row into values for JSON."""

from __future__ import annotations

import inspect
import json
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from typing import Any

from ..core.exceptions import CronzimusError
from ..core.output import read_from
from ..core.runs import FINISHED, Executor
from ..core.secrets import masked
from ..core.warnings import JobWarning
from ..definitions import validation
from ..definitions.arguments import with_placeholders
from ..definitions.triggers import trigger_of
from ..functions import registry
from ..functions.registry import Function
from ..models import Job
from ..models.run import duration
from ..selectors.states import job_state, zone_of
from ..selectors.waiting import WAITING_FIELDS, Waiting
from ..selectors.warnings import Surroundings, job_warnings

RUN_COLUMNS = (
    "id", "job_id", "func", "status", "reason", "trigger", "actor", "scheduled_time", "queued_at", "started_at",
    "finished_at", "attempt", "fire_times", "scheduler_id", "executor", "version", "progress_done", "progress_total",
    "result", "error", "queue", "dispatches", "dispatched_at", "available_at", "dispatch_id",
)  # fmt: skip
"""The columns of a run that the list reads; `run` takes their values in this order."""
JOB_FIELDS = (
    "id", "name", "trigger", "next_run_time", "next_run_time_iso", "state", "paused", "paused_at", "paused_by",
    "paused_until", "pause_reason", "args", "kwargs", "func", "description", "owner", "tags",
    *validation.POLICY_FIELDS, "trigger_description", "warnings", "error", "run_count", "failure_count", "last_status",
    "last_run_at", "created_at", "updated_at", "version",
)  # fmt: skip
"""The fields of a job, in their order."""
RUN_FIELDS = (
    "id", "job_id", "func", "status", "reason", "trigger", "actor", "scheduled_time", "queued_at", "started_at",
    "finished_at", "attempt", "fire_times", "executor", "version", "result", "error", "duration", "scheduler",
    "progress", "worker", "queue", "dispatches", "dispatched_at", "waits_for",
)  # fmt: skip
"""The fields of a run in a list, in their order."""


def job_detail(
    job: Job,
    now: datetime,
    fields: Collection[str] = JOB_FIELDS,
    *,
    hides: bool = False,
    around: Surroundings | None = None,
) -> dict[str, Any]:
    """Return the `fields` of a job at `now`. Damaged values are shown as they are stored.

    With `hides`, texts among the arguments that look secret are masked. `around` is as in `job_warnings`.
    """
    state, error = job_state(job, now)
    args, kwargs = map(masked, _arguments(job)) if hides else _arguments(job)
    shown = {
        "id": job.id,
        "name": job.name,
        "trigger": job.trigger,
        **next_times(job),
        "state": state,
        **_pause(job, now),
        "args": args,
        "kwargs": kwargs,
        "func": job.func,
        "description": job.description,
        "owner": job.owner,
        "tags": job.tags,
        **{name: getattr(job, name) for name in validation.POLICY_FIELDS},
        "trigger_description": _description(job),
        "warnings": warnings(job_warnings(job, now, around)) if "warnings" in fields else [],
        "error": error,
        "run_count": job.run_count,
        "failure_count": job.failure_count,
        "last_status": job.last_status,
        "last_run_at": utc(job.last_run_at),
        "created_at": utc(job.created_at),
        "updated_at": utc(job.updated_at),
        "version": job.version,
    }
    return shown if fields is JOB_FIELDS else {name: shown[name] for name in fields}


def warnings(found: Iterable[JobWarning]) -> list[dict[str, str]]:
    """Return warnings: a code for programs and a message for people, each."""
    return [{"code": code.value, "message": message} for code, message in found]


def run(row: Sequence[Any], waiting: Waiting) -> dict[str, Any]:
    """Return a run, from the values of `RUN_COLUMNS`; `waiting` says what it waits for."""
    shown = dict(zip(RUN_COLUMNS, row, strict=True))
    waits_for = waiting.of([shown[name] for name in WAITING_FIELDS])
    del shown["available_at"], shown["dispatch_id"]
    done, total = shown.pop("progress_done"), shown.pop("progress_total")
    took = duration(shown["started_at"], shown["finished_at"])
    instants = ("scheduled_time", "queued_at", "started_at", "finished_at", "dispatched_at")
    is_remote, has_started = shown["executor"] == Executor.CELERY, shown["started_at"] is not None
    shown |= {name: utc(shown[name]) for name in instants}
    shown["duration"] = None if took is None else took.total_seconds()
    holder = shown.pop("scheduler_id")
    shown["scheduler"] = None if is_remote else holder
    shown["worker"] = holder if is_remote and has_started else None
    shown["progress"] = None if done is None else {"done": done, "total": total}
    shown["waits_for"] = waits_for
    return shown


def picked(shown: dict[str, Any], fields: Collection[str] | None) -> dict[str, Any]:
    """Return the `fields` of `shown`, all of them for None."""
    return shown if fields is None else {name: shown[name] for name in fields}


def log(run_id: int, status: str, offset: int, text: str, omitted: int) -> dict[str, Any]:
    """Return the output of a run from the character `offset` on, and the next offset.

    `text` and `omitted` are those of `core.output.read_from`.
    """
    output, next_offset = read_from(offset, text, omitted)
    finished = status in FINISHED
    return {"run_id": run_id, "offset": offset, "next_offset": next_offset, "output": output, "finished": finished}


def function(known: Function) -> dict[str, Any]:
    """Return a registered function with the parameters that a job gives, and the injected ones."""
    return {
        "func": known.reference,
        "name": known.name,
        "description": known.description,
        "parameters": [_parameter(parameter) for parameter in known.arguments.parameters.values()],
        "injected": [{"name": name, "type": kind.__name__} for name, kind in known.injected.items()],
    }


def next_times(job: Job) -> dict[str, str | None]:
    """Return the next fire time of a job, in its own time zone."""
    at = job.next_run_time
    local, iso = (None, None) if at is None else local_times(at, zone_of(job))
    return {"next_run_time": local, "next_run_time_iso": iso}


def local_times(at: datetime, zone: tzinfo) -> tuple[str, str]:
    """Return an instant in a job's time zone: in the form of the contract, and in ISO 8601 with its offset."""
    try:
        text = at.astimezone(zone).isoformat()
    except OverflowError:  # the last hours of the year 9999, east of Greenwich
        text = at.isoformat()
    return f"{text[:10]} {text[11:19]}", text


def utc(at: datetime | None) -> str | None:
    """Return an instant in ISO 8601, in UTC, with Z."""
    return None if at is None else at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _arguments(job: Job) -> tuple[Any, Any]:
    if not isinstance(job.args, list) or not isinstance(job.kwargs, dict):
        return job.args, job.kwargs
    try:
        return with_placeholders(registry.lookup(job.func), job.args, job.kwargs)
    except CronzimusError:
        return job.args, job.kwargs


def _pause(job: Job, now: datetime) -> dict[str, Any]:
    paused = job.is_paused(now)
    shown = {"paused_at": None, "paused_by": "", "paused_until": None, "pause_reason": ""}
    if paused:
        shown = {
            "paused_at": utc(job.paused_at), "paused_by": job.paused_by, "paused_until": utc(job.paused_until),
            "pause_reason": job.pause_reason,
        }  # fmt: skip
    return {"paused": job.paused, **shown}


def _description(job: Job) -> str:
    try:
        return trigger_of(job).describe()
    except CronzimusError:
        return ""


def _parameter(parameter: inspect.Parameter) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": parameter.name,
        "required": parameter.default is parameter.empty and parameter.kind not in _VARIABLE,
        "kind": parameter.kind.name.lower(),
    }
    if parameter.default is not parameter.empty:
        shown["default"] = _plain(parameter.default)
    if parameter.annotation is not parameter.empty:
        shown["annotation"] = inspect.formatannotation(parameter.annotation)
    return shown


_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _plain(value: Any) -> Any:
    with suppress(Exception):  # an object of the project's, which may raise anything
        json.dumps(value, allow_nan=False)
        return value
    try:
        return repr(value)
    except Exception:
        return f"<{type(value).__name__}>"
