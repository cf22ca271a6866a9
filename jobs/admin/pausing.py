"""The forms of pauses: of a job until an instant, and of everything for a reason."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import ValidationError
from django.utils.text import capfirst

from ..core.exceptions import CronzimusError
from ..core.runs import MissedChoice
from ..core.times import parse_instant
from ..models import Control

SHAPE = "%Y-%m-%dT%H:%M:%S"
"""The form of a local time in browsers' inputs."""


class PauseUntilForm(forms.Form):
    """The end of a job's pause, in the time zone of the job."""

    until = forms.CharField(
        label="Pause until", widget=forms.DateTimeInput({"type": "datetime-local", "step": 1}, format=SHAPE)
    )

    def __init__(self, data: Any = None, *, zone: ZoneInfo, until: datetime | None = None) -> None:
        """Show the current end of the pause, if it has one."""
        self.zone = zone
        shown = {"until": until.astimezone(zone).strftime(SHAPE)} if until else {}
        super().__init__(data, initial=shown)
        self.fields["until"].help_text = f"Local time of {zone}. Fire times during the pause do not run."

    def clean_until(self) -> datetime:
        """Return the instant in UTC; the input takes the same times as the API."""
        try:
            return parse_instant(self.cleaned_data["until"], self.zone)
        except ValueError as error:
            raise ValidationError(f"{capfirst(str(error))}.") from error

    def refuse(self, error: CronzimusError) -> None:
        """Show the errors of a service, beside the inputs if it names them."""
        for name, message in (error.fields or {"": str(error)}).items():
            known = name in self.fields
            self.add_error(name if known else None, capfirst(message if known or not name else f"{name}: {message}"))


class PauseAllForm(forms.Form):
    """The reason for the pause of all claiming."""

    reason = forms.CharField(
        label="Reason",
        required=False,
        max_length=Control._meta.get_field("reason").max_length,
        widget=forms.TextInput({"class": "vTextField", "placeholder": "database maintenance"}),
        help_text="Shown to everybody while all is paused.",
    )


class ResumeAllForm(forms.Form):
    """The choice which of the fire times in the pause of all run."""

    CHOICES = (
        ("", "As the policies of each job say"), (MissedChoice.NONE.value, "None"),
        (MissedChoice.LAST.value, "The last of each job"), (MissedChoice.ALL.value, "All"),
    )  # fmt: skip
    missed = forms.ChoiceField(
        label="Fire times of the pause that run", required=False, choices=CHOICES, widget=forms.RadioSelect
    )

    def chosen(self) -> MissedChoice | None:
        """Return the choice of a valid form; None for the policies."""
        value = self.cleaned_data["missed"]
        return MissedChoice(value) if value else None
