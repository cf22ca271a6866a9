"""The fate of a fire time in a few situations, as the planning decides it."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.admin.jobs.foreseen import foreseen
from jobs.models import Job
from tests.fakes import NOW, after


def job(**fields: Any) -> Job:
    """Return a job that is due every ten minutes."""
    defaults = {"id": "job", "func": "tests:record", "trigger": {"type": "cron", "minute": "*/10"}}
    return Job(**{**defaults, "anchor": after(-90_000), "misfire_grace_time": None, **fields})


def told(**fields: Any) -> dict[str, str]:
    return dict(foreseen(job(**fields), NOW))


def test_it_runs_if_nothing_is_in_its_way() -> None:
    assert told()["Nothing is in its way"] == "It runs."


@pytest.mark.parametrize(
    ("fields", "situation", "result"),
    [
        ({"overlap": "skip"}, "Its last run is still going", "It is skipped."),
        ({"overlap": "queue"}, "Its last run is still going", "It waits until one of them has ended."),
        ({"overlap": "queue", "queue_limit": 0}, "Its last run is still going", "It is skipped."),
        ({"overlap": "replace"}, "Its last run is still going",
         "The oldest of them is cancelled, and it runs once that has ended."),
        ({"max_instances": 3}, "3 runs are still going", "It is skipped."),
    ],
)  # fmt: skip
def test_an_active_run_is_handled_by_the_overlap_policy(fields: Any, situation: str, result: str) -> None:
    assert told(**fields)[situation] == result


@pytest.mark.parametrize(
    ("fields", "result"),
    [
        ({"coalesce": True}, "One run stands for 7 fire times."),
        ({"coalesce": False, "max_instances": 10}, "7 fire times run late."),
        ({"coalesce": False, "max_instances": 2},
         "2 fire times run late and 5 are skipped, more than may run at once."),
        ({"coalesce": False, "max_instances": 10, "misfire_grace_time": 60},
         "It runs late and 6 are missed, later than the grace of 1 m."),
        ({"coalesce": True, "trigger": {"type": "cron", "hour": 12}, "misfire_grace_time": 60},
         "1 is missed, later than the grace of 1 m."),
    ],
)  # fmt: skip
def test_after_an_outage_the_policies_decide(fields: Any, result: str) -> None:
    assert told(**fields)["No scheduler runs until an hour later"] == result


@pytest.mark.parametrize(
    ("retries", "result"),
    [
        (None, "It is not tried again."),
        ({"max": 3, "delay": 10, "backoff": 2}, "It is tried again after 10.0 s, 20.0 s and 40.0 s."),
        ({"max": 50, "delay": 1, "backoff": 1},
         "It is tried again after 1.0 s, 1.0 s, 1.0 s, 1.0 s and 1.0 s, and so on, 51 attempts in all."),
    ],
)  # fmt: skip
def test_a_failure_is_tried_again_as_the_retries_say(retries: Any, result: str) -> None:
    assert told(retries=retries)["Its run fails"] == result


def test_a_timeout_is_told() -> None:
    assert told(timeout=90)["Its run takes longer than 1 m 30 s"] == "It is stopped, and has timed out."


def test_the_last_run_was_before() -> None:
    assert told(max_runs=3, claimed_count=3)["Nothing is in its way"] == "It does not run: max_runs is reached."


@pytest.mark.parametrize("fields", [{"trigger": {"type": "x"}}, {"overlap": "x"}, {"max_instances": "x"}])
def test_of_a_damaged_job_nothing_is_told(fields: Any) -> None:
    assert told(**fields) == {}
