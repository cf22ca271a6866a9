"""Execute one run: look up its function, inject its arguments, capture its output, and return its outcome."""

from __future__ import annotations

import asyncio
import json
import os
import traceback
from collections.abc import Callable, Sequence
from datetime import datetime
from types import CoroutineType, TracebackType
from typing import Any

from ..core.clock import Clock
from ..core.exceptions import InvalidArguments
from ..core.held import Called, CallEnd, HeldRun, Outcome
from ..core.json import MAX_STORED_DEPTH, is_deeper
from ..core.runs import Executor, RunStatus, job_behind
from ..core.secrets import names_in
from ..functions import registry
from ..functions.context import Database, RunContext
from ..functions.secrets import resolve
from . import coroutines, spans
from .connections import prepare_connections, recheck_connections, tidy_connections
from .output import Output, captured, storable

MAX_RESULT = 64 * 1024
"""Characters of JSON kept of a result."""
MAX_ERROR = 10_000
"""Characters kept of an error's message."""
MAX_TRACEBACK = 64 * 1024
"""Characters kept of the end of a traceback, which is nearest to the error."""
OUR_MODULES = f"{(__package__ or '').partition('.')[0]}."
"""The start of the names of Cronzimus's modules."""
MACHINERY = (__file__, coroutines.__file__, os.path.dirname(asyncio.__file__))
"""The files whose frames are cut from the start of a traceback, because they do not help the reader."""


class Activity:
    """A run whose function is being called. Other threads read its output and its progress meanwhile."""

    __slots__ = ("context", "output", "reason", "run", "started_at")

    def __init__(self, run: HeldRun, started_at: datetime, output: Output) -> None:
        """Start `run` at `started_at`, with its output in `output`."""
        self.run = run
        self.started_at = started_at
        self.output = output
        output.begin()
        self.reason = ""
        self.context = RunContext(
            run_id=run.id,
            job_id=job_behind(run.job_id),
            scheduled_time=run.scheduled_time,
            attempt=run.attempt,
            executor=run.executor,
            traceparent=run.traceparent,
        )

    def cancel(self, reason: str) -> None:
        """Ask the function to end: `RunContext.cancelled` is true from now on."""
        self.reason = reason
        self.context.request_cancel()

    def outcome(self, finished_at: datetime, end: CallEnd) -> Outcome:
        """Return its outcome, and take no more output."""
        output = self.output.end()
        return Outcome(
            run_id=self.run.id,
            job_id=self.run.job_id,
            executor=self.run.executor,
            started_at=self.started_at,
            finished_at=max(finished_at, self.started_at),  # the machine's clock may have been set back meanwhile
            scheduled_time=self.run.scheduled_time,
            output=output.text,
            output_omitted=output.omitted,
            output_marks=self.output.marks(),
            progress=self.context.progress_made,
            **end._asdict(),
        )


def execute(
    run: HeldRun,
    clock: Clock,
    started: Callable[[Activity], None],
    *,
    keep_called: bool = False,
    secrets: Sequence[str] | None = None,
) -> Outcome:
    """Call `started`, then the function of `run`, both in this thread, and return the outcome.

    With `keep_called` the outcome has the object that the function returned or raised. `secrets` has those among
    the arguments; with None, references to secrets are resolved here. Never raises: any exception of the function,
    even `SystemExit`, becomes the outcome.
    """
    with captured(run) as output:
        activity = Activity(run, clock.now(), output)
        started(activity)
        before = prepare_connections()
        process = os.getpid()
        try:
            resolved, secrets = with_secrets(run) if secrets is None else (run, secrets)
            output.hide(secrets)
            value = _call_in_span(resolved, activity.context, check=bool(secrets))
            end = _succeeded(value, output, keep_called)
        except BaseException as error:
            recheck_connections()
            end = _failed(error, output, keep_called)
        if os.getpid() != process:
            # The function forked, and this is the child: it must neither answer nor take other runs.
            os._exit(0)
        if tidy_connections(before) and end.status is RunStatus.SUCCEEDED:
            left_open = RuntimeError("the function left a transaction open: it was rolled back")
            end = _failed(left_open, output, keep_called)
        if activity.context.noticed_cancel:
            end = end._replace(status=RunStatus.CANCELLED, reason=activity.reason)
        return activity.outcome(clock.now(), end)


def with_secrets(run: HeldRun) -> tuple[HeldRun, list[str]]:
    """Return `run` with its references to secrets resolved, and the secrets. Raises `UnknownSecret`."""
    if not (run.args or run.kwargs) or not names_in(run.args, run.kwargs):
        return run, []
    args, kwargs, values = resolve(run.args, run.kwargs)
    return run._replace(args=args, kwargs=kwargs), values


def _call_in_span(run: HeldRun, context: RunContext, *, check: bool) -> Any:
    if not isinstance(run.args, list) or not isinstance(run.kwargs, dict):
        raise InvalidArguments("the stored arguments are damaged: args must be an array, and kwargs an object")
    if spans.tracer() is None:
        return _call_function(run, context, check)
    with spans.span_of(run, context):
        return _call_function(run, context, check)


def _call_function(run: HeldRun, context: RunContext, check: bool) -> Any:
    """Call the function. With `check`, call its own check before, which had to wait for the values of secrets."""
    if context.traceparent is not None and context.executor != Executor.THREAD:
        os.environ["TRACEPARENT"] = context.traceparent  # for programs that it starts; restored before the next run
    function = registry.lookup(run.func)
    if check:
        function.check(run.args, run.kwargs)
    args, kwargs = function.bind(run.args, run.kwargs, {Database: Database(), RunContext: context})
    result = function.call(*args, **kwargs)
    return coroutines.run(result, context) if isinstance(result, CoroutineType) else result


def _succeeded(value: Any, output: Output, keep_called: bool) -> CallEnd:
    called = Called(value, None) if keep_called else None
    return CallEnd(RunStatus.SUCCEEDED, result=_as_json(value, output), called=called)


def _failed(error: BaseException, output: Output, keep_called: bool) -> CallEnd:
    return CallEnd(
        RunStatus.FAILED,
        error=output.masked(_described(error))[:MAX_ERROR],
        traceback=output.masked(_traceback(error))[-MAX_TRACEBACK:],
        called=Called(None, error) if keep_called else None,
    )


def _as_json(result: Any, output: Output) -> str:
    if result is None:
        return ""
    try:
        text = output.masked(json.dumps(result, default=repr, allow_nan=False, ensure_ascii=False))
        # PostgreSQL's jsonb stores neither NUL nor lone surrogates, not even escaped.
        kept = (
            len(text) <= MAX_RESULT
            and "\\u0000" not in text
            and storable(text) == text
            and not is_deeper(result, MAX_STORED_DEPTH)
        )
        return text if kept else _repr_as_json(result, output)
    except Exception:
        return _repr_as_json(result, output)


def _repr_as_json(result: Any, output: Output) -> str:
    try:
        text = output.masked(storable(ascii(result)))
        return json.dumps(text[: MAX_RESULT // 2 - 1], ensure_ascii=False)
    except Exception as error:
        return json.dumps(f"<{type(result).__name__}, whose repr() raised {type(error).__name__}>")


def _described(error: BaseException) -> str:
    try:
        text = "".join(traceback.format_exception_only(error)).strip()
        # People know "CommandFailed", and not the module of ours that has it.
        module = f"{type(error).__module__}."
        return storable(text.removeprefix(module) if module.startswith(OUR_MODULES) else text)
    except Exception:
        return f"{type(error).__name__}, whose message cannot be read"


def _traceback(error: BaseException) -> str:
    try:
        return storable("".join(traceback.format_exception(type(error), error, _own_frames(error.__traceback__))))
    except Exception:
        return ""


def _own_frames(frames: TracebackType | None) -> TracebackType | None:
    """Return the frames without those of `MACHINERY` before the function's own."""
    while frames is not None and frames.tb_next is not None:
        if not frames.tb_frame.f_code.co_filename.startswith(MACHINERY):
            break
        frames = frames.tb_next
    return frames
