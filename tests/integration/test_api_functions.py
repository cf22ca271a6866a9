"""/scheduler/functions: the functions that jobs may call, with their parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jobs.functions import registry
from jobs.functions.registry import Database, RunContext, register

from .api_client import Api

pytestmark = pytest.mark.any_database


@pytest.fixture
def function() -> Iterator[str]:
    """A function with a parameter of each kind."""

    @register("tests:all_kinds")
    def all_kinds(
        first: int, /, database: Database, second: Any = object, *rest: str, context: RunContext,
        third: float = float("inf"), **more: Any,
    ) -> None:  # fmt: skip
        """Take all kinds.

        And more.
        """

    yield "tests:all_kinds"
    registry._functions.pop("tests:all_kinds")


def shown(api: Api, reference: str) -> Any:
    """Return what the API shows of a function."""
    return next(known for known in api.get("/scheduler/functions") if known["func"] == reference)


def test_the_sample_task_needs_nothing(api: Api) -> None:
    assert shown(api, "cronzimus.controller.task:task") == {
        "func": "cronzimus.controller.task:task",
        "name": "task",
        "description": "Ask the database for its time. The sample job calls it.",
        "parameters": [],
        "injected": [{"name": "database", "type": "Database"}],
    }


def test_each_kind_of_parameter(api: Api, function: str) -> None:
    known = shown(api, function)
    assert known["name"] == "all_kinds"
    assert known["description"] == "Take all kinds."
    assert known["parameters"] == [
        {"name": "first", "required": True, "kind": "positional_only", "annotation": "int"},
        {
            "name": "second", "required": False, "kind": "positional_or_keyword", "default": "<class 'object'>",
            "annotation": "Any",
        },
        {"name": "rest", "required": False, "kind": "var_positional", "annotation": "str"},
        {"name": "third", "required": False, "kind": "keyword_only", "default": "inf", "annotation": "float"},
        {"name": "more", "required": False, "kind": "var_keyword", "annotation": "Any"},
    ]  # fmt: skip
    assert known["injected"] == [{"name": "database", "type": "Database"}, {"name": "context", "type": "RunContext"}]


def test_they_are_in_order(api: Api) -> None:
    names = [known["func"] for known in api.get("/scheduler/functions")]
    assert names == sorted(names)
    assert {"tests:echo", "cronzimus.controller.task:task"} <= set(names)
