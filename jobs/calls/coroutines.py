"""Run the coroutine of an async function, in an event loop of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import connections

from ..functions.context import RunContext


def run(coroutine: Coroutine[Any, Any, Any], context: RunContext) -> Any:
    """Return the result of `coroutine`, or None if a request to cancel the run ended it.

    A request to cancel the run cancels its task, which gets `asyncio.CancelledError` where it waits. Raises the errors
    of the coroutine.
    """
    try:
        return asyncio.run(_main(coroutine, context))
    except asyncio.CancelledError:
        if context.noticed_cancel:
            return None
        raise


async def _main(coroutine: Coroutine[Any, Any, Any], context: RunContext) -> Any:
    # Synchronous code, such as Django's ORM beneath its async methods, gets one thread for this run.
    async with ThreadSensitiveContext():
        error: BaseException | None = None
        try:
            with _cancelled_with(context):
                result = await coroutine
        except GeneratorExit:
            raise  # to await something while the coroutine is closed is an error
        except BaseException as raised:
            error = raised
        # Not while an exception is being handled: asgiref would add its frames to the traceback.
        await sync_to_async(connections.close_all)()
        if error is not None:
            raise error
        return result


@contextmanager
def _cancelled_with(context: RunContext) -> Iterator[None]:
    """Make a request to cancel the run cancel the current task, within the context."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    ended = False

    def cancel() -> None:
        if task is not None and not ended:
            task.cancel()
            context.noticed_cancel = True

    def cancel_from_another_thread() -> None:
        with suppress(RuntimeError):  # the loop has just been closed
            loop.call_soon_threadsafe(cancel)

    context.when_cancelled(cancel_from_another_thread)
    try:
        yield
    finally:
        ended = True
        context.when_cancelled(None)
