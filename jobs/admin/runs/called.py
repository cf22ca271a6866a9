"""The call of a run, or of the next run of a job, in the syntax of Python."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ...core.secrets import masked
from ...models import Job, Run

SHORT = 60
"""Characters of the longest call on one line."""
LONGEST = 2000
"""Characters of an argument that are shown."""


def call_text(run: Run | Job) -> str:
    """Return the function and the arguments of `run`, with probable secrets masked."""
    arguments = list(_arguments(run))
    on_one_line = f"{run.func}({', '.join(arguments)})"
    if len(on_one_line) <= SHORT:
        return on_one_line
    return "".join((f"{run.func}(\n", *(f"  {argument},\n" for argument in arguments), ")"))


def _arguments(run: Run | Job) -> Iterator[str]:
    if not isinstance(run.args or [], list) or not isinstance(run.kwargs or {}, dict):  # damaged
        yield f"{_text(masked(run.args))} {_text(masked(run.kwargs))}"
        return
    yield from map(_text, masked(run.args or []))
    for name, value in masked(run.kwargs or {}).items():
        yield f"{name}={_text(value)}"


def _text(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
