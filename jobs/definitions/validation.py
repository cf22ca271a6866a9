"""The one validator of jobs, for the API, the admin, the settings, files and the command line alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import copy
from datetime import datetime
from typing import Any

from ..core.exceptions import CronzimusError, InvalidArguments, InvalidFunction, InvalidRequest, InvalidTrigger
from ..core.json import is_same, spelled_as, unstorable
from ..core.triggers import TRIGGER_FIELDS
from ..core.values import unknown_names
from ..functions import registry
from ..models.job import JOB_ID, Job
from .arguments import argument_problems, clean_arguments
from .policies import POLICIES, complete_retries, default_policies, is_same_policy, policy_problems
from .triggers import (
    ALL_TRIGGER_FIELDS,
    FIRST_TIME,
    clean_definition,
    flat_trigger,
    is_same_trigger,
    likely_fields,
    trigger_of,
)

DEFINITION_FIELDS = ("name", "description", "owner", "tags", "func", "args", "kwargs")
"""The fields of a job that are neither trigger nor policy."""
POLICY_FIELDS = tuple(POLICIES)
"""The fields of a job that are policies."""
WRITABLE_FIELDS = ("id", "trigger", *DEFINITION_FIELDS, "paused", *POLICY_FIELDS, *ALL_TRIGGER_FIELDS)
"""The fields of a job that people can set."""

READ_ONLY_FIELDS = (
    "next_run_time", "next_run_time_iso", "state", "paused_at", "paused_by", "paused_until", "pause_reason",
    "trigger_description", "warnings", "error", "run_count", "failure_count", "last_status", "last_run_at",
    "created_at", "updated_at", "version",
)  # fmt: skip
"""The fields of a job that a GET shows and nobody can set."""

MAX_NAME = 200
"""Characters of a job's name."""
MAX_DESCRIPTION = 10_000
"""Characters of a job's description."""
MAX_OWNER = 254
"""Characters of a job's owner: any e-mail address fits."""
MAX_TAGS = 20
"""Tags of one job."""


def clean_job(
    body: Mapping[str, Any], *, now: datetime, job: Job | None = None, allow_past: bool = False
) -> dict[str, Any]:
    """Validate `body`, a job as people write it, flat as in the contract, and return its fields of the model.

    Without `job` the body is a new job, and missing fields get their defaults. With `job` only the fields that `body`
    names are returned, checked against the rest of `job`. With `allow_past` a trigger need not fire after `now`.
    Nothing is saved.

    Raises a subclass of `InvalidRequest` that names every bad field. Its code is that of the first bad field in the
    order request, function, arguments, trigger, policies.
    """
    return Validation(body, now=FIRST_TIME if allow_past else now, job=job).result()


def tried(
    body: Mapping[str, Any], *, now: datetime, job: Job | None = None, allow_past: bool = False
) -> tuple[Job, list[str]]:
    """Return the job that saving `body` would give, unsaved, and the names of the fields that it would change.

    Takes and raises what `clean_job` does.
    """
    cleaned = clean_job(body, now=now, job=job, allow_past=allow_past)
    shown = copy(job) if job is not None else Job()
    names = changed(shown, cleaned)
    for name, value in cleaned.items():
        setattr(shown, name, value)
    return shown, names


def changed(job: Job, cleaned: Mapping[str, Any]) -> list[str]:
    """Return the names of the fields of `job` that `cleaned` would change."""
    return [name for name, value in cleaned.items() if not is_same(getattr(job, name), value)]


def problem(job: Job, *, arguments: bool = True) -> str:
    """Return why a stored job cannot run: its function is not registered, or its row is damaged. "" if it can.

    Without `arguments`, the arguments are not checked.
    """
    try:
        trigger_of(job)
        function = registry.lookup(job.func)
        if arguments:
            clean_arguments(function, job.args, job.kwargs)
    except CronzimusError as error:
        return str(error)
    return ""


class Validation:
    """The validation of one body: the cleaned fields of the model, and the errors by field."""

    def __init__(self, body: Mapping[str, Any], *, now: datetime, job: Job | None) -> None:
        """Validate with the arguments of `clean_job`; a trigger must fire after `now`."""
        self.body = body
        self.now = now
        self.job = job
        self.cleaned: dict[str, Any] = {}
        self.errors: dict[str, CronzimusError] = {}

    def result(self) -> dict[str, Any]:
        """Return the cleaned fields. Raises as `clean_job` does."""
        self._refuse_unknown_fields()
        self._clean_id()
        self._clean_texts()
        self._clean_paused()
        self._clean_tags()
        self._clean_function()
        self._clean_arguments()
        self._clean_trigger()
        self._clean_policies()
        if self.errors:
            first = next(iter(self.errors.values()))
            raise type(first)(fields={name: str(error) for name, error in self.errors.items()})
        return self.cleaned

    def _refuse(self, field: str, message: str, kind: type[CronzimusError] = InvalidRequest) -> None:
        self.errors[field] = kind(message)

    def _value(self, field: str, default: Any) -> Any:
        """Return the value of a field: the body's, or else the job's, or else `default`."""
        stored = default if self.job is None else getattr(self.job, field)
        return self.body.get(field, stored)

    def _refuse_unknown_fields(self) -> None:
        for name in READ_ONLY_FIELDS:
            if name in self.body:
                instead = _INSTEAD.get(name, "leave it out")
                self._refuse(name, f"is read-only; {instead}")
        unknown = (name for name in self.body if name not in READ_ONLY_FIELDS)
        likely = likely_fields(self.body, self.job)
        for name, message in unknown_names(unknown, WRITABLE_FIELDS, likely=likely).items():
            self._refuse(name, message)

    def _clean_id(self) -> None:
        value = self.body.get("id")
        if self.job is not None:
            if "id" in self.body and value != self.job.id:
                self._refuse("id", f"a job keeps its id, {self.job.id!r}; leave it out")
        elif isinstance(value, str) and re.fullmatch(JOB_ID, value):
            self.cleaned["id"] = value
        else:
            self._refuse("id", "must be 1 to 64 ASCII letters, digits and _ . : -, a letter or digit first")

    def _clean_texts(self) -> None:
        for name, (least, most) in _LENGTHS.items():
            if name not in self.body:
                continue
            value = self.cleaned[name] = self.body[name]
            is_right = isinstance(value, str) and len(value) <= most and not unstorable(value)
            if not is_right or len(value.strip()) < least:
                length = f"{least} to {most:,}" if least else f"at most {most:,}"
                self._refuse(name, f"must be a text of {length} characters, without NUL")

    def _clean_paused(self) -> None:
        if "paused" not in self.body:
            return
        paused = self.cleaned["paused"] = self.body["paused"]
        if not isinstance(paused, bool):
            self._refuse("paused", "must be true or false")

    def _clean_tags(self) -> None:
        if "tags" not in self.body:
            return
        tags = self.cleaned["tags"] = self.body["tags"]
        if not isinstance(tags, list) or len(tags) > MAX_TAGS or not all(_is_tag(tag) for tag in tags):
            self._refuse("tags", f"must be an array of at most {MAX_TAGS} words of ASCII letters, digits and _ . : -")

    def _clean_function(self) -> None:
        if self.job is not None and "func" not in self.body:
            return
        try:
            function = registry.lookup(self.body.get("func"))
        except InvalidFunction as error:
            self._refuse("func", error.fields["func"], InvalidFunction)
            return
        self.cleaned["func"] = function.reference
        if self.job is None:
            self.cleaned.setdefault("name", function.name)

    def _clean_arguments(self) -> None:
        if self.job is not None and self.body.keys().isdisjoint(("func", "args", "kwargs")):
            return
        args, kwargs = self._value("args", []), self._value("kwargs", {})
        try:
            if "func" in self.errors:
                raise InvalidArguments(fields=argument_problems(args, kwargs))
            function = registry.lookup(self._value("func", None))
            stored = (None, None) if self.job is None else (self.job.args, self.job.kwargs)
            cleaned = clean_arguments(function, args, kwargs, stored=stored)
            self.cleaned["args"], self.cleaned["kwargs"] = cleaned
        except (InvalidFunction, InvalidArguments) as error:
            for field, message in error.fields.items():
                self._refuse(field, message, type(error))

    def _clean_trigger(self) -> None:
        fields = {name: self.body[name] for name in ALL_TRIGGER_FIELDS if name in self.body}
        if self.job is not None and not fields and "trigger" not in self.body:
            return
        try:
            if self.body.get("trigger", "") is None:
                raise InvalidTrigger(fields={"trigger": f"must be one of {', '.join(TRIGGER_FIELDS)}, not null"})
            definition = flat_trigger(self.body.get("trigger"), fields, self.job)
            if self.job is None or not is_same_trigger(definition, self.job.trigger):
                grace = self._value("misfire_grace_time", default_policies()["misfire_grace_time"])
                definition = spelled_as(definition, None if self.job is None else self.job.trigger)
                self.cleaned["trigger"] = clean_definition(definition, now=self.now, grace=grace)
        except InvalidTrigger as error:
            for field, message in (error.fields or {"trigger": str(error)}).items():
                self._refuse(field, message, InvalidTrigger)

    def _clean_policies(self) -> None:
        given = {name: self.body[name] for name in POLICY_FIELDS if name in self.body}
        if self.job is None:
            given = default_policies() | given
        for name, value in given.items():
            stored = None if self.job is None else getattr(self.job, name)
            value = spelled_as(value, stored)
            if self.job is not None and is_same_policy(name, value, stored):
                self.cleaned[name] = stored
            elif message := policy_problems({name: value}).get(name):
                self._refuse(name, message)
            else:
                self.cleaned[name] = complete_retries(value) if name == "retries" else value


def tag_problem(tag: object) -> str:
    """Return the error in a tag, "" if there is none."""
    return "" if _is_tag(tag) else "must be words of ASCII letters, digits and _ . : -, of at most 50 characters"


_INSTEAD = {
    "state": "set 'paused', or POST to the job's /pause or /resume",
    "paused_until": "POST to the job's /pause or /resume",
}
_LENGTHS = {"name": (1, MAX_NAME), "description": (0, MAX_DESCRIPTION), "owner": (0, MAX_OWNER)}


def _is_tag(tag: object) -> bool:
    return isinstance(tag, str) and re.fullmatch(r"[\w.:-]{1,50}", tag) is not None
