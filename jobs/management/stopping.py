"""The signals of a scheduler, from its very start to its end."""

from __future__ import annotations

import _thread
import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from ..calls.signals import handling

logger = logging.getLogger("cronzimus.runscheduler")

PASSED_ON_SECONDS = 1.0
"""Time within which a SIGTERM after a Ctrl-C counts as the same signal, passed on."""
TERMINAL_SECONDS = 1.0
"""Time after a SIGHUP within which a terminal may close."""


class ToldToStop(BaseException):
    """A signal came before the scheduler started, so there is nothing to finish."""


class Stoppable(Protocol):
    """A scheduler or worker that can be stopped."""

    def drain(self) -> None:
        """Let running runs end, and stop."""

    def force(self) -> None:
        """Stop at once."""


class Signals:
    """The effect of the signals: raise `ToldToStop` before there is a scheduler, then drain it, and then force it."""

    def __init__(self) -> None:
        """Start without a scheduler."""
        self._scheduler: Stoppable | None = None
        self._seen: list[tuple[int, float]] = []
        self._had_terminal = _has_terminal()

    def stop(self, scheduler: Stoppable) -> None:
        """Make the signals stop `scheduler` from now on."""
        self._scheduler = scheduler

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Install the handlers within the context, and restore the old ones at its end."""
        wanted = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
            wanted.append(signal.SIGHUP)
        with handling(wanted, self._handle):
            yield

    def _handle(self, number: int, frame: Any) -> None:
        if number == signal.SIGHUP and not self._lost_terminal():
            # In a thread, because the signal may interrupt a write to a log. (`threading` itself has locks.)
            _thread.start_new_thread(self._reopen_log_files, ())
            return
        self._seen.append((number, time.monotonic()))
        if self._scheduler is None:
            raise ToldToStop
        if len(self._seen) > 1 and not self._is_passed_on():
            self._scheduler.force()
        else:
            self._scheduler.drain()

    def _reopen_log_files(self) -> None:
        reopen_log_files()
        # Some shells send SIGHUP to their jobs just before they, and the terminal, end.
        time.sleep(TERMINAL_SECONDS)
        if self._lost_terminal():
            os.kill(os.getpid(), signal.SIGHUP)

    def _lost_terminal(self) -> bool:
        return self._had_terminal and not _has_terminal()

    def _is_passed_on(self) -> bool:
        # Ctrl-C, and the end of the terminal, reach the whole group, and our parent may pass it on as a SIGTERM.
        (before, at), (last, last_at) = self._seen[-2:]
        passed_on = before in (signal.SIGINT, signal.SIGHUP) and last == signal.SIGTERM
        return passed_on and last_at - at < PASSED_ON_SECONDS


def reopen_log_files() -> None:
    """Reopen the files of the log handlers: logrotate has moved the old ones away."""
    handlers = {id(handler): handler for handler in _handlers() if isinstance(handler, logging.FileHandler)}
    for handler in handlers.values():
        with handler.lock:  # type: ignore[union-attr]  # None only for handlers without a lock, which files are not
            if handler.stream is not None:
                handler.stream.close()
                handler.stream = handler._open()
    logger.info("SIGHUP: %d log files reopened", len(handlers), extra={"action": "logs_reopened"})


def _handlers() -> Iterator[logging.Handler]:
    loggers = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
    for one in loggers:
        if isinstance(one, logging.Logger):  # the others are placeholders
            yield from one.handlers


def _has_terminal() -> bool:
    """Tell whether this process still has a terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
