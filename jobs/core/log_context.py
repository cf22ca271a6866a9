"""The context of a line of the log: the run, the job, the scheduler or worker, and the request that it comes from.

Each part of the program that knows one of them is a source. `AddContext`, a filter for handlers of `logging`, asks the
sources for each line.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

Source = Callable[[], Mapping[str, object]]
"""Returns the fields of a line that this thread logs now; empty if it knows none."""

REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}", re.ASCII)
"""The form of a request's id, which comes from a client and goes into the log and the audit."""
request_id: ContextVar[str] = ContextVar("id of the current request", default="")
"""The id of the current request; "" for none."""

_of_process: dict[str, object] = {}
_sources: list[Source] = []


def set_for_process(**fields: object) -> None:
    """Add `fields`, such as the id of its scheduler or worker, to all further lines of this process."""
    _of_process.update(fields)


@contextmanager
def asking(source: Source) -> Iterator[None]:
    """Add the fields of `source` to the lines that are logged within the context."""
    _sources.append(source)
    try:
        yield
    finally:
        _sources.remove(source)


def current() -> dict[str, object]:
    """Return the fields of a line that is logged now."""
    fields = dict(_of_process)
    if request := request_id.get():
        fields["request_id"] = request
    for source in _sources:
        fields.update(source())
    return fields


class AddContext(logging.Filter):
    """Gives each record the fields `run`, `job`, `scheduler`, `worker` and `request_id`, as far as they are known."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields that the record does not have."""
        for name, value in current().items():
            if name not in record.__dict__:
                record.__dict__[name] = value
        return True
