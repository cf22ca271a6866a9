"""The child's end of the pipe: a process that calls functions for the process executor, or for a Celery worker.

Started as `python -m <package>.calls.child REQUESTS REPLIES NOTE [PYTHONPATH]`. It loads Django once, then reads one
run after the other and answers each; `messages` has the lines. Its parent reads the standard output and standard error
of functions, written from Python, from C or from their own children.
"""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any, TextIO, cast

from ..functions.process_groups import end_with_parent
from .call_note import CallNote
from .signals import handle
from .streams import MarkedErrors, TextStream

UNCAUGHT = {signal.SIGKILL, signal.SIGSTOP}
"""The signals that no process can handle."""


def main(requests: str, replies: str, note: str, *python_path: str) -> None:
    """Answer requests from the descriptor `requests` on the descriptor `replies` until there are no more.

    `note` is the descriptor of the memory of the process's `CallNote`.
    """
    end_with_parent(signal.SIGKILL)  # elsewhere the end of the requests ends the child
    handle(signal.SIGTERM, _exit_on_signal)
    _restore_python_path(python_path)
    _load_django()
    call_note = CallNote(int(note))
    os.close(int(note))
    _serve(int(requests), int(replies), call_note)


def _serve(requests: int, replies: int, note: CallNote) -> None:
    # Imported here: these modules need Django to be set up.
    from ..core.clock import SystemClock
    from . import messages
    from .output import threads_carry_output
    from .runner import Activity, execute

    def reply(line: bytes) -> None:
        for part in messages.parts_of(line):
            os.write(replies, part)

    def begin(activity: Activity) -> None:
        note.write(activity.run.id)  # whatever ends this process from now on, no other one may call the function

        def send(done: int, total: int | None) -> None:
            if not activity.output.ended:  # or it is of a thread that was left behind, and not of the current run
                # With the run's id: a process that its function has forked may report long after its end.
                reply(messages.encode(progress=[done, total], run=activity.run.id))

        activity.context.on_progress = send

    surroundings = Surroundings()
    with os.fdopen(requests) as lines, threads_carry_output():
        reply(messages.encode(ready=True))
        for line in lines:
            run, secrets, boundary = messages.decode_run(line)
            surroundings.restore(boundary)
            outcome = execute(run, SystemClock(), begin, secrets=secrets)
            _flush_streams()
            reply(messages.encode_end(outcome, is_last=bool(_signals_received)))
            if _signals_received:
                break


class Surroundings:
    """The state of the process that functions may change, restored before each run."""

    def __init__(self) -> None:
        """Remember the current state."""
        self._input, self._output = os.dup(0), os.dup(1)
        self._folder = os.getcwd()
        self._mask = os.umask(0o22)
        self._environment = dict(os.environ)
        handlers = {number: signal.getsignal(number) for number in signal.valid_signals() - UNCAUGHT}
        self._handlers = {number: handler for number, handler in handlers.items() if handler is not None}
        self._blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._streams: list[TextIO] = []

    def restore(self, boundary: str) -> None:
        """Restore signals, folder, umask, environment and the standard streams, with the log handlers on them.

        What is written to standard error gets `boundary` (`streams`); the log does not.
        """
        self._restore_signals()
        os.chdir(self._folder)
        os.umask(self._mask)
        if os.environ != self._environment:
            os.environ.clear()
            os.environ.update(self._environment)
        self._restore_streams(boundary)

    def _restore_signals(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._handlers.items():
            if signal.getsignal(number) != handler:
                signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._blocked)

    def _restore_streams(self, boundary: str) -> None:
        for descriptor, kept in ((0, self._input), (1, self._output), (2, self._output)):
            os.dup2(kept, descriptor)
        found = [getattr(sys, name, None) for name in ("stdout", "stderr")]
        if self._streams != found or any(stream.closed for stream in self._streams):
            out, log = (
                TextStream(cast("IO[bytes]", os.fdopen(fd, "wb", closefd=False)), self._output, boundary)
                for fd in (1, 2)
            )
            errors = TextStream(io.BufferedWriter(MarkedErrors(boundary)), self._output, boundary)
            self._streams = [out, errors]
            sys.stdout, sys.stderr = self._streams
            for handler in logging.getLogger().handlers:
                if isinstance(handler, logging.StreamHandler):
                    handler.stream = log


_signals_received: list[int] = []


def _exit_on_signal(number: int, frame: Any) -> None:
    # An exception, so that the function's `finally` and `with` blocks run before the process ends.
    _signals_received.append(number)
    sys.exit(128 + number)


def _flush_streams() -> None:
    with suppress(Exception):  # the function may have closed or replaced them
        sys.stdout.flush()
        sys.stderr.flush()


def _restore_python_path(python_path: Sequence[str]) -> None:
    # It gave this process the scheduler's import path. Programs that functions start must not inherit it.
    os.environ.pop("PYTHONPATH", None)
    if python_path:
        os.environ["PYTHONPATH"] = python_path[0]


def _load_django() -> None:
    import django

    django.setup()

    from ..db.connections import use_own_connections
    from .console import RUN_LINE, log_to_console

    use_own_connections()
    log_to_console()
    for handler in logging.getLogger().handlers:
        handler.setFormatter(logging.Formatter(RUN_LINE, style="{"))


if __name__ == "__main__":
    main(*sys.argv[1:])
