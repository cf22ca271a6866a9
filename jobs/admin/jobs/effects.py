"""The effects of actions on many jobs, in sentences, and their forms. Nothing is saved here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.db.models import Count, QuerySet

from ...core.runs import MissedChoice, RunStatus
from ...models import Job, Run
from ...models.lookups import IsAmong
from ..row_actions import Call

MISSED_CHOICES = (
    (MissedChoice.NONE.value, "None"),
    (MissedChoice.LAST.value, "The last of each"),
    (MissedChoice.ALL.value, "All"),
)


class MissedForm(forms.Form):
    """The choice of the fire times of the pause to run."""

    missed = forms.ChoiceField(
        label="Of the fire times that fell into the pause, run", choices=MISSED_CHOICES, widget=forms.RadioSelect,
        initial=MissedChoice.NONE.value, required=False,
    )  # fmt: skip


class TagForm(forms.Form):
    """A tag, and whether to add or remove it."""

    tag = forms.CharField(max_length=50, widget=forms.TextInput({"class": "short", "autocomplete": "off"}))
    remove = forms.TypedChoiceField(
        label="What to do", choices=(("", "Add the tag"), ("yes", "Remove the tag")), widget=forms.RadioSelect,
        required=False, coerce=bool, empty_value="", initial="",
    )  # fmt: skip


def _count(number: int, singular: str, plural: str) -> str:
    return f"{number:,} {singular if number == 1 else plural}"


def _jobs(keys: Sequence[Any]) -> QuerySet[Job]:
    return Job.objects.filter(IsAmong("pk", keys))


def _running(keys: Sequence[Any]) -> int:
    """Return the number of jobs with a running run."""
    runs = Run.objects.active().filter(IsAmong("job_id", keys), status=RunStatus.RUNNING)
    return runs.aggregate(jobs=Count("job_id", distinct=True))["jobs"] or 0


def _running_words(keys: Sequence[Any], what: str) -> list[str]:
    number = _running(keys)
    return [f"{_count(number, 'is', 'are')} running now: {what}"] if number else []


def of_run(keys: Sequence[Any], call: Call) -> list[str]:
    """Describe the effect of running many jobs now."""
    paused = sum(job.is_paused(call.now) for job in _jobs(keys).only("paused", "paused_until"))
    also = f"{_count(paused, 'is', 'are')} paused and {'runs' if paused == 1 else 'run'} all the same."
    return [
        "One run of each is queued at once, with the arguments of the job.",
        *_running_words(keys, "their new runs start when as many runs as they may have together have ended."),
        *([also] if paused else []),
    ]


def of_pause(keys: Sequence[Any], call: Call) -> list[str]:
    """Describe the effect of pausing many jobs."""
    already = sum(job.is_paused(call.now) for job in _jobs(keys).only("paused", "paused_until"))
    return [
        "They do not run by themselves until somebody resumes them.",
        *_running_words(keys, "their runs go on."),
        *([f"{_count(already, 'is', 'are')} paused already."] if already else []),
    ]


def of_resume(keys: Sequence[Any], call: Call) -> list[str]:
    """Describe the effect of resuming many jobs."""
    active = sum(not job.is_paused(call.now) for job in _jobs(keys).only("paused", "paused_until"))
    others = f"{_count(active, 'is', 'are')} not paused: nothing changes for {'it' if active == 1 else 'them'}."
    return ["Their triggers go on from now.", *([others] if active else [])]


def of_skip(keys: Sequence[Any], call: Call) -> list[str]:
    """Describe the effect of skipping the next fire times of many jobs."""
    without = _jobs(keys).filter(next_run_time=None).count()
    return [
        "The next fire time of each is skipped, with a record.",
        *([f"{_count(without, 'has', 'have')} no fire time to come."] if without else []),
    ]


def of_duplicate(keys: Sequence[Any], call: Call) -> list[str]:
    """Describe the effect of copying many jobs."""
    return ["Each copy is paused, and has the id of its job with “-copy”."]


def of_tag(keys: Sequence[Any], call: Call) -> list[str]:
    """Describe the effect of tagging many jobs."""
    return ["Their other tags stay. Tokens that are limited to a tag reach the jobs that have it."]


def of_delete(keys: Sequence[Any], call: Call) -> list[str]:
    """Describe the effect of deleting many jobs."""
    ran = sum(_jobs(keys).values_list("run_count", flat=True))
    kept = f"Their runs stay on record: {_count(ran, 'run has', 'runs have')} ended so far."
    return [
        "This cannot be undone.",
        kept if ran else "None has run yet.",
        *_running_words(keys, "their running runs go on, and waiting ones are cancelled."),
    ]
