"""Capture what a run prints and logs, run by run, although all threads share one `sys.stdout`."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import IO, Any, TextIO, cast

LIMIT = 256 * 1024
"""Characters kept of one run's output."""
TRUNCATED = "\n[output truncated: more than 256 KB]\n"
"""What ends an output that is not kept to its end."""


class Output:
    """What one run wrote so far: the first `LIMIT` characters, and a mark where there was more."""

    __slots__ = ("_full", "_lock", "_parts", "_size")

    def __init__(self) -> None:
        """Start empty."""
        self._parts: list[str] = []
        self._size = 0
        self._full = False
        # A run may write from threads of its own, which copied its context.
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """How many characters it has kept."""
        return self._size

    def write(self, text: str) -> None:
        """Keep `text`, or as much of it as there is room for."""
        with self._lock:
            if self._full:
                return
            room = LIMIT - self._size
            self._parts.append(text[:room])
            self._size += min(len(text), room)
            if len(text) > room:
                self._parts.append(TRUNCATED)
                self._full = True

    def getvalue(self) -> str:
        """Return all of it, in a form that every database stores."""
        with self._lock:
            return storable("".join(self._parts)) if self._parts else ""


def storable(text: str) -> str:
    """Return `text` with what PostgreSQL can not store (NUL, lone surrogates) replaced by U+FFFD or "?"."""
    if text.isascii():
        return text.replace("\x00", "\ufffd") if "\x00" in text else text
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


_current: ContextVar[Output | None] = ContextVar("output of the current run", default=None)


class _Switch(io.TextIOBase):
    """A stream that hands what a run writes to the run's output, and everything else to `stream`."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        output = _current.get()
        if output is None:
            return self.stream.write(text)
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        output.write(text)
        return len(text)

    def flush(self) -> None:
        self.stream.flush()

    def fileno(self) -> int:
        return self.stream.fileno()

    def isatty(self) -> bool:
        return _current.get() is None and self.stream.isatty()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.stream.encoding

    @property
    def buffer(self) -> IO[bytes]:
        return self.stream.buffer if _current.get() is None else cast("IO[bytes]", _Bytes(self))


class _Bytes(io.RawIOBase):
    """The bytes beneath a run's stream: what is written to it is text in UTF-8."""

    def __init__(self, text: _Switch) -> None:
        self._text = text

    def write(self, data: Any) -> int:
        self._text.write(bytes(data).decode("utf-8", "replace"))
        return len(data)

    def writable(self) -> bool:
        return True


class _OutputHandler(logging.Handler):
    """Puts what a run logs into its output."""

    def emit(self, record: logging.LogRecord) -> None:
        output = _current.get()
        if output is not None:
            try:
                output.write(self.format(record) + "\n")
            except Exception:
                self.handleError(record)


@contextmanager
def capturing() -> Iterator[None]:
    """Within this context, `captured` works: `sys.stdout`, `sys.stderr` and the root logger know of runs."""
    streams = sys.stdout, sys.stderr
    handler = _OutputHandler()
    handler.setFormatter(logging.Formatter("{levelname} {name}: {message}", style="{"))
    root = logging.getLogger()
    root.addHandler(handler)
    sys.stdout, sys.stderr = _Switch(streams[0]), _Switch(streams[1])
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        root.removeHandler(handler)


@contextmanager
def captured() -> Iterator[Output]:
    """Keep what is printed and logged in this thread, until the end, in the `Output` returned."""
    output = Output()
    token = _current.set(output)
    try:
        yield output
    finally:
        _current.reset(token)
