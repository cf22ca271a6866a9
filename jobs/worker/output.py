"""Capture what each run prints and logs, although all threads of a scheduler share one `sys.stdout`.

The output of the current run is a context variable. Threads that a function starts, and work that it hands to a
`ThreadPoolExecutor`, carry it on, so that what they print belongs to the run as well.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import IO, TYPE_CHECKING, Any, TextIO, cast

from ..core import log_context
from ..core.output import HEAD, LIMIT, TAIL, StoredOutput, mark
from ..core.secrets import Masker

if TYPE_CHECKING:
    from ..scheduler.store.held import HeldRun

MAX_PARTS = 1000
"""Pieces of text that are kept apart before they are joined: most are shorter than what Python needs to keep them."""
SLACK = 64 * 1024
"""Characters by which the tail may grow beyond what is kept before it is cut."""


class Output:
    """What one run has written: all of it, or its head and its tail where it is longer than `LIMIT`.

    Secrets that the run was given are masked.
    """

    __slots__ = ("_ended", "_head", "_head_size", "_lock", "_masker", "_size", "_tail", "_tail_size", "run")

    def __init__(self, run: HeldRun | None = None) -> None:
        """Start empty. `run` is what lines of the log are said to be about."""
        self.run = run
        self._head: list[str] = []
        self._tail: list[str] = []
        self._head_size = self._tail_size = self._size = 0
        self._ended = False
        self._masker: Masker | None = None
        # A run may write from threads of its own.
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """How many characters the run has written, kept or not."""
        return self._size

    def hide(self, secrets: Sequence[str]) -> None:
        """Mask `secrets` in what is written from now on."""
        if secrets:
            self._masker = Masker(secrets)

    @property
    def hides(self) -> bool:
        """Whether there are secrets to mask."""
        return self._masker is not None

    def masked(self, text: str) -> str:
        """Return a whole text without the secrets."""
        return text if self._masker is None else self._masker.mask(text)

    def write(self, text: str) -> bool:
        """Keep `text`. Returns False where the run has ended."""
        with self._lock:
            if self._ended:
                return False
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
        """Return what is kept, and take no more."""
        with self._lock:
            if self._masker is not None and not self._ended:
                self._keep(self._masker.flush())
            self._ended = True
        return self.stored()

    def stored(self) -> StoredOutput:
        """Return what is kept, as text that every database can store."""
        with self._lock:
            if not self._size:
                return StoredOutput("")
            self._cut_tail()
            head, tail, omitted = "".join(self._head), self._tail[0], self._size - self._head_size - self._tail_size
        return StoredOutput(storable(head + (mark(omitted) if omitted else "") + tail), omitted)


def storable(text: str) -> str:
    """Return `text` without what PostgreSQL cannot store: NUL becomes U+FFFD, a lone surrogate "?"."""
    if text.isascii():
        return text.replace("\x00", "\ufffd") if "\x00" in text else text
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


_current: ContextVar[Output | None] = ContextVar("output of the current run", default=None)


def _forget_in_forked_child() -> None:
    # The child has a copy of the run's output, which nobody reads: what it prints goes to the log instead.
    _current.set(None)


os.register_at_fork(after_in_child=_forget_in_forked_child)


class _Stream(io.TextIOBase):
    """A standard stream: what a run writes goes to its output, and everything else to `stream`."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        output = _current.get()
        if output is None:
            return self.stream.write(text)
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        # A thread may outlive its run: what it writes then goes where everything else goes.
        return len(text) if output.write(text) else self.stream.write(output.masked(text))

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
    """The binary side of a run's stream: bytes that are written to it are read as UTF-8."""

    def __init__(self, text: _Stream) -> None:
        self._text = text

    def write(self, data: Any) -> int:
        self._text.write(bytes(data).decode("utf-8", "replace"))
        return len(data)

    def writable(self) -> bool:
        return True


class _OutputHandler(logging.Handler):
    """Adds what a run logs to its output."""

    def emit(self, record: logging.LogRecord) -> None:
        output = _current.get()
        if output is not None:
            try:
                output.write(self.format(record) + "\n")
            except Exception:
                self.handleError(record)


class _Guard:
    """Puts back the standard streams and the log handler that a function has replaced and left so.

    All threads see what one puts in their place, which a function may do for a while (`contextlib.redirect_stdout`).
    So the streams are put back when every run has ended that may have done it.
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


_guard: _Guard | None = None


@contextmanager
def capturing() -> Iterator[None]:
    """Within this context `captured` works: the standard streams, the root logger and new threads know the runs."""
    global _guard
    streams = sys.stdout, sys.stderr
    handler = _OutputHandler()
    handler.setFormatter(logging.Formatter("{levelname} {name}: {message}", style="{"))
    root = logging.getLogger()
    root.addHandler(handler)
    context = log_context.asking(_run_of_line)
    with context, _threads_carry_output(), _records_are_masked(), open(os.devnull, "w") as nowhere:
        # A stream is None where the process was started without it.
        sys.stdout, sys.stderr = ours = _Stream(streams[0] or nowhere), _Stream(streams[1] or nowhere)
        _guard = _Guard(ours, handler)
        try:
            yield
        finally:
            _guard = None
            sys.stdout, sys.stderr = streams
            root.removeHandler(handler)


def _run_of_line() -> dict[str, object]:
    output = _current.get()
    run = None if output is None else output.run
    return {} if run is None else {"run": run.id, "job": run.job_id}


@contextmanager
def captured(run: HeldRun | None = None) -> Iterator[Output]:
    """Keep what is printed and logged in this thread, and in those that it starts, in the `Output` returned."""
    output, guard = Output(run), _guard
    token = _current.set(output)
    if guard is not None:
        guard.began(output)
    try:
        yield output
    finally:
        _current.reset(token)
        if guard is not None:
            guard.ended(output)


@contextmanager
def _records_are_masked() -> Iterator[None]:
    """Within this context, what a run logs has its secrets masked, whichever handler writes it."""
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
    except Exception:  # the message does not fit its arguments: the handler reports that
        record.args = None
    if record.exc_info and record.exc_info[0] is not None:
        record.exc_text = output.masked(logging.Formatter().formatException(record.exc_info))


@contextmanager
def _threads_carry_output() -> Iterator[None]:
    """Within this context, threads and tasks of thread pools write to the output of the run that starts them."""
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit

    def start_with_output(thread: threading.Thread) -> None:
        output = _current.get()
        if output is not None:
            _carry_into(thread, output)
        start(thread)

    def submit_with_output(pool: ThreadPoolExecutor, task: Callable[..., Any], /, *args: Any, **kw: Any) -> Future[Any]:
        # The threads of a pool may have been started by another run. An InterpreterPoolExecutor (Python 3.14) is a
        # ThreadPoolExecutor whose tasks run in other interpreters, which no output can be handed to.
        output = _current.get()
        if output is not None and type(pool).__module__ != "concurrent.futures.interpreter":
            task = partial(_call_with_output, output, task)
        return submit(pool, task, *args, **kw)

    threading.Thread.start = start_with_output  # type: ignore[method-assign, assignment]
    ThreadPoolExecutor.submit = submit_with_output  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        # What somebody else has put around ours since stays: ours does nothing where there are no runs.
        if threading.Thread.start is start_with_output:
            threading.Thread.start = start  # type: ignore[method-assign]
        if ThreadPoolExecutor.submit is submit_with_output:
            ThreadPoolExecutor.submit = submit  # type: ignore[method-assign]


def _carry_into(thread: threading.Thread, output: Output) -> None:
    run = thread.run

    def run_with_output() -> None:
        thread.__dict__.pop("run", None)  # or the thread and this function would keep each other in memory
        _current.set(output)
        run()

    thread.run = run_with_output  # type: ignore[method-assign]


def _call_with_output(output: Output, task: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    token = _current.set(output)
    try:
        return task(*args, **kwargs)
    finally:
        _current.reset(token)


def open_missing_descriptors() -> None:
    """Open the null device for each standard stream that this process was started without (`>&-`).

    Otherwise the next file or pipe would get its number, and functions would write into that.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
            os.set_inheritable(opened, True)
