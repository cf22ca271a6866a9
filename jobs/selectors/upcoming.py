"""The fire times to come: the next ones, the number in each hour of a week, and the minutes in which many jobs fire."""

from __future__ import annotations

import heapq
import json
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from operator import add
from zoneinfo import ZoneInfo

from django.conf import settings

from ..core.exceptions import CronzimusError
from ..core.times import MICROSECOND
from ..core.triggers import Trigger
from ..definitions.triggers import trigger_from, trigger_of
from ..models import Job

DAYS = 7
HOUR = timedelta(hours=1)
OFTEN = 200
"""Jobs with more fire times in a week are counted by the hour, and do not count for pile-ups: they fire at any time."""
RARE = 2 * (DAYS + 1)
"""Jobs with at most so many fire times in a week are examined for all days of the week."""
HOURS = 24 * (DAYS + 1) + 1
"""Hours that are counted, from about midnight on (UTC)."""
DENSE = 61
"""Jobs with more fire times in an hour fire more than once a minute: a jitter may move one fire time into an hour."""
MANY = 5
"""Jobs in one minute that make a pile-up."""
ANCHORED = ("interval", "calendarinterval")
"""The types of triggers that may count from their job's anchor."""
NEEDED = ("id", "name", "trigger", "anchor", "next_run_time", "max_runs", "claimed_count")
"""The columns of a job that are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A fire time of a job; `is_next` if it is the job's next one."""

    at: datetime
    job: Job
    zone: ZoneInfo
    is_next: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PileUp:
    """Jobs that fire in the same minute of a local day: their ids, the number of days, and the first time."""

    jobs: tuple[str, ...]
    days: int
    at: datetime


def jobs_to_come(until: datetime) -> list[Job]:
    """Return the jobs that fire before `until`, the next one first (index `job_due`)."""
    return list(Job.objects.filter(next_run_time__lt=until).order_by("next_run_time", "id").only(*NEEDED))


def next_of_each(jobs: Sequence[Job], most: int) -> list[Entry]:
    """Return the next fire times of the first `most` of `jobs`, which are in order."""
    found = ((job, _first(job, job.next_run_time)) for job in jobs[:most] if job.next_run_time is not None)
    return [Entry(at=first[0], job=job, zone=first[2].timezone, is_next=True) for job, first in found if first]


def entries(jobs: Sequence[Job], since: datetime, until: datetime, most: int) -> list[Entry]:
    """Return the first `most` fire times from `since` to before `until`, in order."""
    queue: list[tuple[datetime, str, int, Job, Trigger]] = []
    for job in jobs:
        found = _first(job, since)
        if found is not None and found[0] < until:
            queue.append((found[0], job.pk, found[1], job, found[2]))
    heapq.heapify(queue)
    shown: list[Entry] = []
    while queue and len(shown) < most:
        at, key, number, job, trigger = queue[0]
        shown.append(Entry(at=at, job=job, zone=trigger.timezone, is_next=at == job.next_run_time))
        following = trigger.next_after(at) if _has_left(job, number + 1) else None
        if following is None or following >= until:
            heapq.heappop(queue)
        else:
            heapq.heapreplace(queue, (following, key, number + 1, job, trigger))
    return shown


def _first(job: Job, since: datetime) -> tuple[datetime, int, Trigger] | None:
    """Return the first fire time from `since` on, the number of earlier ones, and the trigger; None for none."""
    at = job.next_run_time
    try:
        trigger = trigger_of(job)
        if at is None:
            return None
        number = 0 if at >= since else 1 + trigger.count(at, since - MICROSECOND)
        first = at if at >= since else trigger.next_after(since - MICROSECOND)
    except CronzimusError:  # a damaged row
        return None
    return (first, number, trigger) if first is not None and _has_left(job, number) else None


def _has_left(job: Job, number: int) -> bool:
    return job.max_runs is None or job.claimed_count + number < job.max_runs


@dataclass(frozen=True, slots=True)
class Week:
    """The fire times of a trigger in the hours from a midnight on; `times` are instants, unless there are many."""

    trigger: Trigger
    hours: tuple[int, ...]
    times: tuple[int, ...]

    @property
    def is_dense(self) -> bool:
        """Whether the trigger fires more than once a minute: among its fire times, those of others are not seen."""
        return max(self.hours) > DENSE

    def after(self, first: datetime, start: datetime, hour: int) -> int:
        """Return the number of fire times of an hour that are not before `first`."""
        end = start + HOUR * (hour + 1) - MICROSECOND
        begin = max(first, start + HOUR * hour)
        return self.trigger.count(begin - MICROSECOND, end) if begin <= end else 0


def weeks_of(jobs: Sequence[Job], now: datetime, zone: ZoneInfo) -> list[tuple[Job, Week]]:
    """Return `jobs` with their weeks from before `now` on; the hours begin with those of the clocks in `zone`."""
    return list(_weeks(jobs, _start(now, zone)))


def _weeks(jobs: Sequence[Job], start: datetime) -> Iterator[tuple[Job, Week]]:
    for job in jobs:
        trigger = job.trigger if isinstance(job.trigger, dict) else {}
        # Most jobs share their trigger with others: nothing that it does not depend on is part of the key.
        anchor = job.anchor if trigger.get("type") in ANCHORED else start
        try:
            text = json.dumps(job.trigger, sort_keys=True)
            yield job, _week(text, anchor, job.pk if trigger.get("jitter") else "", start, settings.TIME_ZONE)
        except (CronzimusError, TypeError, ValueError):  # a damaged row
            continue


def hours_of(weeks: Sequence[tuple[Job, Week]], now: datetime, zone: ZoneInfo) -> Counter[datetime]:
    """Return the number of fire times of the `DAYS` from `now` on in each hour, by the beginning of the hour.

    The hours are those of the clocks in `zone`: in India they begin at half past of UTC.
    """
    start, until = _start(now, zone), now + timedelta(days=DAYS)
    last = int((until - start) / HOUR)
    totals = [0] * HOURS
    for job, week in weeks:
        assert job.next_run_time is not None  # noqa: S101
        first = max(job.next_run_time, now)
        begin = min(int((first - start) / HOUR), HOURS - 1)
        hours = [*[0] * begin, week.after(first, start, begin), *week.hours[begin + 1 : last + 1]]
        hours += [0] * (HOURS - len(hours))
        if hours[last]:
            hours[last] -= week.after(until, start, last)
        if job.max_runs is not None:
            hours = _limited(hours, max(job.max_runs - job.claimed_count, 0))
        totals = list(map(add, totals, hours))
    return Counter({start + HOUR * number: total for number, total in enumerate(totals) if total})


def _limited(hours: Sequence[int], left: int) -> list[int]:
    """Return the numbers of `hours`, cut so that their sum is at most `left`."""
    found = []
    for number in hours:
        found.append(min(number, left))
        left -= found[-1]
    return found


def pile_ups(weeks: Sequence[tuple[Job, Week]], now: datetime, zone: ZoneInfo) -> list[PileUp]:
    """Return the minutes of the day, in local time of `zone`, in which many jobs fire; the largest first."""
    by_minute: dict[int, set[str]] = defaultdict(set)
    for job, week in weeks:
        first = int(job.next_run_time.timestamp()) if job.next_run_time else 0
        # For jobs that fire every hour, one day is enough.
        last = now + timedelta(days=DAYS if len(week.times) <= RARE else 1)
        until = bisect_left(week.times, int(last.timestamp()))
        for instant in week.times[bisect_left(week.times, first) : until]:
            by_minute[instant // 60].add(job.pk)
    by_clock: dict[tuple[int, int], list[tuple[int, set[str]]]] = defaultdict(list)
    for minute, names in by_minute.items():
        if len(names) >= MANY:
            local = datetime.fromtimestamp(minute * 60, zone)
            by_clock[local.hour, local.minute].append((minute, names))
    found = [_pile_up(days) for days in by_clock.values()]
    return sorted(found, key=lambda pile: (-len(pile.jobs), pile.at))


def _pile_up(days: Sequence[tuple[int, set[str]]]) -> PileUp:
    _, largest = max(days, key=lambda day: len(day[1]))
    first = min(minute for minute, _ in days)
    return PileUp(jobs=tuple(sorted(largest)), days=len(days), at=datetime.fromtimestamp(first * 60, UTC))


@lru_cache(maxsize=4096)
def _week(trigger_text: str, anchor: datetime, key: str, start: datetime, timezone: str) -> Week:
    # Computed once a day for each trigger: the hours of a week are far more work than the rest of the page.
    trigger = trigger_from(trigger_text, anchor=anchor, key=key)
    end = start + HOUR * HOURS - MICROSECOND
    if trigger.count(start - MICROSECOND, end) > OFTEN:
        edges = [start + HOUR * number - MICROSECOND for number in range(HOURS + 1)]
        counts = tuple(trigger.count(edges[number], edges[number + 1]) for number in range(HOURS))
        return Week(trigger, counts, ())
    times, at = [], trigger.next_after(start - MICROSECOND)
    while at is not None and at <= end:
        times.append(at)
        at = trigger.next_after(at)
    by_hour = Counter(int((at - start) / HOUR) for at in times)
    return Week(trigger, tuple(by_hour[number] for number in range(HOURS)), tuple(int(at.timestamp()) for at in times))


def beginning_of_hour(at: datetime, zone: ZoneInfo) -> datetime:
    """Return the beginning of the hour of an instant, on the clocks in `zone`."""
    local = at.astimezone(zone)
    return local.replace(minute=0, second=0, microsecond=0).astimezone(UTC)


def _start(now: datetime, zone: ZoneInfo) -> datetime:
    """Return midnight UTC, or if no hour of `zone` begins then, the beginning of the hour before."""
    utc = now.astimezone(UTC)
    return beginning_of_hour(datetime(utc.year, utc.month, utc.day, tzinfo=UTC), zone)
