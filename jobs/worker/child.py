"""The process that runs functions for `ProcessExecutor`: `python -P -m cronzimus.worker.child`.

Its arguments are the descriptors of two pipes, for requests and for replies, and the scheduler's own PYTHONPATH if it
has one. It loads Django once. Then it reads a run as a line of JSON, calls its function, and answers with lines of
JSON. Its parent reads what the function writes to the file descriptors 1 and 2, from Python, from C or from its own
children.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import sys
from contextlib import suppress
from datetime import datetime
from typing import Any, TextIO

PR_SET_PDEATHSIG = 1
"""The option of prctl(2) by which a process ends with its parent."""
UNCAUGHT = {signal.SIGKILL, signal.SIGSTOP}
"""The signals that no process can handle."""


def main() -> None:
    """Answer requests until there are no more."""
    requests, replies = (int(number) for number in sys.argv[1:3])
    _restore_python_path(*sys.argv[3:])
    _die_with_parent()
    signal.signal(signal.SIGTERM, _end)
    _load_django()
    surroundings = Surroundings()
    with os.fdopen(requests) as lines, os.fdopen(replies, "w", buffering=1) as answers:
        _say(answers, ready=True)
        for line in lines:
            surroundings.restore()
            _answer(json.loads(line), answers)
            if _ended:
                break


class Surroundings:
    """What a function finds in its process: restored, so that none finds what another made of it."""

    def __init__(self) -> None:
        """Note how they are."""
        self._input, self._output = os.dup(0), os.dup(1)
        self._folder = os.getcwd()
        self._mask = os.umask(0o22)
        self._environment = dict(os.environ)
        handlers = {number: signal.getsignal(number) for number in signal.valid_signals() - UNCAUGHT}
        self._handlers = {number: handler for number, handler in handlers.items() if handler is not None}
        self._blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._streams: list[TextIO] = []

    def restore(self) -> None:
        """Make them what they were: signals, folder, umask, environment, the standard streams and what logs to them."""
        self._restore_signals()
        os.chdir(self._folder)
        os.umask(self._mask)
        if os.environ != self._environment:
            os.environ.clear()
            os.environ.update(self._environment)
        self._restore_streams()

    def _restore_signals(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._handlers.items():
            if signal.getsignal(number) != handler:
                signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._blocked)

    def _restore_streams(self) -> None:
        for descriptor, kept in ((0, self._input), (1, self._output), (2, self._output)):
            os.dup2(kept, descriptor)
        found = [getattr(sys, name, None) for name in ("stdout", "stderr")]
        if self._streams != found or any(stream.closed for stream in self._streams):
            # What can not be encoded is no reason to fail, as it is none in a thread.
            self._streams = [os.fdopen(fd, "w", 1, "utf-8", "backslashreplace", closefd=False) for fd in (1, 2)]
            sys.stdout, sys.stderr = self._streams
            for handler in logging.getLogger().handlers:
                if isinstance(handler, logging.StreamHandler):
                    handler.stream = sys.stderr


_ended: list[int] = []


def _end(number: int, frame: Any) -> None:
    # As an exception, so that the function's own `finally` and `with` tidy up before the process ends.
    _ended.append(number)
    sys.exit(128 + number)


def _answer(request: dict[str, Any], answers: TextIO) -> None:
    from ..core.clock import SystemClock
    from ..scheduler.store.held import HeldRun
    from .runner import Activity, execute

    request["scheduled_time"] = datetime.fromisoformat(request["scheduled_time"])

    def started(activity: Activity) -> None:
        activity.context.on_progress = lambda done, total: _say(answers, progress=[done, total])

    outcome = execute(HeldRun(**request), SystemClock(), started)
    with suppress(Exception):  # the function may have closed them, or put anything in their place
        sys.stdout.flush()
        sys.stderr.flush()
    kept = {name: getattr(outcome, name) for name in ("status", "result", "error", "traceback")}
    _say(answers, end=kept)


def _say(answers: TextIO, **message: Any) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def _restore_python_path(value: str | None = None) -> None:
    # Ours says where the scheduler finds its modules. A Python that a function starts gets what the scheduler got.
    del os.environ["PYTHONPATH"]
    if value is not None:
        os.environ["PYTHONPATH"] = value


def _load_django() -> None:
    import django

    django.setup()
    for handler in logging.getLogger().handlers:
        handler.setFormatter(logging.Formatter("{levelname} {name}: {message}", style="{"))


def _die_with_parent() -> None:
    # prctl(2), Linux: what a scheduler runs does not outlive it. Elsewhere the end of the requests ends the worker.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
