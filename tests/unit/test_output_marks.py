"""Marks beside an output: when its parts were written, and which are standard error."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.calls.output import Output, capture_installed, captured
from jobs.calls.streams import LATE, OFF, ON, MarkedErrors, Splitter, new_boundary
from jobs.core.output_marks import MOST, Mark, Marks, decoded, mark_at


def marks_of(*marks: Mark) -> Marks:
    kept = Marks()
    for mark in marks:
        kept.add(mark)
    return kept


def test_marks_are_read_as_they_were_written() -> None:
    marks = [Mark(0, 5, False), Mark(10, 5, True), Mark(12, 70, False)]
    assert decoded(marks_of(*marks).encoded()) == marks


def test_text_of_the_same_moment_and_stream_needs_no_mark() -> None:
    assert decoded(marks_of(Mark(0, 5, False), Mark(10, 5, False)).encoded()) == [Mark(0, 5, False)]


@pytest.mark.parametrize("text", [None, "", "[]", "garbage", "[1]", "[[1]]", '[["a", 1, 0]]', "{}", "[[1e400, 1, 0]]"])
def test_without_sound_marks_there_are_none(text: str | None) -> None:
    assert decoded(text) == []


def test_a_mark_holds_up_to_the_next() -> None:
    marks = [Mark(5, 1, False), Mark(10, 2, True)]
    assert [mark_at(marks, offset) for offset in (4, 5, 9, 10, 99)] == [None, marks[0], marks[0], marks[1], marks[1]]


def test_of_many_marks_the_times_get_coarser() -> None:
    found = decoded(marks_of(*(Mark(second, second * 1000, False) for second in range(100_000))).encoded())
    assert len(found) <= MOST
    for second in (0, 777, 50_000, 99_999):
        mark = mark_at(found, second)
        assert mark is not None
        assert 0 <= second * 1000 - mark.milliseconds < 1_000_000


def test_of_many_changes_of_the_stream_the_first_and_the_last_are_kept() -> None:
    found = decoded(marks_of(*(Mark(number, number, number % 2 == 1) for number in range(10_000))).encoded())
    assert len(found) <= MOST
    assert [mark.is_error for mark in found[:4]] == [False, True, False, True]
    assert found[-1] == Mark(9_999, 9_999, True)


def test_after_many_changes_of_the_stream_times_are_as_exact_as_before() -> None:
    changes = [Mark(number, number, number % 2 == 1) for number in range(10_000)]
    assert decoded(marks_of(*changes, Mark(10_000, 10_001, True)).encoded())[-1] == Mark(10_000, 10_001, True)


# --- in threads ------------------------------------------------------------------------------------------------------


def streams(output: Output) -> list[tuple[int, bool]]:
    return [(mark.offset, mark.is_error) for mark in decoded(output.marks())]


def test_what_a_thread_writes_to_standard_error_is_marked() -> None:
    with capture_installed(), captured() as output:
        print("one")
        print("two", file=sys.stderr)
        print("three")
    found = decoded(output.marks())
    assert [mark_at(found, offset).is_error for offset in (0, 4, 8)] == [False, True, False]  # type: ignore[union-attr]


def test_the_log_is_not_standard_error() -> None:
    with capture_installed(), captured() as output:
        logging.getLogger("job.test").warning("late")
    assert not any(is_error for _, is_error in streams(output))


def test_a_silent_run_has_no_marks() -> None:
    assert Output().marks() == ""


def test_times_count_from_the_start_of_the_run() -> None:
    output = Output()
    output.write("of the start of the process", is_error=True)
    output.begin()
    output.write("of the run")
    assert decoded(output.marks()) == [Mark(27, 0, False)]


# --- in processes ----------------------------------------------------------------------------------------------------


def joined(texts: Iterator[tuple[str, bool]]) -> list[tuple[str, bool]]:
    found: list[tuple[str, bool]] = []
    for text, is_error in texts:
        if found and found[-1][1] == is_error:
            text = found.pop()[0] + text
        found.append((text, is_error))
    return found


@given(
    st.lists(st.tuples(st.text("aü\0\n", min_size=1), st.sampled_from([OFF, ON, LATE]))),
    st.lists(st.integers(0, 200)),
)
def test_marks_are_taken_out_wherever_the_bytes_are_cut(texts: list[tuple[str, bytes]], cuts: list[int]) -> None:
    mark = new_boundary()
    late: list[str] = []
    splitter = Splitter(mark, late.append)
    sent = b"".join(
        text.encode() if kind == OFF else mark.encode() + kind + text.encode() + mark.encode() + OFF
        for text, kind in texts
    )
    places = [0, *sorted(cut for cut in cuts if cut < len(sent)), len(sent)]
    pieces = [sent[start:end] for start, end in pairwise(places)]

    def received() -> Iterator[tuple[str, bool]]:
        for piece in pieces:
            yield from splitter.split(piece)
        yield from splitter.end()

    assert joined(received()) == joined((text, kind == ON) for text, kind in texts if kind != LATE)
    assert "".join(late) == "".join(text for text, kind in texts if kind == LATE)


def test_late_text_that_was_read_in_part_is_none_of_the_next_run() -> None:
    late: list[str] = []
    splitter = Splitter("\0m", late.append)
    assert [*splitter.split(b"own\0m2la"), *splitter.end()] == [("own", False)]
    assert [*splitter.split(b"te\0m0next"), *splitter.end()] == [("next", False)]
    assert "".join(late) == "late"


def test_standard_error_that_leads_elsewhere_gets_no_marks(tmp_path: object) -> None:
    kept = os.dup(2)
    reader, writer = os.pipe()
    elsewhere, there = os.pipe()
    try:
        os.dup2(writer, 2)
        errors, mark = MarkedErrors("mark"), b"mark"
        assert errors.write(b"first") == 5
        os.dup2(there, 2)
        errors.write(b"second")
    finally:
        os.dup2(kept, 2)
    assert os.read(reader, 100) == mark + ON + b"first" + mark + OFF
    assert os.read(elsewhere, 100) == b"second"
    for descriptor in (kept, reader, writer, elsewhere, there):
        os.close(descriptor)
