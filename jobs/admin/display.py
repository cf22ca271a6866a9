"""How the pages show states, instants, durations and texts: one look for each, everywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ..core.runs import JobState, RunStatus
from ..core.triggers.base import local_words

NOTHING = "–"
"""What stands where there is nothing to show."""

# By status: the word, and the icon's name in static/cronzimus/icons.svg. The colour is the stylesheet's, by the class.
RUN_LOOKS: dict[RunStatus, tuple[str, str]] = {
    RunStatus.QUEUED: ("queued", "hourglass"),
    RunStatus.RUNNING: ("running", "play"),
    RunStatus.SUCCEEDED: ("succeeded", "check"),
    RunStatus.FAILED: ("failed", "cross"),
    RunStatus.TIMED_OUT: ("timed out", "clock"),
    RunStatus.CANCELLED: ("cancelled", "stop"),
    RunStatus.LOST: ("lost", "question"),
    RunStatus.MISSED: ("missed", "warning"),
    RunStatus.SKIPPED: ("skipped", "skip"),
}
"""How runs look, by status."""
JOB_LOOKS: dict[JobState, tuple[str, str]] = {
    JobState.PENDING: ("pending", "hourglass"),
    JobState.RUNNING: ("active", "play"),
    JobState.PAUSED: ("paused", "pause"),
    JobState.COMPLETED: ("completed", "check"),
    JobState.BROKEN: ("broken", "warning"),
}
"""How jobs look, by state: the word, and the icon's name."""


def badge(kind: str, word: str, icon: str) -> SafeString:
    """Return a state as an icon and a word; the class `state-<kind>` gives its colour."""
    return format_html(
        '<span class="state state-{}"><svg class="icon" width="14" height="14" aria-hidden="true" '
        'focusable="false"><use href="{}#{}"></use></svg> {}</span>',
        kind, static("cronzimus/icons.svg"), icon, word,
    )  # fmt: skip


def run_badge(status: str) -> SafeString:
    """Return the badge of a run's status; one that is not known is shown as it stands."""
    try:
        word, icon = RUN_LOOKS[RunStatus(status)]
    except ValueError:
        return badge("unknown", status, "question")
    return badge(status, word, icon)


def job_badge(state: JobState) -> SafeString:
    """Return the badge of a job's state."""
    word, icon = JOB_LOOKS[state]
    return badge(f"job-{state}", word, icon)


def instant(at: datetime | None, now: datetime, zone: ZoneInfo) -> SafeString | str:
    """Return `at` as people read it: the local time of `zone`, how far from `now`, and the UTC in its title."""
    if at is None:
        return NOTHING
    utc = at.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time> <span class="relative">{}</span>',
        utc.isoformat(timespec="seconds"), f"{utc:%Y-%m-%d %H:%M:%S}", local(at, zone), relative(at, now),
    )  # fmt: skip


def ago(at: datetime | None, now: datetime) -> SafeString | str:
    """Return how far `at` is from `now`; the exact UTC in its title."""
    if at is None:
        return NOTHING
    utc = at.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>',
        utc.isoformat(timespec="seconds"), f"{utc:%Y-%m-%d %H:%M:%S}", relative(at, now),
    )  # fmt: skip


def local(at: datetime, zone: ZoneInfo) -> str:
    """Return an instant as the clocks of `zone` show it, with the zone's abbreviation."""
    return local_words(at.replace(microsecond=0), zone)


def relative(at: datetime, now: datetime) -> str:
    """Return how far `at` is from `now`, in its largest unit: "in 5 min", "3 h ago"."""
    seconds = round((at - now).total_seconds())
    if seconds == 0:
        return "now"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if abs(seconds) >= size:
            return _told(seconds, f"{abs(seconds) // size} {unit}")
    return _told(seconds, f"{abs(seconds)} s")


def _told(seconds: int, amount: str) -> str:
    return f"in {amount}" if seconds > 0 else f"{amount} ago"


def duration(length: timedelta | None) -> str:
    """Return a length of time as people read it: "412 ms", "9.1 s", "3 m 05 s", "2 h 03 m"."""
    if length is None:
        return NOTHING
    seconds = max(length.total_seconds(), 0.0)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02d} s"
    return f"{minutes // 60:,} h {minutes % 60:02d} m"


def first_line(text: str, longest: int = 120) -> str:
    """Return the first line of a text, cut to `longest` characters."""
    line = text.strip().partition("\n")[0]
    return line if len(line) <= longest else line[: longest - 1] + "…"


def block(text: str, label: str) -> SafeString | str:
    """Return a long text, escaped, in a box that scrolls, for the keyboard, too; `label` is its accessible name."""
    if not text:
        return NOTHING
    return format_html('<pre class="block" tabindex="0" role="region" aria-label="{}">{}</pre>', label, text)
