"""The looks of states and texts, the same on all pages."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from django.utils.html import format_html
from django.utils.safestring import SafeString

from ..core.runs import JobState, RunStatus
from ..core.triggers import local_words
from .times import NOTHING, duration, relative

__all__ = ["NOTHING", "badge", "duration", "first_line", "icon", "job_badge", "local",
           "megabytes", "relative", "run_badge"]  # fmt: skip

# By status: the word, and the icon's name in cronzimus/icons.html. The style sheet has the colours, by class.
RUN_LOOKS: dict[RunStatus, tuple[str, str]] = {
    RunStatus.QUEUED: ("queued", "dots"),
    RunStatus.RUNNING: ("running", "spin"),
    RunStatus.SUCCEEDED: ("succeeded", "check"),
    RunStatus.FAILED: ("failed", "cross"),
    RunStatus.TIMED_OUT: ("timed out", "clock"),
    RunStatus.CANCELLED: ("cancelled", "stop"),
    RunStatus.LOST: ("lost", "lost"),
    RunStatus.MISSED: ("missed", "missed"),
    RunStatus.SKIPPED: ("skipped", "skip"),
}
"""The looks of runs, by status."""
JOB_LOOKS: dict[JobState, tuple[str, str]] = {
    JobState.PENDING: ("pending", "hourglass"),
    JobState.RUNNING: ("active", "play"),
    JobState.PAUSED: ("paused", "pause"),
    JobState.COMPLETED: ("completed", "flag"),
    JobState.BROKEN: ("broken", "warning"),
}
"""The looks of jobs, by state: the word, and the icon's name."""


def icon(name: str) -> SafeString:
    """Return an icon of cronzimus/icons.html. The icon of running runs turns."""
    spin = " spin" if name == "spin" else ""
    return format_html('<svg class="icon{}" aria-hidden="true"><use href="#i-{}"/></svg>', spin, name)


def badge(kind: str, word: str, icon_name: str, *, pill: bool = False) -> SafeString:
    """Return a state as an icon and a word; the class `state-<kind>` gives its colour."""
    shown = '<span class="state state-{}{}">{}{}</span>'
    return format_html(shown, kind, " pill" if pill else "", icon(icon_name), word)


def run_badge(status: str, *, pill: bool = False) -> SafeString:
    """Return the badge of a run's status; an unknown status is shown unchanged."""
    try:
        word, icon_name = RUN_LOOKS[RunStatus(status)]
    except ValueError:
        return badge("unknown", status, "warning", pill=pill)
    return badge(status, word, icon_name, pill=pill)


def status_word(status: str) -> str:
    """Return the word for a run's status; an unknown status unchanged."""
    return RUN_LOOKS[RunStatus(status)][0] if status in RunStatus.__members__.values() else status


def job_badge(state: JobState, *, pill: bool = False) -> SafeString:
    """Return the badge of a job's state."""
    word, icon_name = JOB_LOOKS[state]
    return badge(f"job-{word}", word, icon_name, pill=pill)


def failing_badge(*, pill: bool = False) -> SafeString:
    """Return the badge of an active job whose last run failed."""
    return badge("job-failing", "failing", "warning", pill=pill)


def local(at: datetime, zone: ZoneInfo) -> str:
    """Return an instant in local time of `zone`, with the zone's abbreviation."""
    return local_words(at.replace(microsecond=0), zone)


def first_line(text: str, longest: int = 120) -> str:
    """Return the first line of a text, cut to `longest` characters."""
    line = text.strip().partition("\n")[0]
    return line if len(line) <= longest else line[: longest - 1] + "…"


def megabytes(size: int | None) -> str:
    """Return a number of bytes in words: "92.3 MB"."""
    return NOTHING if size is None else f"{size / 1_000_000:,.1f} MB"
