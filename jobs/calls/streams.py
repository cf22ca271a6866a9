"""Tell standard error from standard output, although a child process has one pipe for both, which keeps their order.

What Python writes to standard error is put between two marks, which the scheduler's end takes out again. So is what a
thread writes after its run has ended, which belongs to no run. Marks contain random bytes, so that no function writes
them by chance. What other programs write has no marks.
"""

from __future__ import annotations

import codecs
import io
import os
from collections.abc import Callable, Iterator
from typing import IO, Any

from .output import late_text

ON, OFF, LATE = b"1", b"0", b"2"
"""The last byte of the mark where standard error begins, where it or late text ends, and where late text begins."""
ATOMIC_BYTES = 2048
"""Bytes of late text between two marks: with its marks it is written to the pipe as a whole (PIPE_BUF)."""


def new_mark() -> str:
    """Return what the marks of one child begin with: NUL, and random letters."""
    return f"\0{os.urandom(12).hex()}"


class MarkedErrors(io.FileIO):
    """The standard error of a function: descriptor 2, with marks around what is written to it."""

    def __init__(self, mark: str) -> None:
        """Mark with `mark` as long as the descriptor leads to where it leads now."""
        super().__init__(2, "w", closefd=False)
        self._mark = mark.encode()
        self._pipe = os.fstat(2)

    def write(self, data: Any) -> int:
        """Write all of `data`, and return its length."""
        unwritten = memoryview(data).tobytes()
        size = len(unwritten)
        # The function may have led the descriptor elsewhere, to read there what it wrote.
        if os.path.samestat(os.fstat(2), self._pipe):
            unwritten = self._mark + ON + unwritten + self._mark + OFF
        while unwritten:
            unwritten = unwritten[os.write(2, unwritten) :]
        return size


class TextStream(io.TextIOWrapper):
    """A standard stream of a child. What a thread writes after its run has ended goes into the pipe as late text."""

    def __init__(self, binary: IO[bytes], pipe: int, mark: str) -> None:
        """Write to `binary`, and late text to the descriptor `pipe`."""
        # Text that cannot be encoded must not fail a run, as it does not in a thread.
        super().__init__(binary, "utf-8", "backslashreplace", line_buffering=True)
        self._late = pipe, mark.encode()

    def write(self, text: str) -> int:
        """Write `text`, and return its length."""
        late = late_text(text)
        if late is None:
            return super().write(text)
        pipe, mark = self._late
        data = late.encode("utf-8", "backslashreplace")
        for start in range(0, len(data), ATOMIC_BYTES):
            os.write(pipe, mark + LATE + data[start : start + ATOMIC_BYTES] + mark + OFF)
        return len(text)


class Splitter:
    """Takes the marks out of a child's output."""

    def __init__(self, mark: str, on_late: Callable[[str], object]) -> None:
        """Look for `mark`, and pass late text to `on_late`."""
        self._mark = mark.encode()
        self._on_late = on_late
        self._unread = b""
        self._within = OFF
        self._decode, self._decode_late = (codecs.getincrementaldecoder("utf-8")("replace").decode for _ in range(2))

    def split(self, data: bytes) -> Iterator[tuple[str, bool]]:
        """Yield the texts in `data`, and whether each is of standard error. A mark may be cut by the end of `data`."""
        data = self._unread + data
        self._unread = b""
        while True:
            text, mark, rest = data.partition(self._mark)
            if not mark or not rest:
                break
            yield from self._text(text)
            self._within, data = rest[:1], rest[1:]
        cut = data.rfind(b"\0", -len(self._mark))
        if cut >= 0 and self._mark.startswith(data[cut:]):
            data, self._unread = data[:cut], data[cut:]
        yield from self._text(data)

    def end(self) -> Iterator[tuple[str, bool]]:
        """Yield what might have become a mark. The next run begins on standard output, or within late text."""
        if self._within != LATE:
            yield from self._text(self._unread)
            self._unread, self._within = b"", OFF

    def _text(self, data: bytes) -> Iterator[tuple[str, bool]]:
        if self._within == LATE:
            if text := self._decode_late(data):
                self._on_late(text)
        elif text := self._decode(data):
            yield text, self._within == ON
