"""Tell standard error from standard output, although a worker process has one pipe for both, which keeps their order.

What Python writes to standard error is put between two marks, which the scheduler's end takes out again. They contain
random bytes, so that no function writes them by chance. What other programs write to standard error has no marks.
"""

from __future__ import annotations

import codecs
import io
import os
from collections.abc import Iterator
from typing import Any

ON, OFF = b"1", b"0"
"""The last byte of the mark where standard error begins, and where it ends."""


def new_mark() -> str:
    """Return what the marks of one worker begin with: NUL, and random letters."""
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


class Splitter:
    """Takes the marks out of a worker's output."""

    def __init__(self, mark: str) -> None:
        """Look for `mark`."""
        self._mark = mark.encode()
        self._unread = b""
        self._is_error = False
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def split(self, data: bytes) -> Iterator[tuple[str, bool]]:
        """Yield the texts in `data`, and whether each is of standard error. A mark may be cut by the end of `data`."""
        data = self._unread + data
        self._unread = b""
        while True:
            text, mark, rest = data.partition(self._mark)
            if not mark or not rest:
                break
            yield from self._text(text)
            self._is_error, data = rest.startswith(ON), rest[1:]
        cut = data.rfind(b"\0", -len(self._mark))
        if cut >= 0 and self._mark.startswith(data[cut:]):
            data, self._unread = data[:cut], data[cut:]
        yield from self._text(data)

    def end(self) -> Iterator[tuple[str, bool]]:
        """Yield what might have become a mark. The next run begins on standard output."""
        yield from self._text(self._unread)
        self._unread, self._is_error = b"", False

    def _text(self, data: bytes) -> Iterator[tuple[str, bool]]:
        text = self._decode(data)
        if text:
            yield text, self._is_error
