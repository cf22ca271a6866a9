"""The valid values of each policy, and the messages for others."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
from django.test import override_settings

from jobs.definitions.policies import POLICIES, complete_retries, default_policies, executor_of, policy_problems
from jobs.models import Job

WHOLE: dict[str, tuple[int, int, str]] = {
    "max_instances": (1, 1000, "must be a whole number from 1 to 1000"),
    "queue_limit": (1, 1000, "must be a whole number from 1 to 1000"),
    "concurrency_limit": (1, 1000, "must be a whole number from 1 to 1000"),
    "priority": (-1000, 1000, "must be a whole number from -1000 to 1000"),
}
NULLABLE: dict[str, tuple[int, int, str]] = {
    "misfire_grace_time": (
        0, 316224000, "must be null (any lateness) or a whole number of seconds from 0 to 316224000"
    ),
    "timeout": (1, 31622400, "must be null (none) or a whole number of seconds from 1 to 31622400"),
    "max_runs": (1, 2**31 - 1, "must be null (any number) or a whole number from 1 to 2147483647"),
    "pause_after": (1, 1000, "must be null (never) or a whole number from 1 to 1000"),
    "keep_runs": (1, 2**31 - 1, "must be null (all) or a whole number from 1 to 2147483647"),
    "keep_days": (1, 36500, "must be null (for ever) or a whole number from 1 to 36500"),
    "keep_failed_days": (1, 36500, "must be null (as long as the others) or a whole number from 1 to 36500"),
}  # fmt: skip
NUMBERS = [(name, *bounds) for name, bounds in {**WHOLE, **NULLABLE}.items()]


def message(name: str, value: Any) -> str:
    return policy_problems({name: value}).get(name, "")


def test_each_policy_is_a_field_of_a_job() -> None:
    assert set(POLICIES) <= {field.name for field in Job._meta.get_fields()}


def test_the_defaults_are_right() -> None:
    assert policy_problems(default_policies()) == {}


def test_by_default_a_late_run_is_better_than_none_and_one_is_enough() -> None:
    found = default_policies()
    assert (found["misfire_grace_time"], found["coalesce"], found["max_instances"]) == (None, True, 1)
    assert (found["overlap"], found["executor"], found["timeout"], found["retries"]) == ("skip", "thread", None, None)


@override_settings(CRONZIMUS={"JOB_DEFAULTS": {"retries": {"max": 2}, "overlap": "queue"}})
def test_the_sites_defaults_come_before_the_models() -> None:
    assert (default_policies()["retries"], default_policies()["overlap"]) == ({"max": 2}, "queue")


@pytest.mark.parametrize(("name", "low", "high", "right"), NUMBERS, ids=[name for name, *_ in NUMBERS])
def test_a_number_is_taken_up_to_its_bounds_and_no_further(name: str, low: int, high: int, right: str) -> None:
    assert [message(name, value) for value in (low, high)] == ["", ""]
    for wrong in (low - 1, high + 1, "5", 5.0, True, [5], {}, float("nan")):
        assert message(name, wrong) == right


@pytest.mark.parametrize("name", [*WHOLE, *NULLABLE])
def test_null_is_taken_where_it_means_something(name: str) -> None:
    assert bool(message(name, None)) == (name in WHOLE)


@pytest.mark.parametrize("value", ["thread", "process"])
def test_an_executor_is_taken(value: str) -> None:
    assert message("executor", value) == ""


@pytest.mark.parametrize("value", ["", "celeryd", None, 1, ["thread"], "Thread"])
def test_an_unknown_executor_is_refused(value: Any) -> None:
    assert message("executor", value) == "must be one of thread, process"


@pytest.mark.parametrize("value", ["", "x" * 65, "two words", None, 1, "naïve"])
def test_a_wrong_queue_is_refused(value: Any) -> None:
    assert message("queue", value) == "must be 1 to 64 ASCII letters, digits and _ . : -"


@pytest.mark.parametrize("value", ["amq.x", "amq.gen-1", "unacked", "unacked_index", "_kombu.binding.x"])
def test_a_queue_that_a_broker_keeps_for_itself_is_refused(value: str) -> None:
    assert message("queue", value) == "must be a name that RabbitMQ and kombu do not keep for themselves"


def test_the_default_queue_of_other_celery_workers_is_refused() -> None:
    assert message("queue", "celery").startswith("must not be celery, the default queue of other Celery workers")


@pytest.mark.parametrize("value", ["cronzimus", "amqp", "celery.reports", "unacked2"])
def test_a_queue_is_taken(value: str) -> None:
    assert message("queue", value) == ""


@pytest.mark.parametrize("value", ["skip", "queue", "replace"])
def test_an_overlap_is_taken(value: str) -> None:
    assert message("overlap", value) == ""


@pytest.mark.parametrize("value", ["", "wait", None, 1, ["skip"]])
def test_an_unknown_overlap_is_refused(value: Any) -> None:
    assert message("overlap", value) == "must be one of skip, queue, replace"


@pytest.mark.parametrize("value", [0, 1, "true", None])
def test_coalesce_is_true_or_false(value: Any) -> None:
    assert message("coalesce", value) == "must be true or false"
    assert policy_problems({"coalesce": False}) == {}


@pytest.mark.parametrize("value", ["", "a", "Db-1:x.y_z", "a" * 64])
def test_a_group_is_taken(value: str) -> None:
    assert message("concurrency_group", value) == ""


@pytest.mark.parametrize("value", ["a b", "ü", "a" * 65, None, 5, "a\n"])
def test_a_group_that_is_not_a_word_is_refused(value: Any) -> None:
    assert message("concurrency_group", value) == "must be empty or 1 to 64 ASCII letters, digits and _ . : -"


@pytest.mark.parametrize(
    "value",
    [None, {"max": 0}, {"max": 100, "delay": 0, "backoff": 1, "max_delay": 31622400, "jitter": 0.5},
     OrderedDict(max=1)],
    ids=repr,
)  # fmt: skip
def test_retries_are_taken(value: Any) -> None:
    assert message("retries", value) == ""


RETRIES = 'must be null (none) or an object such as {"max": 3, "delay": 10, "backoff": 2, "max_delay": 3600}'


@pytest.mark.parametrize(
    ("value", "right"),
    [
        (3, RETRIES),
        ([], RETRIES),
        ({}, RETRIES),
        ({"delay": 5}, RETRIES),
        ({"max": 101}, "max must be a whole number from 0 to 100"),
        ({"max": True}, "max must be a whole number from 0 to 100"),
        ({"max": None}, "max must be a whole number from 0 to 100"),
        ({"max": 1, "delay": -1}, "delay must be a number of seconds from 0 to 31622400"),
        ({"max": 1, "delay": float("inf")}, "delay must be a number of seconds from 0 to 31622400"),
        ({"max": 1, "delay": float("nan")}, "delay must be a number of seconds from 0 to 31622400"),
        ({"max": 1, "delay": None}, "delay must be a number of seconds from 0 to 31622400"),
        ({"max": 1, "backoff": 0.9}, "backoff must be a number from 1 to 100"),
        ({"max": 1, "jitter": "5"}, "jitter must be a number of seconds from 0 to 31622400"),
        ({"max": 1, "dealy": 5}, "has no field 'dealy'; its fields are max, delay, backoff, max_delay, jitter"),
    ],
    ids=repr,
)
def test_wrong_retries_are_refused(value: Any, right: str) -> None:
    assert message("retries", value) == right


def test_an_unknown_policy_is_named() -> None:
    assert policy_problems({"retires": {"max": 1}}) == {"retires": "is not a policy of a job"}


def test_every_wrong_policy_is_named() -> None:
    assert set(policy_problems({"timeout": 0, "coalesce": 1, "priority": 1})) == {"timeout", "coalesce"}


def test_retries_are_completed_with_their_defaults() -> None:
    assert complete_retries({"max": 2, "delay": 1}) == {
        "max": 2, "delay": 1, "backoff": 2, "max_delay": 3600, "jitter": 0
    }  # fmt: skip


@pytest.mark.parametrize("value", [None, {"max": 0}, {"max": 0, "delay": 5}])
def test_no_retries_are_none(value: Any) -> None:
    assert complete_retries(value) is None


def test_a_job_with_a_timeout_runs_in_a_process() -> None:
    assert executor_of(Job(executor="thread", timeout=5)) == "process"
    assert executor_of(Job(executor="thread")) == "thread"
    assert executor_of(Job(executor="process")) == "process"
