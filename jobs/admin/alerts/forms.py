"""The forms of alert rules and channels, with errors beside the fields."""

from __future__ import annotations

import base64
import re
from typing import Any

from django import forms
from django.core.validators import validate_email
from django.utils.functional import cached_property
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ...alerts.channels import NotDelivered, notifier_for
from ...core.alerts import AlertEvent
from ...definitions.alert_rules import rule_problems, zone_problem
from ...functions.builtin import check_target
from ...models import AlertRule, Channel, Job

EVENTS = {
    AlertEvent.FAILURE: "Runs fail, time out or are lost",
    AlertEvent.LOST: "A run is lost",
    AlertEvent.NOT_RUN: "A fire time is missed or skipped",
    AlertEvent.TOO_LONG: "A run takes too long",
    AlertEvent.DEADLINE: "No run succeeded by the deadline",
    AlertEvent.SCHEDULER: "A scheduler is lost",
    AlertEvent.RECOVERY: "Recovery after one of these",
}
"""The labels of the events in the form."""
SECRETS = ("secret", "previous_secret")
"""The inputs of a channel that never show their values."""
OFFERED = 500
"""Ids of jobs that the form offers."""


class JobInput(forms.TextInput):
    """A text input that offers the ids of jobs."""

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        """Return the input and the list of ids that it offers."""
        list_id = f"{name}-offered"
        field = super().render(name, value, {**(attrs or {}), "list": list_id}, renderer)
        ids = Job.objects.order_by("pk").values_list("pk")[:OFFERED]
        options = format_html_join("", '<option value="{}"></option>', ids)
        return format_html('{}<datalist id="{}">{}</datalist>', field, list_id, options)


class TimeInput(forms.TimeInput):
    """The browser's input for a time of day."""

    input_type = "time"

    def __init__(self) -> None:
        """Show hours and minutes."""
        super().__init__({"class": "short"}, format="%H:%M")


class SecretInput(forms.PasswordInput):
    """An input that never shows its value. If one is stored, a checkbox offers to remove it."""

    is_stored = False

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        """Return the input, and the checkbox."""
        field = super().render(name, value, attrs, renderer)
        if not self.is_stored:
            return field
        clear = '{} <label class="small"><input type="checkbox" name="{}"> Remove the stored one</label>'
        return format_html(clear, field, self.clear_name(name))

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        """Tell whether neither the input nor the checkbox was sent: Django does not save what was not."""
        return super().value_omitted_from_data(data, files, name) and self.clear_name(name) not in data

    @staticmethod
    def clear_name(name: str) -> str:
        """Return the name of the checkbox, which is made as Django makes it for files."""
        return f"{name}-clear"


class RuleForm(forms.ModelForm):
    """The form of a rule."""

    job = forms.ModelChoiceField(
        Job.objects.all(), required=False, widget=JobInput({"autocomplete": "off"}), help_text="The id of one job.",
        error_messages={"invalid_choice": "There is no job with this id."},
    )  # fmt: skip
    tag = forms.CharField(required=False, max_length=50, widget=forms.TextInput({"class": "short"}))
    channels = forms.ModelMultipleChoiceField(Channel.objects.all(), widget=forms.CheckboxSelectMultiple)
    deadline = forms.TimeField(
        required=False, widget=TimeInput(), help_text="A run must have succeeded by then, on days with a fire time."
    )
    quiet_from = forms.TimeField(label="From", required=False, widget=TimeInput())
    quiet_until = forms.TimeField(label="Until", required=False, widget=TimeInput())
    timezone = forms.CharField(
        label="Time zone", required=False, max_length=64, help_text="Also of the deadline. Empty: the site's."
    )
    too_long_seconds = forms.IntegerField(
        label="Too long, seconds", required=False, min_value=0, widget=forms.NumberInput({"class": "short"}),
        help_text="A run that takes longer is too long.",
    )  # fmt: skip
    too_long_factor = forms.FloatField(
        label="Too long, times", required=False, widget=forms.NumberInput({"class": "short", "step": "any"}),
        help_text="Times the 95th percentile of the job's last 50 successful runs.",
    )  # fmt: skip
    after = forms.IntegerField(
        min_value=1, initial=1, widget=forms.NumberInput({"class": "short"}), help_text="Unsuccessful runs in a row.",
        error_messages={"min_value": "Must be at least 1."},
    )  # fmt: skip
    events = forms.MultipleChoiceField(
        choices=[(event.value, text) for event, text in EVENTS.items()],
        widget=forms.CheckboxSelectMultiple,
        initial=[AlertEvent.FAILURE.value, AlertEvent.RECOVERY.value],
    )

    class Meta:
        model = AlertRule
        fields = (
            "name", "enabled", "job", "tag", "events", "after", "too_long_seconds", "too_long_factor", "deadline",
            "quiet_from", "quiet_until", "timezone", "channels",
        )  # fmt: skip

    def clean_too_long_factor(self) -> float | None:
        """Refuse a factor below 1: half of all runs would be too long."""
        factor: float | None = self.cleaned_data["too_long_factor"]
        if factor is not None and factor < 1:
            raise forms.ValidationError("must be at least 1")
        return factor

    def clean_timezone(self) -> str:
        """Refuse an unknown zone."""
        name: str = self.cleaned_data["timezone"]
        if problem := zone_problem(name):
            raise forms.ValidationError(problem)
        return name

    def clean(self) -> dict[str, Any]:
        """Refuse events without the fields that they need, and a rule with both a job and a tag."""
        cleaned: dict[str, Any] = super().clean() or {}
        for field, problem in rule_problems(cleaned).items():
            self.add_error(field, problem)
        return cleaned


class ChannelForm(forms.ModelForm):
    """The form of a channel. Secrets can be set, and are never shown again."""

    secret = forms.CharField(required=False, widget=SecretInput, help_text="whsec_… in base64; signs webhooks.")
    previous_secret = forms.CharField(
        required=False, widget=SecretInput, help_text="Signs as well, while receivers change to the new secret."
    )

    class Meta:
        model = Channel
        fields = ("name", "kind", "target", "secret", "previous_secret", "enabled")
        widgets = {"target": forms.Textarea({"rows": 2})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Offer to remove the secrets that are stored."""
        super().__init__(*args, **kwargs)
        for name in SECRETS:
            self.fields[name].widget.is_stored = bool(getattr(self.instance, name))

    def _removes(self, name: str) -> bool:
        return SecretInput.clear_name(self.add_prefix(name)) in self.data

    @cached_property
    def changed_data(self) -> list[str]:
        """Return the names of the changed inputs; a secret that is left empty stays, unless it is removed."""
        empty = {name for name in SECRETS if not str(self.data.get(self.add_prefix(name)) or "").strip()}
        kept = {name for name in empty if not self._removes(name)}
        return [name for name in super().changed_data if name not in kept]

    def clean_secret(self) -> str:
        """Keep the stored secret if none is given and it is not to be removed."""
        return self._secret("secret")

    def clean_previous_secret(self) -> str:
        """Keep the stored secret if none is given and it is not to be removed."""
        return self._secret("previous_secret")

    def _secret(self, name: str) -> str:
        given: str = self.cleaned_data[name].strip()
        if self._removes(name):
            if given:
                raise forms.ValidationError("give a new one, or remove the stored one: not both")
            return ""
        if not given:
            return str(getattr(self.instance, name))
        try:
            base64.b64decode(given.removeprefix("whsec_"), validate=True)
        except ValueError as error:
            raise forms.ValidationError("must be base64, with or without whsec_ before it") from error
        return given

    def clean(self) -> dict[str, Any]:
        """Refuse a target that its kind cannot use."""
        cleaned: dict[str, Any] = super().clean() or {}
        target = str(cleaned.get("target", "")).strip()
        try:
            if cleaned.get("kind") == Channel.EMAIL:
                for address in re.split(r"[\s,]+", target):
                    validate_email(address)
            elif cleaned.get("kind") == Channel.WEBHOOK:
                check_target(target)
            elif "://" not in target:
                raise forms.ValidationError("must be a URL of Apprise, such as slack://…")
            else:
                notifier_for(target)
        except forms.ValidationError as error:
            self.add_error("target", error)
        except (ValueError, NotDelivered) as error:
            self.add_error("target", str(error))
        return cleaned
