"""The process that runs functions for `ProcessExecutor`: `python -m jobs.scheduler.worker REQUESTS REPLIES`.

It has Django loaded once, reads a run as a line of JSON, calls its function, and answers with lines of JSON. What the
function writes to the file descriptors 1 and 2, from Python, from C or from its own children, its parent reads there.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import sys
from datetime import datetime
from typing import Any, TextIO

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Answer requests until there are no more."""
    requests, replies = (int(number) for number in sys.argv[1:3])
    _die_with_parent()
    _load_django()
    with os.fdopen(requests) as lines, os.fdopen(replies, "w", buffering=1) as answers:
        _say(answers, ready=True)
        for line in lines:
            _answer(json.loads(line), answers)


def _answer(request: dict[str, Any], answers: TextIO) -> None:
    from jobs.core.clock import SystemClock

    from .runner import Activity, execute
    from .work import HeldRun

    request["scheduled_time"] = datetime.fromisoformat(request["scheduled_time"])

    def started(activity: Activity) -> None:
        activity.context.on_progress = lambda done, total: _say(answers, progress=[done, total])

    outcome = execute(HeldRun(**request), SystemClock(), started)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {name: getattr(outcome, name) for name in ("status", "result", "error", "traceback")}
    _say(answers, end=kept)


def _say(answers: TextIO, **message: Any) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def _load_django() -> None:
    import django

    django.setup()
    for handler in logging.getLogger().handlers:
        handler.setFormatter(logging.Formatter("{levelname} {name}: {message}", style="{"))
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def _die_with_parent() -> None:
    # prctl(2), Linux: what a scheduler runs does not outlive it. Elsewhere the end of the requests ends the worker.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
