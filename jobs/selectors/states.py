"""The state of a job, for the API and the admin alike: the rule, in Python and in SQL, and what lists show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Case, Func, Q, TextField, Value, When
from django.db.models.functions import Cast
from django.utils import timezone

from ..core.exceptions import CronzimusError
from ..core.json import parse_stored
from ..core.runs import JobState
from ..definitions import validation
from ..definitions.triggers import trigger_of
from ..functions import registry
from ..models import Job

ANY_ANCHOR = datetime(2000, 1, 1, tzinfo=UTC)
"""An anchor for triggers of which only the form matters."""
SEPARATOR = "\n"
"""What stands between the parts of a definition: no JSON in a column has one."""
KEPT = 16_384
"""Descriptions kept at the most; a few hundred bytes each."""


def job_state(job: Job, now: datetime | None = None) -> tuple[JobState, str]:
    """Return the state of a job at `now` (None: at this instant), and why it is broken ("" where it is not).

    What a scheduler wrote down when it took the job off its schedule counts until the job is on it again.
    """
    error = validation.problem(job) or (job.error if job.next_run_time is None else "")
    if error:
        return JobState.BROKEN, error
    if is_paused(job, now or timezone.now()):
        return JobState.PAUSED, ""
    if job.next_run_time is None:
        return JobState.COMPLETED, ""
    return JobState.PENDING if job.last_run_at is None else JobState.RUNNING, ""


def is_paused(job: Job, now: datetime) -> bool:
    """Tell whether a job's trigger is stopped at `now`: for good, or until an instant that is to come."""
    return job.paused or (job.paused_until is not None and job.paused_until > now)


def state_sql(now: datetime | Value) -> Case:
    """Return the rule of `job_state` at `now`, or at what stands for it, in SQL.

    But for definitions that can not be understood: those `descriptions` finds.
    """
    return Case(
        When(Q(next_run_time=None) & ~Q(error=""), then=Value(JobState.BROKEN.value)),
        When(Q(paused=True) | Q(paused_until__gt=now), then=Value(JobState.PAUSED.value)),
        When(next_run_time=None, then=Value(JobState.COMPLETED.value)),
        When(last_run_at=None, then=Value(JobState.PENDING.value)),
        default=Value(JobState.RUNNING.value),
        output_field=TextField(),
    )


DEFINITION = Func(
    "func",
    *(Cast(name, TextField()) for name in ("trigger", "args", "kwargs")),
    template="(%(expressions)s)",
    arg_joiner=f" || '{SEPARATOR}' || ",
    output_field=TextField(),
)
"""What `descriptions` takes of a row: one text, whose JSON is parsed once for each definition and not for each row."""


@dataclass(frozen=True, slots=True)
class Described:
    """What a list shows of a definition: its trigger's short form, its time zone, and why it can not run."""

    trigger: str
    zone: ZoneInfo
    problem: str


class Descriptions(dict[str, Described]):
    """Descriptions by `DEFINITION`, each made when it is first looked up, and kept.

    To build a trigger and check a signature takes a hundred times as long as to find the answer here again.
    """

    def __missing__(self, definition: str) -> Described:
        """Describe `definition`."""
        if len(self) >= KEPT:
            self.clear()
        func, *stored = (definition.split(SEPARATOR) + [""] * 3)[:4]
        trigger, args, kwargs = map(parse_stored, stored)
        job = Job(func=func, trigger=trigger, args=args, kwargs=kwargs, anchor=ANY_ANCHOR)
        return self.setdefault(definition, Described(short_form(job), zone_of(job), validation.problem(job)))


def descriptions() -> Descriptions:
    """Return the descriptions that hold for the functions registered now, and the site's time zone."""
    return _descriptions(frozenset(registry.functions()), settings.TIME_ZONE)


@lru_cache(maxsize=2)
def _descriptions(known: frozenset[registry.Function], timezone: str) -> Descriptions:
    return Descriptions()


def short_form(job: Job) -> str:
    """Return a job's trigger as lists show it, "interval[0:00:05]"; a damaged one by its type, if it has one."""
    try:
        return str(trigger_of(job))
    except CronzimusError:
        kind = job.trigger.get("type") if isinstance(job.trigger, Mapping) else None
        return kind[:40] if isinstance(kind, str) else "?"


def zone_of(job: Job) -> ZoneInfo:
    """Return the time zone of a job: its trigger's, and the site's where that can not be understood."""
    try:
        return trigger_of(job).timezone
    except CronzimusError:
        return ZoneInfo(settings.TIME_ZONE)
