"""Tell standard error from standard output, although a child process has one pipe for both, which keeps their order.

What Python writes to standard error is put between two boundaries, which the parent takes out again. So is what a
thread writes after its run has ended, which belongs to no run. Boundaries contain random bytes, so that no function
writes them by chance. What other programs write has no boundaries.
"""

from __future__ import annotations

import codecs
import io
import os
from collections.abc import Callable, Iterator
from typing import IO, Any

from .output import late_text

ON, OFF, LATE = b"1", b"0", b"2"
"""The last byte of the boundary where standard error begins, where it or late text ends, and where late text begins."""
ATOMIC_BYTES = 2048
"""Bytes of late text between two boundaries: with its boundaries it is written to the pipe as a whole (PIPE_BUF)."""


def new_boundary() -> str:
    """Return what the boundaries of one child begin with: NUL, and random letters."""
    return f"\0{os.urandom(12).hex()}"


class MarkedErrors(io.FileIO):
    """The standard error of a function: descriptor 2, with boundaries around what is written to it."""

    def __init__(self, boundary: str) -> None:
        """Write `boundary` around errors as long as the descriptor leads to where it leads now."""
        super().__init__(2, "w", closefd=False)
        self._boundary = boundary.encode()
        self._pipe = os.fstat(2)

    def write(self, data: Any) -> int:
        """Write all of `data`, and return its length."""
        unwritten = memoryview(data).tobytes()
        size = len(unwritten)
        # The function may have led the descriptor elsewhere, to read there what it wrote.
        if os.path.samestat(os.fstat(2), self._pipe):
            unwritten = self._boundary + ON + unwritten + self._boundary + OFF
        while unwritten:
            unwritten = unwritten[os.write(2, unwritten) :]
        return size


class TextStream(io.TextIOWrapper):
    """A standard stream of a child. What a thread writes after its run has ended goes into the pipe as late text."""

    def __init__(self, binary: IO[bytes], pipe: int, boundary: str) -> None:
        """Write to `binary`, and late text to the descriptor `pipe`."""
        # Text that cannot be encoded must not fail a run, as it does not in a thread.
        super().__init__(binary, "utf-8", "backslashreplace", line_buffering=True)
        self._late = pipe, boundary.encode()

    def write(self, text: str) -> int:
        """Write `text`, and return its length."""
        late = late_text(text)
        if late is None:
            return super().write(text)
        pipe, boundary = self._late
        data = late.encode("utf-8", "backslashreplace")
        for start in range(0, len(data), ATOMIC_BYTES):
            os.write(pipe, boundary + LATE + data[start : start + ATOMIC_BYTES] + boundary + OFF)
        return len(text)


class Splitter:
    """Takes the boundaries out of a child's output."""

    def __init__(self, boundary: str, on_late: Callable[[str], object]) -> None:
        """Look for `boundary`, and pass late text to `on_late`."""
        self._boundary = boundary.encode()
        self._on_late = on_late
        self._unread = b""
        self._within = OFF
        self._decode, self._decode_late = (codecs.getincrementaldecoder("utf-8")("replace").decode for _ in range(2))

    def split(self, data: bytes) -> Iterator[tuple[str, bool]]:
        """Yield the texts in `data`, and whether each is of standard error. Its end may cut a boundary."""
        data = self._unread + data
        self._unread = b""
        while True:
            text, boundary, rest = data.partition(self._boundary)
            if not boundary or not rest:
                break
            yield from self._text(text)
            self._within, data = rest[:1], rest[1:]
        cut = data.rfind(b"\0", -len(self._boundary))
        if cut >= 0 and self._boundary.startswith(data[cut:]):
            data, self._unread = data[:cut], data[cut:]
        yield from self._text(data)

    def end(self) -> Iterator[tuple[str, bool]]:
        """Yield what might have become a boundary. The next run begins on standard output, or within late text."""
        if self._within != LATE:
            yield from self._text(self._unread)
            self._unread, self._within = b"", OFF

    def _text(self, data: bytes) -> Iterator[tuple[str, bool]]:
        if self._within == LATE:
            if text := self._decode_late(data):
                self._on_late(text)
        elif text := self._decode(data):
            yield text, self._within == ON
