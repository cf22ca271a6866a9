"""JSON is parsed strictly from people, and leniently from the database."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobs.core.json import MAX_DEPTH, MAX_STORED_DEPTH, is_deeper, parse_stored, parse_strict, unstorable


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize(
    ("text", "value"),
    [("[]", []), ('{"a": [1, -2.5, true, null, "ä"]}', {"a": [1, -2.5, True, None, "ä"]}), (" 0 ", 0), ('"x"', "x")],
)
def test_strict_json_is_read(text: str, value: object) -> None:
    assert parse_strict(text) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not JSON"), ("[1", "is not JSON"), ("[1] x", "is not JSON"), ("NaN", "holds NaN"),
        ("\ufeff[]", "begins with a byte order mark"),
        ("[-Infinity]", "holds -Infinity"), ("1e400", "too large"), ("9" * 401, "more than 400 digits"),
        ('{"a": 1, "a": 1}', "has the name 'a' twice"), (nested(33), "nested deeper than 32"),
        ("[" * 100_000, "nested deeper than 32"), ('{"a":' * 33 + "1" + "}" * 33, "nested deeper than 32"),
    ],
)  # fmt: skip
def test_text_that_is_not_strict_json_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_strict(text)


def test_only_arrays_and_objects_count_as_levels() -> None:
    assert parse_strict("[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH)
    assert is_deeper({"a": [1]}, 1)
    assert not is_deeper({"a": [1]}, 2)
    assert not is_deeper("text", 0)


@pytest.mark.parametrize(
    "text", ["null", '"x"', '[{"a": 1.5}]', nested(MAX_STORED_DEPTH), "[" + "[]," * MAX_STORED_DEPTH + "[]]"]
)
def test_stored_json_is_read(text: str) -> None:
    assert parse_stored(text) == json.loads(text)


@pytest.mark.parametrize("text", ["", "[", nested(MAX_STORED_DEPTH + 1), nested(2000), nested(100_000), "9" * 5000])
def test_stored_text_that_is_not_json_is_returned_unchanged(text: str) -> None:
    assert parse_stored(text) == text


@pytest.mark.parametrize("value", [None, 5, b"[]", [1]])
def test_a_stored_value_that_is_not_text_is_returned_unchanged(value: Any) -> None:
    assert parse_stored(value) is value


@pytest.mark.parametrize("value", ["a\x00", {"a\x00": 1}, [{"a": ["\ud800"]}], "\udfff"])
def test_texts_that_postgresql_cannot_store_are_found(value: object) -> None:
    assert "NUL" in unstorable(value)


@pytest.mark.parametrize("value", ["", "😀", [None, 1, {"a": ["b"]}]])
def test_other_texts_can_be_stored(value: object) -> None:
    assert unstorable(value) == ""
