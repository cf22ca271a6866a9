"""The lines between a worker process and its parent: long ones go in parts, between which others may write."""

from __future__ import annotations

import select

import pytest

from jobs.calls.messages import Lines, encode, parts_of

OVERHEAD = len(encode(end=""))


@pytest.mark.parametrize(
    "size", [0, select.PIPE_BUF - OVERHEAD, select.PIPE_BUF - OVERHEAD + 1, 4 * select.PIPE_BUF, 99_999]
)
def test_a_line_of_any_length_arrives_whole_whatever_others_write_between_its_parts(size: int) -> None:
    parts = parts_of(encode(end="x" * size))
    assert max(map(len, parts)) <= select.PIPE_BUF
    assert (len(parts) > 1) == (size > select.PIPE_BUF - OVERHEAD)
    other, lines = encode(progress=[1, None], run=7), Lines()
    sent = b"".join(part + other for part in parts)
    found = [message for start in range(0, len(sent), 1000) for message in lines.read(sent[start : start + 1000])]
    assert [message for message in found if "end" in message] == [{"end": "x" * size}]
    assert len(found) == len(parts) + 1


@pytest.mark.parametrize("parts", range(1, 4))
def test_a_part_that_is_full_to_the_last_byte_is_not_followed_by_an_empty_one(parts: int) -> None:
    room = select.PIPE_BUF - 2
    line = encode(end="x" * (parts * room - OVERHEAD + 1))
    found = Lines()
    assert [found.read(part) for part in parts_of(line)][-1] == [{"end": "x" * (parts * room - OVERHEAD + 1)}]
