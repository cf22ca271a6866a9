"""Show instants and durations on pages: in the zone that the user chose, and relative to now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from .request_time import request_now

COOKIE = "cronzimus_zone"
"""The cookie with the chosen zone: "utc", "job", or the name of the browser's zone."""
NOTHING = "—"
"""The text for no value."""
LONG_RUN = timedelta(minutes=30)
"""A run of this length or more is shown without its seconds."""

WEEK = 7 * 86_400  # seconds
UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
NEXT_UNIT = {"d": (3_600, "h"), "h": (60, "min"), "min": (1, "s")}


@dataclass(frozen=True)
class Times:
    """The times of one page, relative to the instant `now`. `choice` is the value of the cookie."""

    now: datetime
    choice: str

    @classmethod
    def of(cls, request: HttpRequest) -> Times:
        """Return the times of a page for the user of `request`."""
        return cls(request_now(request), zone_choice(request))

    def zone(self, of_job: ZoneInfo | None = None) -> ZoneInfo:
        """Return the zone in which an instant is shown; `of_job` is the zone of its job."""
        if self.choice == "utc":
            return ZoneInfo("UTC")
        if self.choice == "job":
            return of_job or ZoneInfo(settings.TIME_ZONE)
        return ZoneInfo(self.choice)

    def short(self, at: datetime, of_job: ZoneInfo | None = None, *, seconds: bool = True) -> str:
        """Return an instant as briefly as the day allows: "14:45:00", "29 Nov 05:00", "15 Jan 2027 14:30"."""
        zone = self.zone(of_job)
        local, today = _local(at, zone), _local(self.now, zone)
        if local.date() == today.date():
            return f"{local:%H:%M:%S}" if seconds else f"{local:%H:%M}"
        year = "" if local.year == today.year or abs((at - self.now).days) < 90 else f" {local.year}"
        return f"{local.day} {local:%b}{year} {local:%H:%M}"

    def to_the_millisecond(self, at: datetime) -> str:
        """Return the time of day of an instant: "14:45:00.641"."""
        return _local(at, self.zone()).isoformat(timespec="milliseconds")[11:23]

    def exact(self, at: datetime | None, of_job: ZoneInfo | None = None) -> str:
        """Return an instant in full: "2026-11-28 14:45:00 UTC"."""
        if at is None:
            return NOTHING
        zone = self.zone(of_job)
        local = _local(at, zone)
        return f"{local:%Y-%m-%d %H:%M:%S} {local.tzname() or zone.key}"

    def at(self, at: datetime | None, of_job: ZoneInfo | None = None, *, seconds: bool = True) -> SafeString | str:
        """Return an instant, briefly; in full as the tooltip."""
        if at is None:
            return NOTHING
        return _time(at, self.exact(at, of_job), self.short(at, of_job, seconds=seconds))

    def day(self, at: datetime, of_job: ZoneInfo | None = None) -> SafeString:
        """Return an instant as the time of today, or as the day alone: "14:45", "29 Nov"; in full as the tooltip."""
        words = self.short(at, of_job, seconds=False)
        return _time(at, self.exact(at, of_job), words.rpartition(" ")[0] or words)

    def ago(self, at: datetime | None, of_job: ZoneInfo | None = None) -> SafeString | str:
        """Return the distance of an instant from now; the instant in full as the tooltip. A script keeps it current."""
        if at is None:
            return NOTHING
        shown = '<time data-ago datetime="{}" title="{}">{}</time>'
        return format_html(shown, _iso(at), self.exact(at, of_job), relative(at, self.now))

    def elapsed(self, since: datetime) -> SafeString:
        """Return the elapsed time since an instant. A script keeps it current."""
        return format_html('<span data-since="{}">{}</span>', _iso(since), duration(self.now - since))


def zone_choice(request: HttpRequest) -> str:
    """Return the zone that the user chose: "utc", "job", or a name. The default is the site's zone."""
    given = request.COOKIES.get(COOKIE, "")
    if given in ("utc", "job") or is_zone(given):
        return given
    return "utc" if settings.TIME_ZONE == "UTC" else "job"


def is_zone(name: str) -> bool:
    """Tell whether `name` is the name of a time zone."""
    return name in zone_names()


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Return the names of all time zones, read from the disk once."""
    return frozenset(available_timezones())


def relative(at: datetime, now: datetime) -> str:
    """Return the distance of `at` from `now`: "in 12 min 53 s", "in 1 d 16 h", "3 h ago"."""
    seconds = round((at - now).total_seconds())
    if seconds == 0:
        return "now"
    if seconds < 0:
        return f"{_largest(-seconds)[0]} ago"
    first, rest, unit = _largest(seconds)
    if unit == "s":
        return f"in {first}"
    size, small = NEXT_UNIT[unit]
    if rest < size or seconds >= WEEK:
        return f"in {first}"
    return f"in {first} {rest // size:0{1 if unit == 'd' else 2}d} {small}"


def _largest(seconds: int) -> tuple[str, int, str]:
    for size, unit in UNITS:
        if seconds >= size:
            return f"{seconds // size} {unit}", seconds % size, unit
    return f"{seconds} s", 0, "s"


def duration(length: timedelta | None) -> str:
    """Return a duration in words: "412 ms", "9.1 s", "3 m 05 s", "41 m", "2 h 03 m"."""
    if length is None:
        return NOTHING
    seconds = max(length.total_seconds(), 0.0)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02d} s" if rest and length < LONG_RUN else f"{minutes} m"
    return f"{minutes // 60:,} h {minutes % 60:02d} m" if minutes % 60 else f"{minutes // 60:,} h"


def _local(at: datetime, zone: ZoneInfo) -> datetime:
    try:
        return at.astimezone(zone)
    except OverflowError:  # at the ends of the calendar
        return at.astimezone(UTC)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:23] + "Z"


def _time(at: datetime, title: str, text: str) -> SafeString:
    return format_html('<time datetime="{}" title="{}">{}</time>', _iso(at), title, text)
