"""The contract of an executor."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from apscheduler.executors.base import BaseExecutor

from ..store.held import HeldRun


class Executor(BaseExecutor):
    """Calls the functions of runs that the scheduler holds.

    An APScheduler executor whose `submit_job` is handed a `HeldRun`. How many instances of a job may run is held in
    the claim, by the database, and so not counted here.
    """

    def submit_job(self, job: HeldRun, run_times: Sequence[datetime]) -> None:
        """Take a run, to be started as soon as there is a slot for it; never blocks."""
        self._do_submit_job(job, run_times)

    @abstractmethod
    def _do_submit_job(self, job: HeldRun, run_times: Sequence[datetime]) -> None: ...

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many runs it can have going at once."""

    @property
    @abstractmethod
    def queued(self) -> int:
        """How many runs it has taken and not started."""

    @property
    @abstractmethod
    def taken(self) -> int:
        """How many runs it has taken and not ended, those that it has not started included."""

    @abstractmethod
    def held(self) -> set[int]:
        """Return the ids of the runs that it has taken and not ended."""

    @abstractmethod
    def submit_all(self, runs: Sequence[HeldRun]) -> None:
        """Take runs, to be started as soon as there are slots for them; never blocks."""

    @abstractmethod
    def take_back_one(self, run_id: int) -> HeldRun | None:
        """Return the run `run_id` and forget it, if it has not been started."""

    @abstractmethod
    def take_back(self) -> list[HeldRun]:
        """Return the runs that it has not started, and forget them."""

    @abstractmethod
    def cancel(self, run_id: int, reason: str) -> None:
        """Have the run `run_id`, which has been started, end as soon as it can be made to."""

    @abstractmethod
    def shutdown(self, wait: Any = True) -> None:
        """Start nothing more; with `wait`, return when what is running has ended."""
