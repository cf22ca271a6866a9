"""`plan`, which counts, compared with a model that goes through every fire time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.core.planning import CATCH_UP, Busy, Policy, plan
from jobs.core.runs import Overlap
from tests.conftest import examples
from tests.fakes import after, trigger

from .strategies import BOUNDED_RULES

RULES = st.one_of(
    st.integers(1, 600).map(lambda seconds: trigger(seconds=seconds, anchor=after(-seconds))),
    st.sampled_from(["*/7", "3,50"]).map(lambda second: trigger({"type": "cron", "second": second})),
    *BOUNDED_RULES,
)
POLICIES = st.builds(
    Policy,
    misfire_grace_time=st.none() | st.integers(0, 60) | st.integers(0, 3600),
    coalesce=st.booleans(),
    max_instances=st.integers(1, 4) | st.integers(1, 150),
    overlap=st.sampled_from(Overlap),
    queue_limit=st.integers(1, 4) | st.integers(1, 150),
    runs_left=st.none() | st.integers(1, 5) | st.integers(1, 150),
)
BUSY = st.builds(
    Busy,
    held=st.lists(st.integers(1, 99), max_size=4, unique=True),
    waiting=st.lists(st.integers(101, 199), max_size=4, unique=True),
    later=st.lists(st.integers(201, 299), max_size=2, unique=True),
)
LATE = st.floats(0, 30) | st.floats(0, 3600)


def accepted(times: list[datetime], policy: Policy, busy: Busy) -> list[datetime]:
    """Return the fire times in `times` that may run or wait, by the documentation."""
    free = max(policy.max_instances - len(busy.held) - len(busy.waiting), 0)
    places = max(policy.queue_limit - len(busy.waiting), 0) if policy.overlap is Overlap.QUEUE else 0
    newest = min(policy.max_instances, CATCH_UP)
    chosen = times[-newest:] if policy.overlap is Overlap.REPLACE else times[: free + places]
    return chosen[: policy.runs_left][:CATCH_UP]


def model(rule: Any, due_at: datetime, policy: Policy, busy: Busy, now: datetime) -> tuple[list[Any], datetime | None]:
    """Return status, fire time and number of fire times of each row, and when the job is due next."""
    times, following = [], due_at
    while following is not None and following <= now:
        times.append(following)
        following = rule.next_after(following)
    counts = dict.fromkeys(times, 1)
    if policy.coalesce:
        counts, times = {times[-1]: len(times)}, times[-1:]
    grace = timedelta.max if policy.misfire_grace_time is None else timedelta(seconds=policy.misfire_grace_time)
    missed = [at for at in times if now - at > grace]
    in_time = times[len(missed) :]
    queued = accepted(in_time, policy, busy)
    rest = [at for at in in_time if at not in set(queued)]
    if len(queued) == policy.runs_left:  # the job has come to its end: what is later is no fire time of it
        rest, following = [at for at in rest if at < queued[-1]], None
    elif policy.overlap is not Overlap.REPLACE and len(queued) == CATCH_UP and rest:
        rest, following = [], rest[0]  # perhaps there is room for more: for the next plan to see
    rows = [("queued", at, counts[at]) for at in queued]
    for status, gone in (("missed", missed), ("skipped", rest)):
        if gone:
            rows.append((status, gone[-1], sum(counts[at] for at in gone)))
    return sorted(rows, key=lambda row: row[1]), following


@settings(max_examples=examples(400))
@given(rule=RULES, policy=POLICIES, busy=BUSY, late=LATE)
def test_a_plan_is_what_going_through_every_fire_time_gives(rule: Any, policy: Policy, busy: Busy, late: float) -> None:
    due_at = rule.next_after(after(-0.000001))
    now = due_at + timedelta(seconds=late)
    result = plan(rule, due_at, policy, busy=busy, now=now)
    rows, following = model(rule, due_at, policy, busy, now)
    assert [(run.status, run.scheduled_time, run.fire_times) for run in result.runs] == rows
    assert result.next_run_time == following
