"""The lines of JSON between a worker process and its parent, a scheduler or a Celery worker.

The parent sends runs. The worker sends `{"ready": true}` once it has loaded Django, then for each run any number of
`{"progress": [done, total], "run": 7}` and one `{"end": {…}, "last": false}` with the status, the result, the error and
the traceback. It takes no further run if `last` is true.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ..scheduler.store.held import HeldRun, Outcome

END_FIELDS = ("status", "result", "error", "traceback")
"""The fields of an outcome that the worker knows; its parent has the others."""


def encode_run(run: HeldRun, hidden: Sequence[str] = (), mark: str = "") -> bytes:
    """Return the line for `run`, whose arguments have the secrets `hidden`; `streams` marks its errors with `mark`."""
    more = {"scheduled_time": run.scheduled_time.isoformat(), "hidden": list(hidden), "mark": mark}
    return encode(**run._asdict() | more)


def decode_run(line: str) -> tuple[HeldRun, list[str], str]:
    """Return the run of a line, the secrets among its arguments, and the mark of its errors."""
    fields = json.loads(line)
    hidden: list[str] = fields.pop("hidden")
    mark: str = fields.pop("mark")
    return HeldRun(**fields | {"scheduled_time": datetime.fromisoformat(fields["scheduled_time"])}), hidden, mark


def encode_end(outcome: Outcome, *, is_last: bool = False) -> bytes:
    """Return the line with the end of a run. After the last one, the worker takes no more."""
    return encode(end={name: getattr(outcome, name) for name in END_FIELDS}, last=is_last)


def encode(**message: Any) -> bytes:
    """Return a message as a line."""
    return json.dumps(message).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """Return the message in a line."""
    message: dict[str, Any] = json.loads(line)
    return message
