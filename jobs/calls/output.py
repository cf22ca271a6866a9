"""Capture the output and the log of each run, although all threads of a scheduler share one `sys.stdout`.

The output of the current run is a context variable. Threads that a function starts, and tasks that it hands to a
`ThreadPoolExecutor`, inherit it, so that their output belongs to the run as well.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import IO, TYPE_CHECKING, Any, TextIO, cast

from ..core import log_context
from ..core.output import HEAD, LIMIT, TAIL, StoredOutput, gap_line
from ..core.output_marks import Mark, Marks
from ..core.secrets import Masker
from .carrying import threads_carry
from .console import RUN_LINE

if TYPE_CHECKING:
    from ..core.held import HeldRun

MAX_PARTS = 1000
"""Pieces of text that are kept before they are joined: Python needs more memory for a short text than its length."""
SLACK = 64 * 1024
"""Characters by which the tail may grow too long before it is cut."""


class Output:
    """The output of one run: all of it, or its head and its tail if it is longer than `LIMIT`.

    The secrets of the run are masked.
    """

    __slots__ = (
        "_began", "_ended", "_head", "_head_size", "_lock", "_marks", "_masker", "_size", "_tail", "_tail_size", "run",
    )  # fmt: skip

    def __init__(self, run: HeldRun | None = None) -> None:
        """Start empty. Lines of the log name `run`."""
        self.run = run
        self._head: list[str] = []
        self._tail: list[str] = []
        self._head_size = self._tail_size = self._size = 0
        self._ended = False
        self._masker: Masker | None = None
        self._began = time.monotonic()
        self._marks = Marks()
        # A run may write from threads of its own.
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """The number of characters that the run has written, kept or not."""
        return self._size

    def begin(self) -> None:
        """Count the times of the marks from now on: the run starts."""
        with self._lock:
            self._began, self._marks = time.monotonic(), Marks()

    def hide(self, secrets: Sequence[str]) -> None:
        """Mask `secrets` from now on."""
        if secrets:
            self._masker = Masker(secrets)

    @property
    def ended(self) -> bool:
        """Whether it takes no more."""
        return self._ended

    @property
    def hides(self) -> bool:
        """Whether there are secrets to mask."""
        return self._masker is not None

    def masked(self, text: str) -> str:
        """Return a whole text without the secrets."""
        return text if self._masker is None else self._masker.mask(text)

    def write(self, text: str, *, is_error: bool = False) -> bool:
        """Keep `text`, of standard error if `is_error`. Returns False if the run has ended."""
        with self._lock:
            if self._ended:
                return False
            self._marks.add(Mark(self._size, int((time.monotonic() - self._began) * 1000), is_error))
            self._keep(text if self._masker is None else self._masker.feed(text))
            return True

    def _keep(self, text: str) -> None:
        self._size += len(text)
        room = HEAD - self._head_size
        if room > 0:
            self._head.append(text[:room])
            self._head_size += min(len(text), room)
            if len(self._head) > MAX_PARTS:
                self._head = ["".join(self._head)]
            text = text[room:]
        if text:
            self._tail.append(text)
            self._tail_size += len(text)
            if len(self._tail) > MAX_PARTS or self._tail_size > TAIL + SLACK:
                self._cut_tail()

    def _cut_tail(self) -> None:
        tail = "".join(self._tail)
        if self._size > LIMIT:
            tail = tail[-TAIL:]
        self._tail = [tail]
        self._tail_size = len(tail)

    def end(self) -> StoredOutput:
        """Return the kept output, and take no more."""
        with self._lock:
            if self._masker is not None and not self._ended:
                self._keep(self._masker.flush())
            self._ended = True
        return self.stored()

    def stored(self) -> StoredOutput:
        """Return the kept output, as text that every database can store."""
        with self._lock:
            if not self._size:
                return StoredOutput("")
            self._cut_tail()
            head, tail, omitted = "".join(self._head), self._tail[0], self._size - self._head_size - self._tail_size
        return StoredOutput(storable(head + (gap_line(omitted) if omitted else "") + tail), omitted)

    def marks(self) -> str:
        """Return when its parts were written, and on which stream, as `core.output_marks` encodes it."""
        with self._lock:
            return self._marks.encoded()


def storable(text: str) -> str:
    """Return `text` without characters that PostgreSQL cannot store: NUL becomes U+FFFD, a lone surrogate "?"."""
    if text.isascii():
        return text.replace("\x00", "\ufffd") if "\x00" in text else text
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


_current: ContextVar[Output | None] = ContextVar("output of the current run", default=None)


def _forget_in_forked_child() -> None:
    # Nobody reads the child's copy of the run's output, so the child prints to the original streams.
    _current.set(None)


os.register_at_fork(after_in_child=_forget_in_forked_child)


def threads_carry_output() -> AbstractContextManager[None]:
    """Make new threads write to the output of the run that starts them, within the context."""
    return threads_carry(_current)


def late_text(text: str) -> str | None:
    """Return what to log in place of `text` if the run of this thread has ended; None if it has not, or without one."""
    output = _current.get()
    return output.masked(text) if output is not None and output.ended else None


class _Stream(io.TextIOBase):
    """A standard stream that leads to the output of the current run, or else to `stream`."""

    def __init__(self, stream: TextIO, *, is_error: bool = False) -> None:
        self.stream = stream
        self._is_error = is_error

    def write(self, text: str) -> int:
        output = _current.get()
        if output is None:
            return self.stream.write(text)
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        # A thread may outlive its run: its text then goes to the original stream.
        if not output.write(text, is_error=self._is_error):
            self.stream.write(output.masked(text))
            self.stream.flush()
        return len(text)

    def flush(self) -> None:
        if _current.get() is None:
            self.stream.flush()

    def fileno(self) -> int:
        return self.stream.fileno()

    def isatty(self) -> bool:
        return _current.get() is None and self.stream.isatty()

    def writable(self) -> bool:
        return True

    def reconfigure(self, **options: Any) -> None:
        if _current.get() is None:
            cast("io.TextIOWrapper", self.stream).reconfigure(**options)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self.stream.errors

    @property
    def buffer(self) -> IO[bytes]:
        return self.stream.buffer if _current.get() is None else cast("IO[bytes]", _Bytes(self))


class _Bytes(io.RawIOBase):
    """The binary side of a run's stream, which decodes bytes as UTF-8."""

    def __init__(self, text: _Stream) -> None:
        self._text = text

    def write(self, data: Any) -> int:
        self._text.write(bytes(data).decode("utf-8", "replace"))
        return len(data)

    def writable(self) -> bool:
        return True


class _OutputHandler(logging.Handler):
    """Adds the log of a run to its output."""

    def emit(self, record: logging.LogRecord) -> None:
        output = _current.get()
        if output is not None:
            try:
                output.write(self.format(record) + "\n")
            except Exception:
                self.handleError(record)


class _StreamRestorer:
    """Restores the standard streams and the log handler that a function has replaced and not restored.

    A function may replace them for a while (`contextlib.redirect_stdout`), and all threads see that. So they are
    restored when all runs have ended that may have replaced them.
    """

    def __init__(self, streams: tuple[Any, Any], handler: logging.Handler) -> None:
        self._streams = streams
        self._handler = handler
        self._active: set[Output] = set()
        self._suspects: set[Output] | None = None
        self._lock = threading.Lock()

    def began(self, output: Output) -> None:
        root = logging.getLogger()
        with self._lock:
            self._active.add(output)
            if self._handler not in root.handlers:
                root.addHandler(self._handler)

    def ended(self, output: Output) -> None:
        with self._lock:
            self._active.discard(output)
            if (sys.stdout, sys.stderr) == self._streams:
                self._suspects = None
                return
            self._suspects = self._active & (self._active if self._suspects is None else self._suspects)
            if not self._suspects:
                sys.stdout, sys.stderr = self._streams
                self._suspects = None


_restorer: _StreamRestorer | None = None


@contextmanager
def capture_installed() -> Iterator[None]:
    """Make `captured` work within the context: wrap the standard streams, the root logger and new threads."""
    global _restorer
    streams = sys.stdout, sys.stderr
    handler = _OutputHandler()
    handler.setFormatter(logging.Formatter(RUN_LINE, style="{"))
    root = logging.getLogger()
    root.addHandler(handler)
    context = log_context.asking(_run_of_line)
    with context, threads_carry_output(), _records_are_masked(), open(os.devnull, "w") as nowhere:
        # A stream is None if the process was started without it.
        ours = _Stream(streams[0] or nowhere), _Stream(streams[1] or nowhere, is_error=True)
        sys.stdout, sys.stderr = ours
        _restorer = _StreamRestorer(ours, handler)
        try:
            yield
        finally:
            _restorer = None
            sys.stdout, sys.stderr = streams
            root.removeHandler(handler)


def _run_of_line() -> dict[str, object]:
    output = _current.get()
    run = None if output is None else output.run
    return {} if run is None else {"run": run.id, "job": run.job_id}


@contextmanager
def captured(run: HeldRun | None = None) -> Iterator[Output]:
    """Capture the output and the log of this thread, and of threads that it starts, in the `Output` that is given."""
    output, restorer = Output(run), _restorer
    token = _current.set(output)
    if restorer is not None:
        restorer.began(output)
    try:
        yield output
    finally:
        _current.reset(token)
        if restorer is not None:
            restorer.ended(output)


@contextmanager
def _records_are_masked() -> Iterator[None]:
    """Mask the secrets of a run in its log records within the context, for all handlers."""
    make = logging.getLogRecordFactory()

    def make_masked(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        output = _current.get()
        if output is not None and output.hides:
            _mask(record, output)
        return record

    logging.setLogRecordFactory(make_masked)
    try:
        yield
    finally:
        if logging.getLogRecordFactory() is make_masked:
            logging.setLogRecordFactory(make)


def _mask(record: logging.LogRecord, output: Output) -> None:
    try:
        record.msg, record.args = output.masked(record.getMessage()), None
    except Exception:  # the arguments do not fit the message, which the handler reports
        record.args = None
    if record.exc_info and record.exc_info[0] is not None:
        record.exc_text = output.masked(logging.Formatter().formatException(record.exc_info))


def open_missing_descriptors() -> None:
    """Open the null device for each standard stream that this process was started without (`>&-`).

    Otherwise the next file or pipe would get its number, and functions would write into it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
            os.set_inheritable(opened, True)
