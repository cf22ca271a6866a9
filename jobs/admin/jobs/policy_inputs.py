"""Convert a job's policies to the form's inputs, which are texts, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ...conf import conf
from ...core.runs import Executor
from ...definitions import policies
from ...models.job import DEFAULT_QUEUE
from .trigger_inputs import number

NUMBERS = (
    "misfire_grace_time", "max_instances", "queue_limit", "timeout", "priority", "concurrency_limit", "max_runs",
    "pause_after", "keep_runs", "keep_days", "keep_failed_days",
)  # fmt: skip
"""The policies that are whole numbers."""
RETRIES = ("max", "delay", "backoff", "max_delay", "jitter")
"""The parts of the policy `retries`."""
RETRIES_INPUTS = tuple(f"retries_{name}" for name in RETRIES)
"""The inputs of the policy `retries`."""
NO_MAX = "says how often: without it there are no retries, and the inputs below mean nothing"
"""The error if other parts of `retries` are given without `max`."""

_DECIMAL = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,3})?")


def inputs_of(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs that show stored policies, even damaged ones.

    Numbers are texts, so that Django does not see a change when they are sent back.
    """
    shown = {name: str(value) if type(value) is int else value for name, value in stored.items() if name != "retries"}
    return shown | _retries_inputs(stored.get("retries"))


def policies_of(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the policies from `inputs`, by name, without validation."""
    given: dict[str, Any] = {name: whole(inputs.get(name, "")) for name in NUMBERS}
    given |= {name: inputs.get(name, "") for name in ("overlap", "executor", "concurrency_group")}
    if "queue" in inputs:
        given["queue"] = inputs["queue"] or DEFAULT_QUEUE
    parts = {name: text for name in RETRIES if (text := inputs.get(f"retries_{name}", ""))}
    retries = {name: number(text) if name == "max" else _amount(text) for name, text in parts.items()}
    return {**given, "coalesce": bool(inputs.get("coalesce")), "retries": retries or None}


def offers_workers(executor: str) -> bool:
    """Tell whether the form of a job with this executor offers workers and their queues."""
    return bool(conf.CELERY_BROKER_URL) or executor == Executor.CELERY


def whole(text: str) -> int | str | None:
    """Return `text` as a whole number, None if it is empty, and else the text itself."""
    return number(text) if text else None


def retries_problems(retries: object, message: str) -> dict[str, str]:
    """Return the errors in `retries`, which the validator refused with `message`, by input."""
    parts = retries if isinstance(retries, Mapping) else {}
    found = {f"retries_{name}": _problem(name, value) for name, value in parts.items()}
    wrong = {name: problem for name, problem in found.items() if problem}
    if parts and "max" not in parts:
        wrong["retries_max"] = NO_MAX
    return wrong or {"retries_max": message}


def _problem(name: str, value: Any) -> str:
    problems = policies.policy_problems({"retries": {"max": 0, name: value}})
    return problems.get("retries", "").removeprefix(f"{name} ")


def _retries_inputs(retries: object) -> dict[str, str]:
    if not isinstance(retries, Mapping):
        return {} if retries is None else {"retries_max": json.dumps(retries)}
    return {f"retries_{name}": _text(retries[name]) for name in RETRIES if retries.get(name) is not None}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _amount(text: str) -> int | float | str:
    given = number(text)
    return float(given) if isinstance(given, str) and _DECIMAL.fullmatch(given) else given
