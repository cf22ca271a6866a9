"""The policies of a job: their valid values, and the defaults."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ..conf import conf
from ..core.json import is_equal
from ..core.queues import queue_problem
from ..core.retries import Retries
from ..core.runs import Executor, Overlap
from ..core.values import is_number, is_whole
from ..models.job import Job

YEARS = 366 * 86400
"""Seconds in the longest year."""

Check = Callable[[Any], str]
"""Takes a value and returns the error, "" for a valid value."""


def default_policies() -> dict[str, Any]:
    """Return the policies of a job that names none: the model's defaults, overridden by conf.JOB_DEFAULTS."""
    own: dict[str, Any] = conf.JOB_DEFAULTS
    return {field.name: field.get_default() for field in Job._meta.concrete_fields if field.name in POLICIES} | own


def policy_problems(policies: Mapping[str, Any]) -> dict[str, str]:
    """Return a message for each policy that is wrong or unknown, by its name."""
    return {
        name: message
        for name, value in policies.items()
        if (message := POLICIES[name](value) if name in POLICIES else "is not a policy of a job")
    }


def executor_of(job: Any) -> str:
    """Return the executor of a job's runs. With a timeout it must be one that can be stopped: a process or a worker."""
    is_local = job.timeout is not None and job.executor != Executor.CELERY
    return Executor.PROCESS if is_local else str(job.executor)


def queue_of(job: Any) -> str | None:
    """Return the queue of a job's runs; None where no worker runs them."""
    return str(job.queue) if job.executor == Executor.CELERY else None


def _whole(low: int, high: int, what: str = "", *, null: str = "") -> Check:
    """Return a check for whole numbers from `low` to `high`, and for null if `null` says its meaning."""
    right = f"must be {f'null ({null}) or ' if null else ''}a whole number{what} from {low} to {high}"

    def check(value: Any) -> str:
        if value is None:
            return "" if null else right
        return "" if is_whole(value, low, high) else right

    return check


def _executor(value: Any) -> str:
    if value == Executor.CELERY and not conf.CELERY_BROKER_URL:
        return (
            "celery needs the setting CELERY_BROKER_URL, the address of a Redis or RabbitMQ server, "
            "such as redis://host:6379/0"
        )
    return _one_of(tuple(name for name in Executor if name != Executor.CELERY or conf.CELERY_BROKER_URL))(value)


def _one_of(names: tuple[str, ...]) -> Check:
    return lambda value: "" if isinstance(value, str) and value in names else f"must be one of {', '.join(names)}"


_RETRIES: dict[str, tuple[float, float]] = {
    "delay": (0, YEARS),
    "backoff": (1, 100),
    "max_delay": (0, YEARS),
    "jitter": (0, YEARS),
}


def _retries(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, Mapping) or "max" not in value:
        return 'must be null (none) or an object such as {"max": 3, "delay": 10, "backoff": 2, "max_delay": 3600}'
    if wrong := _whole(0, 100)(value["max"]):
        return f"max {wrong}"
    for name, number in value.items():
        if name != "max" and name not in _RETRIES:
            return f"has no field {str(name)[:40]!r}; its fields are max, {', '.join(_RETRIES)}"
        if name != "max" and not is_number(number, *_RETRIES[name]):
            low, high = _RETRIES[name]
            return f"{name} must be a number{'' if name == 'backoff' else ' of seconds'} from {low} to {high}"
    return ""


def _group(value: Any) -> str:
    right = "must be empty or 1 to 64 ASCII letters, digits and _ . : -"
    return "" if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_.:-]{0,64}", value) else right


POLICIES: dict[str, Check] = {
    "executor": _executor,
    "queue": queue_problem,
    "misfire_grace_time": _whole(0, 10 * YEARS, " of seconds", null="any lateness"),
    "coalesce": lambda value: "" if isinstance(value, bool) else "must be true or false",
    "max_instances": _whole(1, 1000),
    "overlap": _one_of(tuple(Overlap)),
    "queue_limit": _whole(1, 1000),
    "timeout": _whole(1, YEARS, " of seconds", null="none"),
    "retries": _retries,
    "priority": _whole(-1000, 1000),
    "concurrency_group": _group,
    "concurrency_limit": _whole(1, 1000),
    "max_runs": _whole(1, 2**31 - 1, null="any number"),
    "pause_after": _whole(1, 1000, null="never"),
    "keep_runs": _whole(1, 2**31 - 1, null="all"),
    "keep_days": _whole(1, 36_500, null="for ever"),
    "keep_failed_days": _whole(1, 36_500, null="as long as the others"),
}
"""The check of each policy, by name."""


def is_same_policy(name: str, value: Any, stored: Any) -> bool:
    """Tell whether a policy's value is the stored one: numbers by their value, retries with their defaults."""
    if name == "retries" and isinstance(value, Mapping):
        value = {**_USUAL_RETRIES, **value}
    return is_equal(value, stored)


def complete_retries(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return checked retries with a value for every field; None for no retries."""
    if value is None or value["max"] == 0:
        return None
    whole = Retries(**value)
    return {name: getattr(whole, name) for name in ("max", *_RETRIES)}


_USUAL_RETRIES = complete_retries({"max": 1}) or {}
