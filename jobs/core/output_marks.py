"""Marks beside the output of a run: when its parts were written, and which parts are standard error.

A mark is for the text from its offset up to the next mark. The number of marks is limited, so that an output costs no
more than a little memory and a short text beside it.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

MOST = 1000
"""Marks that are kept of one output."""


class Mark(NamedTuple):
    """The time in milliseconds since the start of the run, and the stream, of the output from `offset` on."""

    offset: int
    milliseconds: int
    is_error: bool


class Marks:
    """The marks of one output. Beyond `MOST` marks, the times get coarser; then marks in the middle are forgotten."""

    __slots__ = ("_kept", "_step")

    def __init__(self) -> None:
        """Start without marks, to the millisecond."""
        self._kept: list[Mark] = []
        self._step = 1

    def add(self, mark: Mark) -> None:
        """Note that the text from `mark.offset` on was written at its time, on its stream."""
        if self._says_more(mark):
            self._kept.append(mark)
            if len(self._kept) > MOST:
                self._thin()

    def _says_more(self, mark: Mark) -> bool:
        if not self._kept:
            return True
        last = self._kept[-1]
        return last.is_error != mark.is_error or mark.milliseconds - last.milliseconds >= self._step

    def _thin(self) -> None:
        # The stream changes too often for coarser times to help: the middle becomes one mark.
        if sum(one.is_error != other.is_error for one, other in pairwise(self._kept)) > MOST // 2:
            self._kept[MOST // 4 : -MOST // 4] = [self._kept[MOST // 4]._replace(is_error=False)]
            return
        self._step *= 2
        marks, self._kept = self._kept, []
        for mark in marks:
            if self._says_more(mark):
                self._kept.append(mark)

    def encoded(self) -> str:
        """Return the marks as a text; empty without marks."""
        if not self._kept:
            return ""
        return json.dumps([[*mark[:2], int(mark.is_error)] for mark in self._kept], separators=(",", ":"))


def decoded(text: str | None) -> list[Mark]:
    """Return the marks of an `encoded` text, in the order of their offsets; none of a damaged text."""
    try:
        return sorted(Mark(int(offset), int(at), bool(is_error)) for offset, at, is_error in json.loads(text or "[]"))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return []


def mark_at(marks: Sequence[Mark], offset: int) -> Mark | None:
    """Return the mark of the character `offset`; None before the first one."""
    index = bisect_right(marks, offset, key=lambda mark: mark.offset)
    return marks[index - 1] if index else None
