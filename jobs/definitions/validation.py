"""What a job's definition may be: one validator, for the API, the admin, the settings and the command line alike."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, cast

from django.conf import settings

from ..core.exceptions import CronzimusError, InvalidArguments, InvalidFunction, InvalidRequest, InvalidTrigger
from ..core.json import parse_stored, unstorable
from ..core.triggers.definition import TRIGGER_FIELDS, Recipe, Trigger, build_trigger, clean_trigger, recipe_of
from ..core.values import is_whole, unknown_names
from ..functions import registry
from ..models.job import JOB_ID, Job
from .policies import POLICIES, complete_retries, default_policies, policy_problems

DEFINITION_FIELDS = ("name", "description", "tags", "func", "args", "kwargs")
"""The fields of a job that are neither trigger nor policy."""
POLICY_FIELDS = tuple(POLICIES)
"""The fields of a job that are policies."""
ALL_TRIGGER_FIELDS = tuple(dict.fromkeys(name for names in TRIGGER_FIELDS.values() for name in names))
"""The fields of all kinds of triggers."""

Errors = dict[str, CronzimusError]
"""What is wrong, by field."""


def clean_job(body: Mapping[str, Any], *, now: datetime, job: Job | None = None) -> dict[str, Any]:
    """Validate `body`, a job as people write it, flat as in the contract; return the model's fields that it gives.

    Without `job` it is a new one: what is left out gets its default. With `job` only what `body` names is returned,
    and checked against the rest of `job`. Nothing is written.

    Raises a subclass of `InvalidRequest` that names every bad field; its code is that of the first one in the order
    of the request, the function, the arguments, the trigger and the policies.
    """
    errors: Errors = {}
    cleaned: dict[str, Any] = {}
    steps: tuple[Callable[..., None], ...] = (
        _clean_names, _clean_id, _clean_texts, _clean_function, _clean_arguments, _clean_trigger, _clean_policies
    )  # fmt: skip
    for step in steps:
        step(body, cleaned, errors, job, now)
    if errors:
        raise _combined(errors)
    return cleaned


def clean_arguments(function: registry.Function, args: object, kwargs: object) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of a job of `function`, without the placeholders of injected parameters.

    Raises `InvalidArguments` unless they are JSON of the right shape that fits the function's signature.
    """
    if fields := _argument_problems(args, kwargs):
        raise InvalidArguments(fields=fields)
    stored = without_placeholders(function, cast("list[Any]", args), cast("dict[str, Any]", kwargs))
    function.check(*stored)
    return stored


def _argument_problems(args: object, kwargs: object) -> dict[str, str]:
    """Return what is wrong with arguments whatever the function."""
    fields = {}
    if not isinstance(args, list):
        fields["args"] = "must be an array of the positional arguments"
    if not isinstance(kwargs, dict) or not all(isinstance(name, str) for name in kwargs):
        fields["kwargs"] = "must be an object of the named arguments"
    return fields | {name: said for name, value in (("args", args), ("kwargs", kwargs)) if (said := unstorable(value))}


def placeholder(kind: type) -> str:
    """Return what the API shows in place of an injected argument."""
    return f"<{kind.__name__} instance>"


def with_placeholders(
    function: registry.Function, args: list[Any], kwargs: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments as the API shows them: injected ones in their places, as `"<Database instance>"`."""
    return function.bind(args, kwargs, {kind: placeholder(kind) for kind in registry.INJECTED})


def without_placeholders(
    function: registry.Function, args: list[Any], kwargs: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return arguments as they are stored: what `with_placeholders` put in is left out."""
    names = list(function.signature.parameters)
    shown = {
        index: placeholder(function.injected[name]) for index, name in enumerate(names) if name in function.injected
    }
    kept = [value for index, value in enumerate(args) if index not in shown or value != shown[index]]
    named = {k: v for k, v in kwargs.items() if k not in function.injected or v != placeholder(function.injected[k])}
    return kept, named


def trigger_of(job: Job) -> Trigger:
    """Return the trigger of a stored job. Raises `InvalidTrigger` where its row is damaged."""
    return build_trigger(job.trigger, anchor=job.anchor, default_timezone=settings.TIME_ZONE, key=job.id)


def trigger_from(text: str, *, anchor: datetime, key: str) -> Trigger:
    """Return the trigger whose definition is stored as the JSON `text`: what it takes is worked out once for each text.

    Raises `InvalidTrigger` where it is damaged.
    """
    # A date is not kept; see `recipe_of`. (A text that only looks like one costs a little time, and nothing else.)
    make = _recipe_from.__wrapped__ if '"date"' in text else _recipe_from
    return make(text, settings.TIME_ZONE)(anchor, key)


@lru_cache(maxsize=4096)
def _recipe_from(text: str, default_timezone: str) -> Recipe:
    return recipe_of(parse_stored(text), default_timezone=default_timezone)


def problem(job: Job) -> str:
    """Return why a stored job can not run, "" where it can: its function is not registered, or its row is damaged."""
    try:
        trigger_of(job)
        function = registry.lookup(job.func)
        clean_arguments(function, job.args, job.kwargs)
    except CronzimusError as error:
        return str(error)
    return ""


def _clean_names(
    body: Mapping[str, Any], cleaned: dict[str, Any], errors: Errors, job: Job | None, now: datetime
) -> None:
    known = ("id", "trigger", *DEFINITION_FIELDS, *POLICY_FIELDS, *ALL_TRIGGER_FIELDS)
    errors |= {name: InvalidRequest(message) for name, message in unknown_names(body, known).items()}


def _clean_id(body: Mapping[str, Any], cleaned: dict[str, Any], errors: Errors, job: Job | None, now: datetime) -> None:
    value = body.get("id")
    if job is not None:
        if "id" in body and value != job.id:
            errors["id"] = InvalidRequest(f"a job keeps its id, {job.id!r}; leave it out")
    elif not isinstance(value, str) or not re.fullmatch(JOB_ID, value):
        errors["id"] = InvalidRequest("must be 1 to 64 letters, digits and _ . : -, a letter or digit first")
    else:
        cleaned["id"] = value


def _clean_texts(
    body: Mapping[str, Any], cleaned: dict[str, Any], errors: Errors, job: Job | None, now: datetime
) -> None:
    for name, longest, right in (("name", 200, "1 to 200"), ("description", 10_000, "at most 10,000")):
        if name in body:
            value = body[name]
            blank = name == "name" and isinstance(value, str) and not value.strip()
            if not isinstance(value, str) or len(value) > longest or unstorable(value) or blank:
                errors[name] = InvalidRequest(f"must be a text of {right} characters, without NUL")
            cleaned[name] = value
    if "tags" in body:
        cleaned["tags"] = tags = body["tags"]
        if not isinstance(tags, list) or len(tags) > 20 or not all(_is_tag(tag) for tag in tags):
            errors["tags"] = InvalidRequest("must be an array of at most 20 words of letters, digits and _ . : -")


def _clean_function(
    body: Mapping[str, Any], cleaned: dict[str, Any], errors: Errors, job: Job | None, now: datetime
) -> None:
    if job is not None and "func" not in body:
        return
    try:
        function = registry.lookup(body.get("func"))
    except InvalidFunction as error:
        errors["func"] = InvalidFunction(error.fields["func"])
        return
    cleaned["func"] = function.reference
    if job is None:
        cleaned.setdefault("name", function.name)


def _clean_arguments(
    body: Mapping[str, Any], cleaned: dict[str, Any], errors: Errors, job: Job | None, now: datetime
) -> None:
    if job is not None and not {"func", "args", "kwargs"} & body.keys():
        return
    args = body.get("args", job.args if job else [])
    kwargs = body.get("kwargs", job.kwargs if job else {})
    try:
        if "func" in errors:
            raise InvalidArguments(fields=_argument_problems(args, kwargs))
        function = registry.lookup(cleaned.get("func", job.func if job else None))
        cleaned["args"], cleaned["kwargs"] = clean_arguments(function, args, kwargs)
    except (InvalidFunction, InvalidArguments) as error:
        errors |= {field: type(error)(message) for field, message in error.fields.items()}


def _clean_trigger(
    body: Mapping[str, Any], cleaned: dict[str, Any], errors: Errors, job: Job | None, now: datetime
) -> None:
    given = {name: body[name] for name in ALL_TRIGGER_FIELDS if name in body}
    if job is not None and not given and "trigger" not in body:
        return
    try:
        if body.get("trigger", "") is None:
            raise InvalidTrigger(fields={"trigger": f"must be one of {', '.join(TRIGGER_FIELDS)}, not null"})
        definition = flat_trigger(body.get("trigger"), given, job)
        if job is not None and is_same(definition, job.trigger):
            return
        grace = body.get(
            "misfire_grace_time", job.misfire_grace_time if job else default_policies()["misfire_grace_time"]
        )
        cleaned["trigger"] = clean_trigger(
            definition,
            now=now,
            default_timezone=settings.TIME_ZONE,
            grace=grace if is_whole(grace) else None,
        )
    except InvalidTrigger as error:
        fields = error.fields or {"trigger": str(error)}
        errors |= {field: InvalidTrigger(message) for field, message in fields.items()}


def flat_trigger(trigger: object, fields: Mapping[str, Any], job: Job | None = None) -> dict[str, Any]:
    """Return a trigger's definition, `{"type": …, …}`, from the ways in which a request may give it.

    `trigger` is the type, with the trigger's `fields` beside it as the contract has it, or an object as a GET shows it.
    `fields` alone change those of `job`'s own trigger. Raises `InvalidTrigger` for a mix of the two.
    """
    if isinstance(trigger, Mapping):
        if fields:
            message = "the trigger is given as an object: give its fields there"
            raise InvalidTrigger(fields=dict.fromkeys(fields, message))
        return dict(trigger)
    if trigger is None and job is not None and isinstance(job.trigger, dict):
        return {**job.trigger, **fields}
    return {"type": trigger, **fields}


def _clean_policies(
    body: Mapping[str, Any], cleaned: dict[str, Any], errors: Errors, job: Job | None, now: datetime
) -> None:
    given = {name: body[name] for name in POLICY_FIELDS if name in body}
    if job is None:
        given = default_policies() | given
    errors |= {name: InvalidRequest(message) for name, message in policy_problems(given).items()}
    cleaned |= given
    if "retries" in given and "retries" not in errors:
        cleaned["retries"] = complete_retries(given["retries"])


def _is_tag(tag: object) -> bool:
    return isinstance(tag, str) and re.fullmatch(r"[\w.:-]{1,50}", tag) is not None


def _combined(errors: Errors) -> CronzimusError:
    first = next(iter(errors.values()))
    fields = {name: str(error) for name, error in errors.items()}
    return type(first)(fields=fields)


def changed(job: Job, cleaned: Mapping[str, Any]) -> list[str]:
    """Return the names of the fields of `job` that `cleaned` would change."""
    return [name for name, value in cleaned.items() if not is_same(getattr(job, name), value)]


def is_same(value: object, other: object) -> bool:
    """Tell whether two values are the same JSON: for Python alone, 1 is 1.0 and true as well."""
    return value == other and json.dumps(value, sort_keys=True) == json.dumps(other, sort_keys=True)
