"""The form of a job: its inputs become the flat body of the contract, which the one validator checks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any, cast
from zoneinfo import available_timezones

from django import forms
from django.http import QueryDict
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from ...core.exceptions import CronzimusError, InvalidTrigger
from ...core.json import parse_strict
from ...core.runs import Executor
from ...core.triggers import CRON_FIELDS, INTERVAL_UNITS
from ...definitions import policies, validation
from ...definitions.triggers import trigger_of
from ...functions import registry
from ...models import Job, JobVersion
from . import arguments, conflicts, policy_inputs, trigger_inputs
from .policy_form import PolicyForm, text, whole_number

KINDS = (
    ("interval", "Every"),
    ("crontab", "Crontab"),
    ("cron", "Cron fields"),
    ("calendarinterval", "Calendar"),
    ("date", "Once"),
)
"""The kinds of triggers in the form."""
TRIGGER_INPUTS = ("trigger", *dict.fromkeys(name for names in trigger_inputs.KINDS.values() for name in names))
"""The inputs that make up the trigger."""
CRON_EXAMPLES = {"day": "last", "day_of_week": "mon-fri", "hour": "9-17", "minute": "*/15", "month": "1,7"}
"""Examples in the inputs of a cron trigger, by field."""
DATE_EXAMPLE = "2027-01-31 14:30:00"
"""The example in the inputs of instants."""

_JSON_AREA = {"rows": 3, "cols": 60, "class": "vLargeTextField code", "spellcheck": "false"}


class ZoneInput(forms.TextInput):
    """A text input that offers the names of the time zones."""

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        """Return the input and the list of names that it offers."""
        options = f"{name}-zones"
        field = super().render(name, value, {**(attrs or {}), "list": options}, renderer)
        return format_html("{}{}", field, _zone_list(options))


@lru_cache
def _zone_list(list_id: str) -> SafeString:
    zones = format_html_join("", '<option value="{}"></option>', ((zone,) for zone in sorted(available_timezones())))
    return format_html('<datalist id="{}">{}</datalist>', list_id, zones)


def _small(label: str, example: str = "*") -> forms.CharField:
    return text(label, widget=forms.TextInput({"size": 8, "placeholder": example, "autocomplete": "off"}))


class JobForm(PolicyForm):
    """A job as people write it. `now` is the instant of the request; `body` is the body for the services."""

    now: datetime

    id = text(
        "Id",
        "Letters, digits and _ . : -, at most 64. It cannot be changed later.",
        forms.TextInput({"class": "vTextField"}),
    )
    name = text("Name", "Empty: the function's own name.", forms.TextInput({"class": "vTextField"}))
    description = text("Description", widget=forms.Textarea({"rows": 2, "class": "vLargeTextField"}), strip=False)
    owner = text(
        "Owner", "The person or the team to ask about it.", forms.TextInput({"class": "vTextField", "list": "owners"})
    )
    tags = text("Tags", "Words, separated by commas.", forms.TextInput({"class": "vTextField"}))
    func = text("Function", "One of the registered functions.", forms.Select())
    args = text("Arguments", "A JSON array: [1, &quot;two&quot;].", forms.Textarea(_JSON_AREA))
    kwargs = text("Named arguments", "A JSON object: {&quot;name&quot;: 1}.", forms.Textarea(_JSON_AREA))

    trigger = text("Trigger", widget=forms.RadioSelect({"class": "radiolist"}, choices=KINDS))
    weeks, days, hours, minutes, seconds = (whole_number(capfirst(unit)) for unit in INTERVAL_UNITS)
    year, month, day, week, day_of_week, hour, minute, second = (
        _small(capfirst(name.replace("_", " ")), CRON_EXAMPLES.get(name, "*")) for name in CRON_FIELDS
    )
    calendar_years, calendar_months, calendar_weeks, calendar_days, calendar_hour, calendar_minute, calendar_second = (
        whole_number(capfirst(name)) for name in trigger_inputs.CALENDAR_INPUTS.values()
    )
    crontab = text(
        "Crontab line",
        "Minute, hour, day, month and weekday, as cron(8) has them; 0 and 7 are Sunday. Or @daily and the like.",
        forms.TextInput({"class": "vTextField code", "placeholder": "30 2 * * 1-5", "spellcheck": "false"}),
    )
    run_date = text("Run date", "Local time of the time zone below.", forms.TextInput({"placeholder": DATE_EXAMPLE}))
    start_date = text("Start date", "Not before.", forms.TextInput({"placeholder": DATE_EXAMPLE}))
    end_date = text("End date", "Not after.", forms.TextInput({"placeholder": DATE_EXAMPLE}))
    jitter = text("Jitter", "At most so many seconds later, at random.", forms.NumberInput({"min": 0, "step": "any"}))
    version = forms.CharField(widget=forms.HiddenInput(), required=False)
    timezone = text("Time zone", "Such as Europe/Berlin. Empty: the site's.", ZoneInput())

    class Meta:
        model = Job
        fields = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Fill the form from the job, even a damaged one, or from the defaults of a new one."""
        instance: Job | None = kwargs.get("instance")
        filled = new_inputs() if instance is None else stored_inputs(instance)
        version = {"version": conflicts.state_of(instance)} if instance is not None else {}
        kwargs["initial"] = {**filled, **version, **kwargs.get("initial", {})}
        super().__init__(*args, **kwargs)
        self.job = instance
        self.conflict: list[conflicts.Difference] = []
        self.last_change: JobVersion | None = None
        """The newest change of the definition since the form was opened, if there is a conflict."""
        self.body: dict[str, Any] = {}
        if instance is not None:
            del self.fields["id"]
        self._offer("func", function_choices())
        executors = self.fields["executor"].widget.choices
        if not policy_inputs.offers_workers(str(self.initial.get("executor"))):
            del self.fields["queue"]
            executors = [choice for choice in executors if choice[0] != Executor.CELERY]
        self._offer("executor", executors, "not known")
        self._offer("overlap", self.fields["overlap"].widget.choices, "not known")

    def _offer(self, name: str, choices: list[tuple[str, str]], unknown: str = "not registered") -> None:
        stored = str(self.initial.get(name) or "")
        if stored and stored not in dict(choices):
            choices = [(stored, f"{stored} ({unknown})"), *choices]
        self.fields[name].widget.choices = choices

    def clean(self) -> None:
        """Make the body from the inputs, and show the validator's messages beside the fields."""
        self._find_conflict()
        self.body = {**self._definition(), **policy_inputs.policies_of(self.cleaned_data)}
        if self.job is None:
            self.body["id"] = self.cleaned_data.get("id", "")
            self._check_free(self.body["id"])
        try:
            validation.clean_job(self.body, now=self.now, job=self.job)
        except CronzimusError as error:
            self._show(self._by_input(error.fields))

    def _post_clean(self) -> None:
        # The validator has checked everything; the model's own checks would only repeat its errors in other words.
        pass

    def trigger_definition(self) -> dict[str, Any]:
        """Return the trigger from the inputs; the stored one unchanged if they still show it."""
        inputs = {name: str(self[name].value() or "").strip() for name in TRIGGER_INPUTS}
        if self.job is not None and is_sound(self.job) and trigger_inputs.show(inputs, self.job.trigger):
            return dict(self.job.trigger)
        return trigger_inputs.definition_of(inputs)

    def grace(self) -> int | str | None:
        """Return the grace from the inputs; None for any lateness, and the text itself if it is not a number."""
        return policy_inputs.whole(str(self["misfire_grace_time"].value() or "").strip())

    def _definition(self) -> dict[str, Any]:
        texts: dict[str, Any] = {
            name: self.cleaned_data.get(name, "") for name in ("name", "description", "owner", "func")
        }
        texts["description"] = texts["description"].replace("\r\n", "\n")  # browsers send \r\n
        if self.job is None and not texts["name"]:
            del texts["name"]
        texts["func"] = texts["func"] or None
        tags = [tag.strip() for tag in self.cleaned_data.get("tags", "").split(",") if tag.strip()]
        return {**texts, "tags": tags, **dict(self._arguments()), "trigger": self.trigger_definition()}

    def _find_conflict(self) -> None:
        """Refuse once to overwrite changes that somebody else saved since the form was opened."""
        given = self.cleaned_data.get("version", "")
        if self.job is None or not given or conflicts.is_as(self.job, given):
            return
        opened, self.last_change = conflicts.changes_since(self.job, given)
        inputs = {name: self[name].value() for name in self.fields if name != "version"}
        if (typed := self.typed()) is not None:
            inputs |= {name: _json(value) for name, value in zip(("args", "kwargs"), typed, strict=False)}
        labels = {name: str(field.label) for name, field in self.fields.items()}
        before = stored_inputs(opened) if opened is not None else {}
        self.conflict = conflicts.differences(before, stored_inputs(self.job), inputs, labels)
        self.data = cast(QueryDict, self.data).copy()
        self.data["version"] = self.initial["version"]
        self.add_error(None, "Somebody else changed this job after you had opened it.")

    def typed(self) -> tuple[list[Any], dict[str, Any], list[arguments.Argument]] | None:
        """Return the arguments from the inputs of the function's parameters; None if these were not sent."""
        func = str(self.data.get("func") or "")
        if not func or arguments.sent(self.data) != func:
            return None
        try:
            function = registry.lookup(func)
        except CronzimusError:
            return None
        same = self.job is not None and self.job.func == func
        stored = (self.job.args, self.job.kwargs) if same and self.job is not None else ([], {})
        return arguments.read(function, self.data, *stored)

    def _arguments(self) -> Iterator[tuple[str, Any]]:
        typed = self.typed()
        if typed is not None:
            args, kwargs, inputs = typed
            wrong = [f"{one.name}: {one.error}" for one in inputs if one.error]
            if wrong:
                self._show({"kwargs": "; ".join(wrong)})
            yield from (("args", args), ("kwargs", kwargs))
            return
        for name, empty in (("args", "[]"), ("kwargs", "{}")):
            try:
                yield name, parse_strict(self.cleaned_data.get(name) or empty)
            except ValueError as error:
                self._show({name: str(error)})

    def _by_input(self, problems: dict[str, str]) -> dict[str, str]:
        kind = self.cleaned_data.get("trigger", "")
        problems = {trigger_inputs.input_of(kind, name): message for name, message in problems.items()}
        if "retries" not in problems:
            return problems
        others = {name: message for name, message in problems.items() if name != "retries"}
        return others | policy_inputs.retries_problems(self.body["retries"], problems["retries"])

    def _check_free(self, job_id: str) -> None:
        if Job.objects.filter(pk=job_id).exists():
            self._show({"id": "is taken by another job"})

    def _show(self, problems: dict[str, str]) -> None:
        for name, message in problems.items():
            if name not in self.errors:
                self.add_error(name if name in self.fields else None, capfirst(message))


def is_sound(job: Job) -> bool:
    """Tell whether the stored trigger of `job` is valid."""
    try:
        trigger_of(job)
    except InvalidTrigger:
        return False
    return True


def new_inputs() -> dict[str, Any]:
    """Return the inputs of the form of a new job, with the default policies."""
    return {"trigger": "interval", **policy_inputs.inputs_of(policies.default_policies())}


def stored_inputs(job: Job) -> dict[str, Any]:
    """Return the inputs of the form of a stored job, even of a damaged one."""
    inputs: dict[str, Any] = {name: getattr(job, name) for name in ("name", "description", "owner", "func")}
    inputs |= policy_inputs.inputs_of(stored_policies(job))
    inputs["tags"] = ", ".join(job.tags) if _are_texts(job.tags) else json.dumps(job.tags)
    inputs |= {name: _json(getattr(job, name)) for name in ("args", "kwargs")}
    return inputs | trigger_inputs.inputs_of(job.trigger)


def stored_policies(job: Job) -> dict[str, Any]:
    """Return the stored policies of a job, by name."""
    return {name: getattr(job, name) for name in validation.POLICY_FIELDS}


def function_choices() -> list[tuple[str, str]]:
    """Return the registered functions for the picker, each with its parameters and the first line of its docstring."""
    return [("", "---------"), *((function.reference, _function_words(function)) for function in registry.functions())]


def _function_words(function: registry.Function) -> str:
    described = f": {function.description}" if function.description else ""
    return f"{function.reference}{function.takes if function.arguments.parameters else '()'}{described}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
