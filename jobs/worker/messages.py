"""The lines of JSON between a scheduler and a worker process.

The scheduler sends runs. The worker sends `{"ready": true}` once it has loaded Django, then for each run any number of
`{"progress": [done, total]}` and one `{"end": {…}}` with the status, the result, the error and the traceback.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ..scheduler.store.held import HeldRun, Outcome

END_FIELDS = ("status", "result", "error", "traceback")
"""The fields of an outcome that the worker knows; the scheduler has the others."""


def encode_run(run: HeldRun, hidden: Sequence[str] = ()) -> bytes:
    """Return the line for `run`, whose arguments have the secrets `hidden`."""
    return encode(**run._asdict() | {"scheduled_time": run.scheduled_time.isoformat(), "hidden": list(hidden)})


def decode_run(line: str) -> tuple[HeldRun, list[str]]:
    """Return the run of a line, and the secrets among its arguments."""
    fields = json.loads(line)
    hidden: list[str] = fields.pop("hidden")
    return HeldRun(**fields | {"scheduled_time": datetime.fromisoformat(fields["scheduled_time"])}), hidden


def encode_end(outcome: Outcome) -> bytes:
    """Return the line with the end of a run."""
    return encode(end={name: getattr(outcome, name) for name in END_FIELDS})


def encode(**message: Any) -> bytes:
    """Return a message as a line."""
    return json.dumps(message).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """Return the message in a line."""
    message: dict[str, Any] = json.loads(line)
    return message
