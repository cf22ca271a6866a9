"""The objects that a function gets by annotating a parameter with their type."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from ..core.runs import Executor


class Database:
    """The project's database, for functions that work without models."""

    def __init__(self, alias: str = DEFAULT_DB_ALIAS) -> None:
        """Use the database `alias` of settings.DATABASES."""
        self.alias = alias

    def execute(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement with `params` for its `%s`. Returns its rows; an empty list if it returns none."""
        with connections[self.alias].cursor() as cursor:
            cursor.execute(sql, params)
            return cursor.fetchall() if cursor.description else []

    def atomic(self) -> AbstractContextManager[None]:
        """Return a context manager whose changes are committed as a whole, or not at all."""
        return transaction.atomic(using=self.alias)


@dataclass(slots=True, kw_only=True)
class RunContext:
    """The run for which a function is called.

    `scheduled_time` is the fire time, aware, in UTC. `attempt` counts from 1. `executor` names the executor that calls
    the function. What is logged through `logger` is part of the run's output. `traceparent` is the header that
    continues the trace (W3C Trace Context) of the request that asked for the run; None where there is none.
    """

    run_id: int
    job_id: str
    scheduled_time: datetime
    attempt: int
    executor: str = Executor.THREAD
    traceparent: str | None = None
    progress_made: tuple[int, int | None] | None = field(default=None, repr=False)
    on_progress: Callable[[int, int | None], None] | None = field(default=None, repr=False)
    noticed_cancel: bool = field(default=False, repr=False)
    _cancel_requested: bool = field(default=False, repr=False)
    _on_cancel: Callable[[], None] | None = field(default=None, repr=False)

    @property
    def logger(self) -> logging.Logger:
        """A logger named after the job, created on demand: Python keeps every logger for ever."""
        return logging.getLogger(f"job.{self.job_id}")

    @property
    def cancelled(self) -> bool:
        """Whether the run is to be cancelled. A function that finds it true should return soon."""
        self.noticed_cancel = self._cancel_requested
        return self._cancel_requested

    def request_cancel(self) -> None:
        """Ask the function to end."""
        self._cancel_requested = True
        on_cancel = self._on_cancel
        if on_cancel is not None:
            on_cancel()

    def when_cancelled(self, call: Callable[[], None] | None) -> None:
        """Call `call` when the function is asked to end, or at once if it has been asked; None unsets it."""
        self._on_cancel = call
        if call is not None and self._cancel_requested:
            call()

    def progress(self, done: int, total: int | None = None) -> None:
        """Record the progress of the run: `done` of `total` (None if unknown).

        Raises `ValueError` unless both are whole numbers from 0 to 2**63 - 1.
        """
        for number in (done, 0 if total is None else total):
            if not isinstance(number, int) or not 0 <= number < 2**63:
                raise ValueError(f"progress: {number!r} is not a whole number from 0 to {2**63 - 1}")
        self.progress_made = (int(done), None if total is None else int(total))  # True is an int, too
        if self.on_progress is not None:
            self.on_progress(*self.progress_made)
