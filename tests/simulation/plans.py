"""The jobs of a history, and the behaviour of their functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from jobs.calls.parent import GRACE_SECONDS


@dataclass(frozen=True, kw_only=True)
class JobPlan:
    """A job that fires every `interval` seconds.

    Its function takes `seconds`. One that is `stubborn` does not end when it is told to.
    """

    executor: str
    interval: int = 10
    seconds: float = 0.0
    fails: bool = False
    stubborn: bool = False
    retries: int = 0
    timeout: int | None = None
    overlap: str = "skip"

    @property
    def lane(self) -> str:
        """The lane that it shares with other jobs: a job of threads that has a timeout runs in a process."""
        return "process" if self.executor == "thread" and self.timeout is not None else self.executor

    @property
    def times_out(self) -> bool:
        """Whether its function takes longer than it may."""
        return self.timeout is not None and self.seconds >= self.timeout

    @property
    def busy_seconds(self) -> float:
        """Seconds for which one fire time keeps its lane busy, with all attempts."""
        attempts = 1 + self.retries if self.fails or self.times_out else 1
        ending = GRACE_SECONDS if self.times_out and self.stubborn else 0.0
        return attempts * (min(self.seconds, self.timeout or self.seconds) + ending + 1.0)

    @property
    def ends_as(self) -> str:
        """The status of each of its runs where all is well."""
        if self.times_out:
            return "timed_out"
        return "failed" if self.fails else "succeeded"


def jobs_with_room(jobs: Mapping[str, JobPlan]) -> dict[str, JobPlan]:
    """Return the jobs that run in time if all is well: their lane is idle for at least half of the time."""
    busy: Counter[str] = Counter()
    for job in jobs.values():
        busy[job.lane] += job.busy_seconds  # type: ignore[assignment]
    return {
        job_id: job for job_id, job in jobs.items()
        if busy[job.lane] * 2 <= min(other.interval for other in jobs.values() if other.lane == job.lane)
    }  # fmt: skip
