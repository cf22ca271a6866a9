"""JSON is read strictly."""

from __future__ import annotations

import pytest

from jobs.core import strict_json


@pytest.mark.parametrize(
    ("text", "value"),
    [("[]", []), ('{"a": [1, -2.5, true, null, "ä"]}', {"a": [1, -2.5, True, None, "ä"]}), (" 0 ", 0), ('"x"', "x")],
)
def test_json_is_read(text, value):
    assert strict_json.loads(text) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not JSON"), ("[1", "is not JSON"), ("[1] x", "is not JSON"), ("NaN", "holds NaN"),
        ("[-Infinity]", "holds -Infinity"), ("1e400", "too large"), ("9" * 401, "more than 400 digits"),
        ('{"a": 1, "a": 1}', "has the name 'a' twice"), ("[" * 33 + "]" * 33, "nested deeper than 32"),
        ("[" * 100_000, "nested deeper than 32"), ('{"a":' * 33 + "1" + "}" * 33, "nested deeper than 32"),
    ],
)  # fmt: skip
def test_what_is_not_json_is_refused(text, said):
    with pytest.raises(ValueError, match=said):
        strict_json.loads(text)


def test_the_depth_is_that_of_the_containers():
    assert strict_json.loads("[" * 32 + "1" + "]" * 32)
