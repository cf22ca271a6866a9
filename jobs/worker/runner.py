"""Run one run: look up its function, inject its arguments, capture its output, and return its outcome."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import traceback
from collections.abc import Callable, Iterable
from datetime import datetime
from types import TracebackType
from typing import Any

from django.db import ProgrammingError, close_old_connections, connections, reset_queries
from django.db.backends.base.base import BaseDatabaseWrapper

from ..core.clock import Clock
from ..core.exceptions import InvalidArguments
from ..core.json import MAX_STORED_DEPTH, is_deeper
from ..core.runs import Executor, RunStatus
from ..functions import registry
from ..functions.context import Database, RunContext
from ..scheduler.store.held import HeldRun, Outcome
from . import coroutines
from .output import Output, captured, storable

MAX_RESULT = 64 * 1024
"""Characters of JSON kept of what a function returns."""
MAX_ERROR = 10_000
"""Characters kept of an error's message."""
MAX_TRACEBACK = 64 * 1024
"""Characters kept of a traceback: its end, which is nearest to the error."""
MACHINERY = (__file__, coroutines.__file__, os.path.dirname(asyncio.__file__))
"""The files whose frames at the start of a traceback tell the reader nothing."""


class Activity:
    """A run whose function is being called. Other threads read its output and its progress meanwhile."""

    __slots__ = ("context", "output", "reason", "run", "started_at")

    def __init__(self, run: HeldRun, started_at: datetime, output: Output) -> None:
        """Start `run` at `started_at`; what it writes goes to `output`."""
        self.run = run
        self.started_at = started_at
        self.output = output
        self.reason = ""
        self.context = RunContext(
            run_id=run.id,
            job_id=run.job_id,
            scheduled_time=run.scheduled_time,
            attempt=run.attempt,
            executor=Executor(run.executor),
        )

    def cancel(self, reason: str) -> None:
        """Tell the function that it is to end: `RunContext.cancelled` is true from now on."""
        self.reason = reason
        self.context.request_cancel()

    def outcome(self, finished_at: datetime, *, status: RunStatus, **ended: str) -> Outcome:
        """Return its outcome. `ended` has the reason, the result, the error and the traceback, where there are any."""
        output = self.output.end()
        return Outcome(
            run_id=self.run.id,
            job_id=self.run.job_id,
            executor=self.run.executor,
            status=RunStatus(status),
            started_at=self.started_at,
            finished_at=max(finished_at, self.started_at),  # the machine's clock may have been set back meanwhile
            output=output.text,
            output_omitted=output.omitted,
            progress=self.context.progress_made,
            **ended,
        )


def execute(run: HeldRun, clock: Clock, started: Callable[[Activity], None]) -> Outcome:
    """Call `started`, then the function of `run`, both in this thread, and return the outcome.

    Never raises: whatever the function raises, `SystemExit` included, becomes the outcome.
    """
    with captured() as output:
        activity = Activity(run, clock.now(), output)
        started(activity)
        before = _prepare_connections()
        process = os.getpid()
        try:
            ended = _ended(_call(run, activity.context))
        except BaseException as error:
            ended = _failed(error)
        if os.getpid() != process:
            # The function forked, and this is the child: it must neither answer nor take other runs.
            os._exit(0)
        if _tidy_connections(before) and ended["status"] is RunStatus.SUCCEEDED:
            ended = _failed(RuntimeError("the function left a transaction open: it was rolled back"))
        if activity.context.noticed_cancel:
            ended |= {"status": RunStatus.CANCELLED, "reason": activity.reason}
        return activity.outcome(clock.now(), **ended)


def _prepare_connections() -> set[str]:
    """Return the aliases of this thread's open transactions. There are none in the threads of a scheduler.

    In those, connections that an earlier run broke or that are too old are closed, so that this run gets new ones.
    """
    opened = connections.all(initialized_only=True)
    before = _in_transactions(opened)
    if opened and not before:
        close_old_connections()
        reset_queries()
    return before


def _tidy_connections(before: set[str]) -> bool:
    """Roll back the transactions that the function left open, but not those in `before`; return whether it left any."""
    opened = connections.all(initialized_only=True)
    left_open = _in_transactions(opened) - before
    _abandon(left_open)
    if opened and not before:
        close_old_connections()
    return bool(left_open)


def _in_transactions(opened: Iterable[BaseDatabaseWrapper]) -> set[str]:
    return {connection.alias for connection in opened if connection.in_atomic_block or _has_begun(connection)}


def _has_begun(connection: BaseDatabaseWrapper) -> bool:
    """Return whether the database has a transaction open: Django does not know of a BEGIN that was sent as SQL."""
    raw = connection.connection
    if raw is None:
        return False
    if connection.vendor == "postgresql":
        return raw.info.transaction_status.name in ("ACTIVE", "INTRANS", "INERROR")
    try:
        with connection.wrap_database_errors:
            return bool(raw.in_transaction)
    except ProgrammingError:  # closed behind Django's back
        return False


def _abandon(aliases: Iterable[str]) -> None:
    # An open transaction would keep its locks, and swallow what later runs write in this thread. Django offers no other
    # way to leave one from outside.
    for alias in aliases:
        connections[alias].close()
        del connections[alias]


def _call(run: HeldRun, context: RunContext) -> Any:
    if not isinstance(run.args, list) or not isinstance(run.kwargs, dict):
        raise InvalidArguments("the stored arguments are damaged: args must be an array, and kwargs an object")
    function = registry.lookup(run.func)
    args, kwargs = function.bind(run.args, run.kwargs, {Database: Database(), RunContext: context})
    result = function.call(*args, **kwargs)
    return coroutines.run(result, context) if inspect.iscoroutine(result) else result


def _ended(result: Any) -> dict[str, Any]:
    return {"status": RunStatus.SUCCEEDED, "result": _as_json(result)}


def _failed(error: BaseException) -> dict[str, Any]:
    return {
        "status": RunStatus.FAILED,
        "error": _described(error)[:MAX_ERROR],
        "traceback": _traceback(error)[-MAX_TRACEBACK:],
    }


def _as_json(result: Any) -> str:
    if result is None:
        return ""
    try:
        text = json.dumps(result, default=repr, allow_nan=False, ensure_ascii=False)
        # PostgreSQL's jsonb stores neither NUL nor lone surrogates, not even escaped.
        kept = (
            len(text) <= MAX_RESULT
            and "\\u0000" not in text
            and storable(text) == text
            and not is_deeper(result, MAX_STORED_DEPTH)
        )
        return text if kept else _repr_as_json(result)
    except Exception:
        return _repr_as_json(result)


def _repr_as_json(result: Any) -> str:
    try:
        return json.dumps(storable(ascii(result))[: MAX_RESULT // 2 - 1], ensure_ascii=False)
    except Exception as error:
        return json.dumps(f"<{type(result).__name__}, whose repr() raised {type(error).__name__}>")


def _described(error: BaseException) -> str:
    try:
        return storable("".join(traceback.format_exception_only(error)).strip())
    except Exception:
        return f"{type(error).__name__}, whose message cannot be read"


def _traceback(error: BaseException) -> str:
    try:
        return storable("".join(traceback.format_exception(type(error), error, _own_frames(error.__traceback__))))
    except Exception:
        return ""


def _own_frames(frames: TracebackType | None) -> TracebackType | None:
    """Return the frames without those of the machinery at their start, before the function's own."""
    while frames is not None and frames.tb_next is not None:
        if not frames.tb_frame.f_code.co_filename.startswith(MACHINERY):
            break
        frames = frames.tb_next
    return frames
