"""The executors as their scheduler sees them: the contract of each, and all of them taken together."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from apscheduler.executors.base import BaseExecutor

from ...core.capacity import Capacity
from ...core.durations import AHEAD_SECONDS, MAX_AHEAD, MeanDuration
from ...core.held import HeldRun, Outcome
from ...core.runs import Executor
from ..recorder import Recorder
from ..store.clock import DatabaseClock

MAX_MEASURED = 100
"""Outcomes of one batch that are measured, at most: the last ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """The callbacks that an executor gets from its scheduler, for use by any thread.

    The executor calls `may_start` before it starts a run; if that is false, the scheduler gives the run back. If some
    time passes between the start and the call of the function, it calls `may_call` before; if that is false, the run is
    lost. It reports starts and ends to the `recorder`, and calls `on_low` with its own name when its queue runs low.
    """

    clock: DatabaseClock
    recorder: Recorder
    may_start: Callable[[HeldRun], bool]
    may_call: Callable[[HeldRun], bool]
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

    def lanes(self) -> Capacity:
        """Return the number of runs that each lane of workers may be given; empty for an executor of this machine.

        Raises the errors of the database.
        """
        return Capacity({})

    def abandon(self) -> None:
        """End the running runs at once, if possible."""

    @abstractmethod
    def shutdown(self, wait: bool = True) -> None:
        """Start no more runs. With `wait`, return when the running ones have ended."""


class Executors:
    """The executors by name, each with the mean duration of its runs."""

    def __init__(self, by_name: Mapping[str, RunExecutor]) -> None:
        """Take the executors of a scheduler."""
        self.by_name = dict(by_name)
        self._durations = {name: MeanDuration() for name in self.by_name}
        self._local = {name: executor for name, executor in self.by_name.items() if name != Executor.CELERY}
        self._remote = [executor for name, executor in self.by_name.items() if name == Executor.CELERY]

    def slots(self, name: str) -> int:
        """Return the number of runs that the executor `name` can run at once; 0 if there is no such executor."""
        return self.by_name[name].slots if name in self.by_name else 0

    @property
    def reaches_workers(self) -> bool:
        """Whether one of them sends runs to workers. It then looks for dead ones too, more often than a heartbeat."""
        return bool(self._remote)

    @property
    def queued(self) -> int:
        """The number of runs that they have taken and not started."""
        return sum(executor.queued for executor in self.by_name.values())

    @property
    def taken(self) -> int:
        """The number of runs that they have taken and that have not ended."""
        return sum(executor.taken for executor in self.by_name.values())

    def held(self) -> set[int]:
        """Return the ids of the runs that they have taken and that have not ended."""
        return set().union(*(executor.held() for executor in self.by_name.values()))

    def capacity(self, at: float, others: int = 0, *, has_work: bool = True) -> Capacity:
        """Return the number of runs that each lane may be given: an executor's free slots, and runs that end soon.

        `at` is the monotonic time in seconds. `others` is the number of other schedulers: each claims only its share
        ahead, so that all get a part of many jobs due at once. Without `has_work` the lanes of workers are left out.
        Raises the errors of the database.
        """
        ahead = MAX_AHEAD // (1 + others)
        found = {name: self._capacity_of(name, executor, at, ahead) for name, executor in self._local.items()}
        remote = [executor.lanes() for executor in self._remote] if has_work else []
        rivals = {lane: sharing for lanes in remote for lane, sharing in lanes.rivals.items()}
        return Capacity(found | {lane: free for lanes in remote for lane, free in lanes.items()}, rivals)

    def _capacity_of(self, name: str, executor: RunExecutor, at: float, max_ahead: int) -> int:
        slots, taken = executor.slots, executor.taken
        ahead = self._durations[name].ends_within(AHEAD_SECONDS, slots=slots, at=at, busy=taken >= slots)
        return max(slots + min(ahead, max_ahead) - taken, 0)

    def lanes(self) -> list[str]:
        """Return the lanes that may be given runs now or later: the executors, and the queues with a living worker.

        Raises the errors of the database.
        """
        return [*self._local, *(lane for executor in self._remote for lane in executor.lanes())]

    def measure(self, outcomes: Sequence[Outcome], at: float) -> None:
        """Add the durations of `outcomes`, which were written at the monotonic time `at`, to the means."""
        durations: dict[str, list[float]] = {name: [] for name in self.by_name}
        for outcome in outcomes[-MAX_MEASURED:]:
            if outcome.started_at is not None:
                durations[outcome.executor].append((outcome.finished_at - outcome.started_at).total_seconds())
        for name, mean in self._durations.items():
            mean.add(durations[name], at)

    def submit(self, runs: Sequence[HeldRun]) -> list[str]:
        """Hand each run to its executor; return the executors that got one."""
        given = {name: [run for run in runs if run.executor == name] for name in self.by_name}
        for name, own in given.items():
            self.by_name[name].submit_all(own)
        return [name for name, own in given.items() if own]

    def take_back(self, names: Collection[str] | None = None) -> list[HeldRun]:
        """Return the runs that the executors `names` (None: all) have not started, and forget them."""
        chosen = self.by_name if names is None else names
        return [run for name in chosen for run in self.by_name[name].take_back()]

    def cancel(self, run_id: int, name: str, reason: str) -> HeldRun | None:
        """Cancel a run of the executor `name`: return it if it has not started, or else try to end it.

        Raises `KeyError` if there is no such executor.
        """
        unstarted = self.by_name[name].take_back_one(run_id)
        if unstarted is None:
            self.by_name[name].cancel(run_id, reason)
        return unstarted

    def abandon(self) -> None:
        """End the running runs at once, if possible."""
        for executor in self.by_name.values():
            executor.abandon()


ExecutorFactory = Callable[[Hooks], Mapping[str, RunExecutor]]
"""Makes the executors of a scheduler, by their names."""
