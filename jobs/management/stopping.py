"""The signals that a scheduler hears, from its very start to its end."""

from __future__ import annotations

import _thread
import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from ..worker.signals import handling

logger = logging.getLogger("cronzimus.runscheduler")

SAME_WISH_SECONDS = 1.0
"""Time within which a SIGTERM after a Ctrl-C counts as the same signal, passed on."""
TERMINAL_SECONDS = 1.0
"""Time after a SIGHUP within which a terminal may close."""


class ToldToStop(BaseException):
    """A signal came before the scheduler was there: nothing has to be brought to an end."""


class Stoppable(Protocol):
    """What can be told to stop."""

    def drain(self) -> None:
        """Let what is running end, and stop."""

    def force(self) -> None:
        """Stop at once."""


class Signals:
    """What the signals do: raise `ToldToStop` at first; once there is a scheduler, drain it, and then force it."""

    def __init__(self) -> None:
        """Have no scheduler yet."""
        self._scheduler: Stoppable | None = None
        self._seen: list[tuple[int, float]] = []
        self._had_terminal = _has_terminal()

    def stop(self, scheduler: Stoppable) -> None:
        """Have the signals stop `scheduler` from now on."""
        self._scheduler = scheduler

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Within this context the signals are heard; afterwards the handlers are what they were."""
        wanted = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
            wanted.append(signal.SIGHUP)
        with handling(wanted, self._handle):
            yield

    def _handle(self, number: int, frame: Any) -> None:
        if number == signal.SIGHUP and not self._lost_terminal():
            # In a thread: the signal may have come while this one was writing to a log. (`threading` itself has locks.)
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
        # Some shells tell their jobs before they end, and the terminal with them.
        time.sleep(TERMINAL_SECONDS)
        if self._lost_terminal():
            os.kill(os.getpid(), signal.SIGHUP)

    def _lost_terminal(self) -> bool:
        return self._had_terminal and not _has_terminal()

    def _is_passed_on(self) -> bool:
        # A terminal's Ctrl-C, and its end, reach the whole group, and our parent may pass it on as a SIGTERM.
        (before, at), (last, last_at) = self._seen[-2:]
        passed_on = before in (signal.SIGINT, signal.SIGHUP) and last == signal.SIGTERM
        return passed_on and last_at - at < SAME_WISH_SECONDS


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
    """Tell whether this process has a terminal that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
