"""The lines of JSON between a child process and its parent, a scheduler or a Celery worker.

The parent sends runs. The child sends `{"ready": true}` once it has loaded Django, then for each run any number of
`{"progress": [done, total], "run": 7}` and one `{"end": {…}, "last": false}` with the status, the result, the error and
the traceback. It takes no further run if `last` is true.

A function may report progress from its threads, and from processes that it has forked, while the end is on its way. A
pipe takes no more than PIPE_BUF bytes as a whole (pipe(7)), so the child sends a longer line in parts.
"""

from __future__ import annotations

import json
import select
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ..core.held import CallEnd, HeldRun, Outcome
from ..core.runs import RunStatus

MORE, LAST = b"+", b"."
"""The beginning of a part of a long line that others follow, and of its last part."""
END_FIELDS = ("status", "result", "error", "traceback")
"""The fields of a `CallEnd` that the child sends."""


def encode_run(run: HeldRun, secrets: Sequence[str], boundary: str) -> bytes:
    """Return the line for `run`, whose arguments have the `secrets`; `streams` puts its errors between `boundary`."""
    more = {"scheduled_time": run.scheduled_time.isoformat(), "secrets": list(secrets), "boundary": boundary}
    return encode(**run._asdict() | more)


def decode_run(line: str) -> tuple[HeldRun, list[str], str]:
    """Return the run of a line, the secrets among its arguments, and the boundary of its errors."""
    fields = json.loads(line)
    secrets: list[str] = fields.pop("secrets")
    boundary: str = fields.pop("boundary")
    return HeldRun(**fields | {"scheduled_time": datetime.fromisoformat(fields["scheduled_time"])}), secrets, boundary


def encode_end(outcome: Outcome, *, is_last: bool = False) -> bytes:
    """Return the line with the end of a run. After the last one, the child takes no more."""
    return encode(end={name: getattr(outcome, name) for name in END_FIELDS}, last=is_last)


def decode_end(fields: Any) -> CallEnd:
    """Return the end of a run in a message. Raises `ValueError` for one that a function has made up."""
    texts: dict[str, Any] = {name: fields.get(name) for name in END_FIELDS} if isinstance(fields, dict) else {}
    if texts.get("status") not in set(RunStatus) or not all(isinstance(text, str) for text in texts.values()):
        raise ValueError("the end that its process reported is malformed")
    return CallEnd(**texts | {"status": RunStatus(texts["status"])})


def parts_of(line: bytes) -> list[bytes]:
    """Return the lines to send for `line`: itself, or parts that a pipe takes as a whole, for `Lines` to join."""
    if len(line) <= select.PIPE_BUF:
        return [line]
    text, room = line.removesuffix(b"\n"), select.PIPE_BUF - len(MORE + b"\n")
    *parts, last = (text[start : start + room] + b"\n" for start in range(0, len(text), room))
    return [*(MORE + part for part in parts), LAST + last]


class Lines:
    """The messages of a child, from what is read from its pipe piece by piece."""

    def __init__(self) -> None:
        """Have read nothing."""
        self._unread = b""
        self._parts: list[bytes] = []

    def read(self, data: bytes) -> list[dict[str, Any]]:
        """Return the messages that `data` completes."""
        *lines, self._unread = (self._unread + data).split(b"\n")
        return [decode(line) for line in map(self._joined, lines) if line]

    def _joined(self, line: bytes) -> bytes:
        """Return a line, or the line whose last part it is; empty for another part."""
        if line.startswith(MORE):
            self._parts.append(line[len(MORE) :])
            return b""
        if line.startswith(LAST):
            line = b"".join([*self._parts, line[len(LAST) :]])
            self._parts = []
        return line


def encode(**message: Any) -> bytes:
    """Return a message as a line."""
    return json.dumps(message).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """Return the message in a line."""
    message: dict[str, Any] = json.loads(line)
    return message
