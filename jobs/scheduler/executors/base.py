"""The contract between a scheduler and its executors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from apscheduler.executors.base import BaseExecutor

from ..recorder import Recorder
from ..store.clock import DatabaseClock
from ..store.held import HeldRun


class Hooks(NamedTuple):
    """The callbacks that an executor gets from its scheduler, for use by any thread.

    The executor calls `may_start` before it starts a run; if that is false, the scheduler gives the run back. It
    reports starts and ends to the `recorder`, and calls `on_low` with its own name when its queue runs low.
    """

    clock: DatabaseClock
    recorder: Recorder
    may_start: Callable[[HeldRun], bool]
    on_low: Callable[[str], None]


class RunExecutor(BaseExecutor):
    """Calls the functions of runs that the scheduler holds.

    An APScheduler executor whose `submit_job` gets a `HeldRun`. It does not count the instances of a job: the claim
    limits them, in the database.
    """

    def submit_job(self, job: HeldRun, run_times: Sequence[datetime]) -> None:
        """Take a run, and start it as soon as a slot is free. Never blocks."""
        self._do_submit_job(job, run_times)

    @property
    def has_listeners(self) -> bool:
        """Whether APScheduler has listeners, which get the objects that functions return and raise."""
        return self._scheduler is not None and bool(self._scheduler._listeners)

    def _do_submit_job(self, job: HeldRun, run_times: Sequence[datetime]) -> None:
        self.submit_all([job])

    @property
    @abstractmethod
    def slots(self) -> int:
        """The number of runs that it can run at once."""

    @property
    @abstractmethod
    def queued(self) -> int:
        """The number of runs that it has taken and not started."""

    @property
    @abstractmethod
    def taken(self) -> int:
        """The number of runs that it has taken and that have not ended."""

    @abstractmethod
    def held(self) -> set[int]:
        """Return the ids of the runs that it has taken and that have not ended."""

    @abstractmethod
    def submit_all(self, runs: Sequence[HeldRun]) -> None:
        """Take runs, and start each as soon as a slot is free. Never blocks."""

    @abstractmethod
    def take_back(self) -> list[HeldRun]:
        """Return the runs that have not started, and forget them."""

    @abstractmethod
    def take_back_one(self, run_id: int) -> HeldRun | None:
        """Return the run `run_id` and forget it; None if it has started, or is not here."""

    @abstractmethod
    def cancel(self, run_id: int, reason: str) -> None:
        """End the run `run_id`, which has started, as soon as possible."""

    def lanes(self) -> dict[str, int]:
        """Return the number of runs that each lane of workers may be given; empty for an executor of this machine."""
        return {}

    def abandon(self) -> None:
        """End the running runs at once, if possible."""

    @abstractmethod
    def shutdown(self, wait: Any = True) -> None:
        """Start no more runs. With `wait`, return when the running ones have ended."""


ExecutorFactory = Callable[[Hooks], Mapping[str, RunExecutor]]
"""Makes the executors of a scheduler, by their names."""
