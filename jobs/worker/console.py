"""Say on the console what happens, in a process of ours whose project has configured no logging."""

from __future__ import annotations

import logging

OWN = ("cronzimus", "job")
"""The loggers of the scheduler, and of runs (`RunContext.logger`)."""


def log_to_console() -> None:
    """Have our own loggers write to standard error from INFO on, all others from WARNING on.

    Does nothing where the project has a handler for them: it has said what it wants.
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
