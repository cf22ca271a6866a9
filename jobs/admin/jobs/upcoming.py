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
"""Multiples of what hours usually have more than the least busy one, from which one is darker, and darkest."""
NOISE = 1 / 30
"""The share of the fire times of the least busy hour by which a jitter makes others busier."""
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


@dataclass(frozen=True, slots=True)
class _Scale:
    """The darkness of hours, by what they have more than the least busy one: a job of each minute is in all of them."""

    least: int
    usual: float

    @classmethod
    def of(cls, numbers: Sequence[int]) -> _Scale:
        """Return the scale of whole hours with `numbers` of fire times."""
        least = min(numbers, default=0)
        more = [number - least for number in numbers if number]
        return cls(least, sum(more) / len(more) if more else 0.0)

    def heat(self, number: int) -> int:
        """Return the darkness of an hour with `number` fire times, from 1 to 3."""
        more = number - self.least
        return 1 if more <= self.least * NOISE else 1 + sum(more > self.usual * factor for factor in DARKER)


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
    weeks = upcoming.weeks_of(jobs, times.now, times.zone())
    others, dense = ([pair for pair in weeks if pair[1].is_dense == wanted] for wanted in (False, True))
    hours = upcoming.hours_of(others, times.now, times.zone())
    chosen = _chosen(request, times.now, until)
    shown = (
        upcoming.entries([job for job, _ in others], max(chosen, times.now), min(chosen + HOUR, until), OF_HOUR)
        if chosen else upcoming.next_of_each(jobs, SHOWN)
    )  # fmt: skip
    dense_times = upcoming.hours_of(dense, times.now, times.zone()).total()
    context = {
        "days": _days(hours, chosen, times, until),
        "rows": [_row(entry, admin, times) for entry in shown],
        "heading": _heading(chosen, hours, times),
        "chosen": chosen,
        "more": 0 if chosen else max(len(jobs) - SHOWN, 0),
        "piles": [_pile(pile, times) for pile in upcoming.pile_ups(others, times.now, times.zone())[:PILES]],
        "sentence": _sentence(jobs, hours.total() + dense_times),
        "dense": _dense([job.pk for job, _ in dense], dense_times),
        "zone": times.zone().key,
        "allowed": admin.allowed(request),
        "jobs_url": admin.page_url("changelist"),
    }
    return page(admin.admin_site, request, "cronzimus/jobs/upcoming.html", title="Upcoming", **context)


def _dense(ids: Sequence[str], fire_times: int) -> str:
    """Return the sentence on jobs that the hours leave out, "" without one."""
    if not ids:
        return ""
    who = f"{_names(ids)} {'fires' if len(ids) == 1 else 'fire'}"
    return f"Not in these hours: {who} more than once a minute, {fire_times:,} times in the next {DAYS} days."


def _names(ids: Sequence[str]) -> str:
    rest = len(ids) - NAMES
    return named([*ids[:NAMES], f"{rest} more"] if rest > 0 else ids)


def _chosen(request: HttpRequest, now: datetime, until: datetime) -> datetime | None:
    """Return the hour that the address names; None without one, or outside of the page."""
    try:
        at = parse_instant(request.GET.get("at", ""), UTC)
    except ValueError:
        return None
    return at if now - HOUR < at < until else None


def _days(hours: Counter[datetime], chosen: datetime | None, times: Times, until: datetime) -> list[Day]:
    zone = times.zone()
    at = upcoming.beginning_of_hour(times.now, zone)
    scale = _Scale.of([hours[at + HOUR * number] for number in range(1, int((until - at) / HOUR))])
    grid: dict[date, list[HourCell | None]] = {}
    while at < until:
        local = at.astimezone(zone)
        number = hours[at]
        cells = grid.setdefault(local.date(), [None] * 24)
        url = f"?{urlencode({'at': at.astimezone(UTC).strftime(AT)})}"
        if (first := cells[local.hour]) is not None:  # the clock is set back: this hour comes twice
            number, url = number + first.number, first.url if first.number else url
        words = f"{number:,} on {local:%A} at {local:%H:%M}"
        cells[local.hour] = HourCell(number=number, heat=scale.heat(number), url=url, words=words, chosen=at == chosen)
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
    url = f"?{urlencode({'at': upcoming.beginning_of_hour(pile.at, zone).strftime(AT)})}"
    return f"{len(pile.jobs):,} jobs at {local:%H:%M} {days}", _names(pile.jobs), url
