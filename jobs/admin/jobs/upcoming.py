"""The page of fire times to come: the next ones, the hours of a week, and the minutes in which many jobs fire."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from django.contrib.admin.utils import quote
from django.http import HttpRequest, HttpResponse
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from ...core.times import parse_instant
from ...models import Job
from ...selectors import upcoming
from ...selectors.backlog import is_overdue
from ...selectors.upcoming import DAYS, HOUR, Entry, PileUp
from ..lists import named
from ..pages import page
from ..times import Times

if TYPE_CHECKING:
    from .admin import JobAdmin

SHOWN = 100
"""Jobs whose next fire times the list shows."""
OF_HOUR = 500
"""Fire times of one hour that the list shows, at most."""
PILES, NAMES = 5, 4
"""Pile-ups that are named, and jobs that are named of each."""
DARKER = (1.1, 1.5)
"""Multiples of the usual number of fire times from which an hour is darker, and darkest."""
AT = "%Y-%m-%dT%H:%MZ"
"""The form of an hour in an address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HourCell:
    """An hour of the week: the number of its fire times, its darkness, and the address of their list."""

    number: int
    heat: int
    url: str
    words: str
    chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A day of the week: its name, and its hours, None for an hour that is over, or that the clock skips."""

    name: str
    cells: list[HourCell | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRow:
    """A fire time in the list."""

    key: str
    job_id: str
    url: str
    name: str
    relative: SafeString | str
    at: SafeString | str
    is_next: bool
    late: bool


def upcoming_page(admin: JobAdmin, request: HttpRequest) -> HttpResponse:
    """Show the fire times of the hour that the address names, or the next fire times."""
    times = Times.of(request)
    until = times.now + timedelta(days=DAYS)
    jobs = upcoming.jobs_to_come(until)
    hours = upcoming.hours_of(jobs, times.now, times.zone())
    chosen = _chosen(request, times.now, until)
    shown = (
        upcoming.entries(jobs, max(chosen, times.now), chosen + HOUR, OF_HOUR)
        if chosen else upcoming.next_of_each(jobs, SHOWN)
    )  # fmt: skip
    total = sum(number for hour, number in hours.items() if hour < until)
    context = {
        "days": _days(hours, chosen, times, until),
        "rows": [_row(entry, admin, times) for entry in shown],
        "heading": _heading(chosen, hours, times),
        "chosen": chosen,
        "more": 0 if chosen else max(len(jobs) - SHOWN, 0),
        "piles": [_pile(pile, times) for pile in upcoming.pile_ups(jobs, times.now, times.zone())[:PILES]],
        "sentence": _sentence(jobs, total),
        "zone": times.zone().key,
        "allowed": admin.allowed(request),
        "jobs_url": admin.page_url("changelist"),
    }
    return page(admin.admin_site, request, "cronzimus/jobs/upcoming.html", title="Upcoming", **context)


def _chosen(request: HttpRequest, now: datetime, until: datetime) -> datetime | None:
    """Return the hour that the address names; None without one, or outside of the page."""
    try:
        at = parse_instant(request.GET.get("at", ""), UTC)
    except ValueError:
        return None
    return at if now - HOUR < at < until else None


def _days(hours: Counter[datetime], chosen: datetime | None, times: Times, until: datetime) -> list[Day]:
    zone, busy = times.zone(), [number for number in hours.values() if number]
    usual = sum(busy) / len(busy) if busy else 1.0
    grid: dict[date, list[HourCell | None]] = {}
    at = upcoming.beginning_of_hour(times.now, zone)
    while at < until:
        local = at.astimezone(zone)
        number = hours[at]
        cells = grid.setdefault(local.date(), [None] * 24)
        url = f"?{urlencode({'at': at.astimezone(UTC).strftime(AT)})}"
        if (first := cells[local.hour]) is not None:  # the clock is set back: this hour comes twice
            number, url = number + first.number, first.url if first.number else url
        words = f"{number:,} on {local:%A} at {local:%H:%M}"
        heat = 1 + sum(number > usual * factor for factor in DARKER)
        cells[local.hour] = HourCell(number=number, heat=heat, url=url, words=words, chosen=at == chosen)
        at += HOUR
    return [Day(name=f"{day:%a} {day.day}", cells=cells) for day, cells in grid.items()]


def _row(entry: Entry, admin: JobAdmin, times: Times) -> EntryRow:
    job = entry.job
    return EntryRow(
        key=f"{job.pk}-{entry.at.timestamp():.0f}", job_id=job.pk,
        url=f"{admin.page_url('changelist')}{quote(job.pk)}/",
        name="" if job.name == job.pk else str(job.name), relative=times.ago(entry.at, entry.zone),
        at=times.at(entry.at, entry.zone), is_next=entry.is_next,
        late=is_overdue(entry.at, times.now),
    )  # fmt: skip


def _heading(chosen: datetime | None, hours: Counter[datetime], times: Times) -> str:
    if chosen is None:
        return "Next of each job"
    local = chosen.astimezone(times.zone())
    return f"{local:%A} {local.day} {local:%b}, {local:%H:%M} to {local + HOUR:%H:%M}: {hours[chosen]:,}"


def _sentence(jobs: Sequence[Job], total: int) -> str:
    if not jobs:
        return ""
    who = "1 job fires" if len(jobs) == 1 else f"{len(jobs):,} jobs fire"
    return f"{who} {total:,} {'time' if total == 1 else 'times'} in the next 7 days."


def _pile(pile: PileUp, times: Times) -> tuple[str, str, str]:
    """Return the words of a pile-up, its jobs, and the address of its first hour."""
    zone: ZoneInfo = times.zone()
    local = pile.at.astimezone(zone)
    days = "on one day" if pile.days == 1 else f"on {pile.days} days"
    rest = len(pile.jobs) - NAMES
    names = [*pile.jobs[:NAMES], f"{rest} more"] if rest > 0 else list(pile.jobs)
    url = f"?{urlencode({'at': upcoming.beginning_of_hour(pile.at, zone).strftime(AT)})}"
    return f"{len(pile.jobs):,} jobs at {local:%H:%M} {days}", named(names), url
