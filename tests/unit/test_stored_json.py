"""Whatever the database has in a JSON column, it is read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobs.core import stored_json
from jobs.core.stored_json import MAX_DEPTH


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize("text", ["null", '"x"', '[{"a": 1.5}]', nested(MAX_DEPTH), "[" + "[]," * MAX_DEPTH + "[]]"])
def test_json_is_read(text: str) -> None:
    assert stored_json.loads(text) == json.loads(text)


@pytest.mark.parametrize("text", ["", "[", nested(MAX_DEPTH + 1), nested(2000), nested(100_000), "9" * 5000])
def test_what_can_not_be_read_is_the_text_itself(text: str) -> None:
    assert stored_json.loads(text) == text


@pytest.mark.parametrize("value", [None, 5, b"[]", [1]])
def test_what_is_no_text_is_what_it_is(value: Any) -> None:
    assert stored_json.loads(value) is value
