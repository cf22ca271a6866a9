"""Doubles and factories: a clock that tests move, an executor without threads, and rows with sensible defaults."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connection

from jobs import services
from jobs.calls import runner
from jobs.core.audit import Origin, acting
from jobs.core.capacity import Capacity
from jobs.core.held import HeldRun, Outcome
from jobs.core.runs import Executor, RunStatus, RunTrigger
from jobs.core.triggers import Trigger, build_trigger
from jobs.core.zone_data import used_data
from jobs.models import Job, Run, Scheduler, Worker
from jobs.scheduler.executors import ExecutorFactory, Hooks, RunExecutor
from jobs.scheduler.executors.remote import RemoteExecutor
from jobs.scheduler.recorder import Recorder
from jobs.scheduler.store import outcomes, starts
from jobs.scheduler.store.dispatch import Dispatch

NOW = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)
"""The instant at which a `FakeClock` starts: a whole minute."""
FOREVER = datetime(9999, 1, 1, tzinfo=UTC)
"""The end of a lease that the database compares with its own clock, and not with a fake one."""


PLACE: dict[str, Any] = {}
"""Fields of all jobs and runs that are written here: a test may say where they run."""
ON_WORKERS = {"executor": Executor.CELERY, "queue": "reports"}
"""The `PLACE` of jobs and runs on workers."""


def after(seconds: float, start: datetime = NOW) -> datetime:
    """Return the instant `seconds` after `start`."""
    return start + timedelta(seconds=seconds)


def by(actor: str) -> AbstractContextManager[None]:
    """Let `actor` act within the context."""
    return acting(Origin(actor=actor))


class FakeClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now: datetime = NOW) -> None:
        """Start at `now`."""
        self._now = now
        self._monotonic = 1000.0
        self.skew = 0.0
        self.jumped_at = float("-inf")

    def now(self) -> datetime:
        """Return the fake time."""
        return self._now

    def monotonic(self) -> float:
        """Return the monotonic seconds of the fake time."""
        return self._monotonic

    def synchronise(self) -> None:
        """Do nothing: this clock is right."""

    def set(self, now: datetime) -> None:
        """Make it jump, as when somebody sets it."""
        self._now = now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds


class RunningClock(FakeClock):
    """A clock that starts at `NOW` and goes on in real time, for tests with real threads."""

    def __init__(self) -> None:
        """Start."""
        super().__init__()
        self._started = time.monotonic()

    def now(self) -> datetime:
        """Return `NOW` plus the elapsed time."""
        return super().now() + timedelta(seconds=time.monotonic() - self._started)

    def monotonic(self) -> float:
        """Return the monotonic seconds of the fake time."""
        return super().monotonic() + time.monotonic() - self._started


class InlineExecutor(RunExecutor):
    """An executor without threads: a test calls `work` to run what is queued."""

    def __init__(self, slots: int, hooks: Hooks) -> None:
        """Prepare `slots` slots."""
        super().__init__()
        self.hooks = hooks
        self._slots = slots
        self._queue: deque[HeldRun] = deque()
        self._busy: set[int] = set()

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def taken(self) -> int:
        return len(self._busy) + len(self._queue)

    def held(self) -> set[int]:
        """Return the ids of the runs that it has taken and not ended."""
        return self._busy | {run.id for run in self._queue}

    def submit_all(self, runs: Sequence[HeldRun]) -> None:
        """Take several runs at once."""
        self._queue.extend(runs)

    def take_back(self) -> list[HeldRun]:
        """Return the runs that it has not started, and forget them."""
        runs = list(self._queue)
        self._queue.clear()
        return runs

    def take_back_one(self, run_id: int) -> HeldRun | None:
        """Return the run `run_id` and forget it, if it has not been started."""
        run = next((run for run in self._queue if run.id == run_id), None)
        if run is not None:
            self._queue.remove(run)
        return run

    def cancel(self, run_id: int, reason: str) -> None:
        """Let the function know."""
        self.hooks.recorder.cancel(run_id, reason)

    def shutdown(self, wait: bool = True) -> None:
        """Do nothing: there are no threads."""

    def begin(self) -> None:
        """Start the queued runs; their functions do not end by themselves."""
        begun = [run.id for run in self.take_back()]
        self._busy.update(begun)
        Run.objects.filter(pk__in=begun).update(status=RunStatus.RUNNING, started_at=self.hooks.clock.now())

    def forget_begun(self) -> None:
        """End the runs that `begin` started. The test writes their ends."""
        self._busy.clear()

    def work(self, runs: int | None = None) -> int:
        """Run the queued runs, at most `runs`; return their number."""
        clock, recorder, may_start = self.hooks.clock, self.hooks.recorder, self.hooks.may_start
        count = len(self._queue) if runs is None else min(runs, len(self._queue))
        for _ in range(count):
            run = self._queue.popleft()
            self._busy.add(run.id)
            if may_start(run):
                keep = self.has_listeners
                recorder.finished(runner.execute(run, clock, recorder.started, keep_called=keep))
            self._busy.discard(run.id)
        return count


class InlineWorkers(RemoteExecutor):
    """A publisher without a thread, its broker, and the worker "w1" of the queue "reports", which is always alive.

    A test calls `work` to publish the claimed runs, and to run those that the worker has slots for.
    """

    def __init__(self, slots: int, hooks: Hooks) -> None:
        """Prepare a worker with so many slots."""
        super().__init__(self, hooks)
        self._worker_slots = slots
        self._messages: deque[Dispatch] = deque()

    @property
    def queued(self) -> int:  # type: ignore[override]
        return len(self._handed) + len(self._messages)

    def start(self, scheduler: Any, alias: str) -> None:
        """Start without the publisher's thread."""
        RunExecutor.start(self, scheduler, alias)
        self._beat()

    def shutdown(self, wait: bool = True) -> None:
        """Do nothing: there are no threads."""

    def lanes(self) -> Capacity:
        self._beat()
        return super().lanes()

    def publish(self, dispatches: Sequence[Dispatch]) -> dict[str, Exception]:
        """Take messages, as a broker does."""
        self._messages.extend(dispatches)
        return {}

    def close(self) -> None:
        """Do nothing."""

    def begin(self) -> None:
        """Start the runs that were sent; their functions do not end by themselves."""
        self._start(None)

    def forget_begun(self) -> None:
        """Do nothing: the worker has the runs of the database."""

    def work(self, runs: int | None = None) -> int:
        """Run the runs that were sent, at most `runs`; return their number."""
        started = self._start(runs)
        recorder = Recorder(lambda ended: None)
        for run in started:
            recorder.finished(runner.execute(run, self._clock, recorder.started))
        outcomes.write_outcomes(recorder.batch().outcomes, "w1", self._clock.now())
        return len(started)

    def _start(self, runs: int | None) -> list[HeldRun]:
        self._beat()
        self.step()
        running = Run.objects.filter(scheduler_id="w1", status=RunStatus.RUNNING).count()
        count = min(len(self._messages), self._worker_slots - running, len(self._messages) if runs is None else runs)
        taken, now = [self._messages.popleft() for _ in range(count)], self._clock.now()
        return starts.start_runs(taken, "w1", now, FOREVER)

    def _beat(self) -> None:
        lease = {"lease_until": self._clock.now() + timedelta(seconds=15)}
        if not Worker.objects.filter(pk="w1").update(**lease):
            make_worker("w1", slots=self._worker_slots, **lease)


def inline_executors(threads: int = 4, processes: int = 2, workers: int = 0) -> ExecutorFactory:
    """Return a factory of executors whose runs start when a test calls `work`; `workers` are slots of a worker."""

    def make(hooks: Hooks) -> dict[str, RunExecutor]:
        local = {Executor.THREAD: InlineExecutor(threads, hooks), Executor.PROCESS: InlineExecutor(processes, hooks)}
        return {**local, Executor.CELERY: InlineWorkers(workers, hooks)} if workers else {**local}

    return make


def make_hooks(clock: FakeClock | None = None, **hooks: Any) -> Hooks:
    """Return the hooks of a scheduler that lets an executor start every run."""
    defaults = {
        "recorder": Recorder(lambda ended: None), "may_start": lambda run: True, "may_call": lambda run: True,
        "on_low": lambda name: None,
    }  # fmt: skip
    return Hooks(clock=clock or FakeClock(), **{**defaults, **hooks})


def trigger(definition: dict[str, Any] | None = None, *, anchor: datetime = NOW, **fields: Any) -> Trigger:
    """Return the trigger of a definition; without one an interval of `fields`."""
    return build_trigger(definition or {"type": "interval", **fields}, anchor=anchor, default_timezone="UTC", key="j")


def make_job(job_id: str = "job", **fields: Any) -> Job:
    """Write a job that fires every 10 seconds from `NOW` on, and is due at `NOW`."""
    return Job.objects.create(**_job_fields(job_id, fields))


def make_jobs(count: int, **fields: Any) -> list[Job]:
    """Write `count` jobs at once: job-0, job-1 and so on."""
    return Job.objects.bulk_create(Job(**_job_fields(f"job-{number}", dict(fields))) for number in range(count))


def _job_fields(job_id: str, fields: dict[str, Any]) -> dict[str, Any]:
    defaults = {
        "name": job_id, "func": "tests:record", "trigger": {"type": "interval", "seconds": 10},
        "anchor": after(-10), "next_run_time": None if fields.get("paused") else NOW,
        "created_at": NOW, "updated_at": NOW,
    }  # fmt: skip
    return {"id": job_id, **defaults, **PLACE, **fields}


def make_run(job_id: str = "job", **fields: Any) -> Run:
    """Write a run of `job_id` that waits for any scheduler; a finished one gets its end."""
    status = RunStatus(fields.pop("status", RunStatus.QUEUED))
    finished_at = None if status in (RunStatus.QUEUED, RunStatus.RUNNING) else NOW
    defaults = {
        "func": "tests:record", "trigger": RunTrigger.SCHEDULE, "scheduled_time": NOW, "queued_at": NOW,
        "finished_at": finished_at,
    }  # fmt: skip
    run = Run.objects.create(**{"job_id": job_id, "status": status, **defaults, **PLACE, **fields})
    if fields.get("id", 2**31) < 2**31 and connection.vendor == "postgresql":
        # The sequence may be just before an id that a test chose: the next run would get the same one.
        with connection.cursor() as cursor:
            sequence = "pg_get_serial_sequence('cronzimus_run', 'id')"
            cursor.execute(f"SELECT setval({sequence}, GREATEST(nextval({sequence}), %s))", [run.pk])
    return run


def make_scheduler(scheduler_id: str = "s1", *, lease_until: datetime | None = None, **fields: Any) -> Scheduler:
    """Write a scheduler whose lease ends 15 seconds after `NOW`."""
    defaults = {"hostname": "host", "pid": 1, "version": "0", "threads": 4, "started_at": NOW, "heartbeat_at": NOW}
    defaults["zone_data"] = used_data().version
    return Scheduler.objects.create(
        **{"id": scheduler_id, "lease_until": lease_until or after(15), **defaults, **fields}
    )


def make_worker(
    worker_id: str = "w1", *, queues: Sequence[str] = ("reports",), slots: int = 2, **fields: Any
) -> Worker:
    """Write a Celery worker whose lease ends 15 seconds after `NOW`."""
    defaults = {"name": worker_id, "hostname": "host", "pid": 1, "version": "0", "started_at": NOW, "heartbeat_at": NOW}
    return Worker.objects.create(
        **{"id": worker_id, "queues": list(queues), "slots": slots, "lease_until": after(15), **defaults, **fields}
    )


def make_user(name: str = "anna", role: str = "", **fields: Any) -> Any:
    """Make a user, in the group of a role ("viewer", "operator", "editor", "admin") if one is named."""
    user = get_user_model().objects.create_user(name, **fields)
    if role:
        user.groups.add(Group.objects.get(name=f"Cronzimus {role}"))
    return user


def make_token(user: Any = None, **limits: Any) -> str:
    """Make a token, of a user who may do everything unless one is given; return the value of its header."""
    _, secret = services.create_token(user or make_user(role="admin"), now=NOW, **limits)
    return f"Token {secret}"


def held_run(run_id: int = 1, **fields: Any) -> HeldRun:
    """Return a held run."""
    defaults = {
        "job_id": "job", "func": "tests:echo", "args": [], "kwargs": {}, "scheduled_time": NOW, "attempt": 1,
        "executor": "thread", "timeout": None,
    }  # fmt: skip
    return HeldRun(**{"id": run_id, **defaults, **fields})


def outcome(run_id: int = 1, **fields: Any) -> Outcome:
    """Return an outcome of a run: success after one second."""
    defaults = {
        "job_id": "job", "executor": "thread", "status": RunStatus.SUCCEEDED, "started_at": NOW,
        "finished_at": after(1), "scheduled_time": NOW,
    }  # fmt: skip
    return Outcome(**{"run_id": run_id, **defaults, **fields})
