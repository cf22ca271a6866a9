"""Log to the console, in our own processes whose project has configured no logging."""

from __future__ import annotations

import logging

OWN = ("cronzimus", "job")
"""The loggers of the scheduler, and of runs (`RunContext.logger`)."""


def log_to_console() -> None:
    """Make our own loggers write to standard error from INFO on, all others from WARNING on.

    Does nothing if the project has a handler for them.
    """
    root = logging.getLogger()
    if root.handlers or any(logging.getLogger(name).handlers for name in OWN):
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("{asctime} {levelname} {name}: {message}", style="{"))
    root.addHandler(handler)
    for name in OWN:
        if logging.getLogger(name).level == logging.NOTSET:
            logging.getLogger(name).setLevel(logging.INFO)
