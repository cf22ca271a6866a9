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

    An APScheduler executor whose `submit_job` takes a `HeldRun`. It does not count the instances of a job: the claim
    does, in the database.
    """

    def submit_job(self, job: HeldRun, run_times: Sequence[datetime]) -> None:
        """Take a run, and start it as soon as a slot is free. Never blocks."""
        self._do_submit_job(job, run_times)

    @abstractmethod
    def _do_submit_job(self, job: HeldRun, run_times: Sequence[datetime]) -> None: ...

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many runs it can run at once."""

    @property
    @abstractmethod
    def queued(self) -> int:
        """How many runs it has taken and not started."""

    @property
    @abstractmethod
    def taken(self) -> int:
        """How many runs it has taken that have not ended, started or not."""

    @abstractmethod
    def held(self) -> set[int]:
        """Return the ids of the runs that it has taken and that have not ended."""

    @abstractmethod
    def submit_all(self, runs: Sequence[HeldRun]) -> None:
        """Take runs, and start each as soon as a slot is free. Never blocks."""

    @abstractmethod
    def take_back_one(self, run_id: int) -> HeldRun | None:
        """Return the run `run_id` and forget it; None where it has started, or is not here."""

    @abstractmethod
    def take_back(self) -> list[HeldRun]:
        """Return the runs that have not started, and forget them."""

    @abstractmethod
    def cancel(self, run_id: int, reason: str) -> None:
        """End the run `run_id`, which has started, as soon as possible."""

    @abstractmethod
    def shutdown(self, wait: Any = True) -> None:
        """Start no more runs. With `wait`, return when those that are running have ended."""
