"""Log to the console, in our own processes whose project has configured no logging; or to a file instead."""

from __future__ import annotations

import logging
import sys
from logging.handlers import WatchedFileHandler

OWN = ("cronzimus", "job")
"""The loggers of the scheduler, and of runs (`RunContext.logger`)."""
LINE = "{asctime} {levelname} {name}: {message}"
"""The format of a line."""
RUN_LINE = "{levelname} {name}: {message}"
"""The format of a line in the output of a run, which has the times itself."""


def log_to_console() -> None:
    """Make our own loggers write to standard error from INFO on, all others from WARNING on.

    Does nothing if the project has a handler for them.
    """
    root = logging.getLogger()
    if root.handlers or any(logging.getLogger(name).handlers for name in OWN):
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(LINE, style="{"))
    root.addHandler(handler)
    for name in OWN:
        if logging.getLogger(name).level == logging.NOTSET:
            logging.getLogger(name).setLevel(logging.INFO)


def log_from(level: int) -> None:
    """Make all loggers write from `level` on."""
    for name in ("", *OWN):
        logging.getLogger(name).setLevel(level)


def log_to_file(path: str) -> None:
    """Redirect the console handlers of all loggers to a file. Raises `OSError`.

    Without a console handler, add a file handler to the root logger. The file may be moved away: a line goes to the one
    that has the name.
    """
    is_used = False
    for logger in [logging.getLogger(name) for name in ("", *OWN)]:
        for console in [
            handler for handler in logger.handlers if getattr(handler, "stream", None) in (sys.stdout, sys.stderr)
        ]:
            file = WatchedFileHandler(path, encoding="utf-8")
            file.setFormatter(console.formatter)
            file.setLevel(console.level)
            for condition in console.filters:
                file.addFilter(condition)
            logger.removeHandler(console)
            logger.addHandler(file)
            is_used = True
    if not is_used:
        file = WatchedFileHandler(path, encoding="utf-8")
        file.setFormatter(logging.Formatter(LINE, style="{"))
        logging.getLogger().addHandler(file)
