"""The actors of the world: schedulers and workers with the product's code, and processes that call functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from queue import Empty
from typing import Any

from jobs import RunContext, register
from jobs.calls.output import Output
from jobs.calls.parent import GRACE_SECONDS, ChildDied, NotCalled, Stopped
from jobs.calls.runner import Activity
from jobs.core.held import CallEnd, HeldRun
from jobs.core.runs import Executor, RunStatus
from jobs.scheduler.executors import Hooks, RunExecutor
from jobs.scheduler.executors.process import ProcessExecutor
from jobs.scheduler.executors.remote import RemoteExecutor
from jobs.scheduler.executors.thread import ThreadExecutor
from jobs.scheduler.scheduler import Scheduler
from jobs.scheduler.store.connection import loop_connection
from jobs.worker.slots import Slots

from .broker import Broker, Consumer, Sender
from .plans import JobPlan
from .threads import SimpleQueue, sleep
from .world import Process, World

QUEUE = "reports"
SLICE_SECONDS = 0.5
"""Time between two looks of a function whether it is to end."""


@dataclass(kw_only=True)
class Call:
    """A call of a function as the function itself wrote it down, by the monotonic clock and by the wall clock."""

    job_id: str
    scheduled_time: datetime
    attempt: int
    began: float
    at: datetime
    ended: float | None = None
    ended_at: datetime | None = None

    @property
    def key(self) -> tuple[str, datetime, int]:
        """The attempt that it belongs to."""
        return self.job_id, self.scheduled_time, self.attempt


@dataclass
class Stage:
    """The state that the actors share."""

    broker: Broker
    jobs: Mapping[str, JobPlan]
    calls: list[Call] = field(default_factory=list)
    no_memory_until: dict[str, float] = field(default_factory=dict)
    """The monotonic time up to which no child process starts, by the name of an actor."""


@register("simulation:work")
def work(context: RunContext) -> None:
    """Follow the plan of its job, in a thread of a scheduler."""
    stage = World.current.stage
    job = stage.jobs[context.job_id]
    _act(stage, job, context, lambda: context.cancelled and not job.stubborn)
    if job.fails:
        raise RuntimeError("it went wrong")


def _act(stage: Stage, job: JobPlan, context: Any, is_told: Callable[[], bool]) -> None:
    world = World.current
    call = Call(
        job_id=context.job_id, scheduled_time=context.scheduled_time, attempt=context.attempt,
        began=world.monotonic, at=world.now(),
    )  # fmt: skip
    stage.calls.append(call)
    until = world.monotonic + job.seconds
    try:
        while world.monotonic < until and not is_told():
            sleep(min(SLICE_SECONDS, until - world.monotonic))
    finally:
        call.ended, call.ended_at = world.monotonic, world.now()


class Child:
    """A stand-in for `calls.parent.ChildProcess`, which does not stop with its parent."""

    def __init__(self) -> None:
        """Start it, beside the process of this thread."""
        world = World.current
        assert world.task is not None
        self._parent = world.task.process
        if world.monotonic < world.stage.no_memory_until.get(self._parent.name.partition(".")[0], 0.0):
            raise OSError("no memory")
        self._process = Process(f"child of {self._parent.name}")
        self._parent.children.append(self._process)
        self._process.at_end = lambda: self._answers.put(None)
        self._answers = SimpleQueue()
        self._is_told = self._has_begun = False
        self.runs = 0

    @property
    def takes_runs(self) -> bool:
        return not self._process.is_dead

    def get_ready(self, output: Output) -> None:
        """Take a moment."""
        sleep(0.2)

    def call(self, run: HeldRun, activity: Activity) -> CallEnd:
        if not self.takes_runs:
            raise NotCalled
        self.runs += 1
        self._is_told = self._has_begun = False
        answers = self._answers = SimpleQueue()
        World.current.spawn(self._process, partial(self._call, run, answers))
        seconds = run.timeout
        try:
            answer = answers.get(timeout=seconds)
        except Empty:
            self.kill()
            raise Stopped(RunStatus.TIMED_OUT, f"it took longer than its timeout of {seconds} s") from None
        if isinstance(answer, Stopped):
            self.kill()
            raise answer
        if answer is None:
            raise ChildDied if self._has_begun else NotCalled
        return answer

    def _call(self, run: HeldRun, answers: SimpleQueue) -> None:
        self._has_begun = True
        stage = World.current.stage
        job = stage.jobs[run.job_id]
        _act(stage, job, run, lambda: self._is_told and not job.stubborn)
        if job.fails:
            answers.put(CallEnd(RunStatus.FAILED, error="it went wrong"))
        else:
            answers.put(CallEnd(RunStatus.SUCCEEDED))

    def stop(self, run_id: int, status: RunStatus, reason: str) -> None:
        self._answers.put(Stopped(status, reason))

    def kill(self, output: Output | None = None) -> None:
        """SIGTERM, which a function may ignore, and SIGKILL when its time is over."""
        self._is_told = True
        until = World.current.monotonic + GRACE_SECONDS
        while World.current.monotonic < until and any(not task.dead for task in self._process.tasks):
            sleep(0.1)
        self.end_at_once()

    def end_at_once(self) -> None:
        World.current.crash(self._process)

    def close(self) -> None:
        self.end_at_once()

    def how_it_ended(self) -> str:
        return "the process was ended by SIGKILL"


class Actor:
    """A process that can be told to stop, and started again as a new one."""

    def __init__(self, stage: Stage, name: str) -> None:
        """Act on `stage`; `start` it."""
        self.stage, self.name = stage, name
        self.process = Process(name)
        self.process.is_dead = True
        self._number = 0
        self._is_told = False

    def start(self) -> None:
        """Start a new process, unless there is one."""
        if self.is_running:
            return
        self._number += 1
        self._is_told = False
        self.process = Process(f"{self.name}.{self._number}")
        World.current.spawn(self.process, self.main)

    @property
    def is_running(self) -> bool:
        """Whether there is a process that has not ended."""
        return not self.process.is_dead and any(not task.dead for task in self.process.tasks)

    @property
    def is_staying(self) -> bool:
        """Whether it runs, and was not told to stop."""
        return self.is_running and not self._is_told

    def main(self) -> None:
        """Be the main thread of the process."""
        raise NotImplementedError

    def stop(self) -> None:
        """Tell it to stop, as SIGTERM does."""
        raise NotImplementedError


class SchedulerActor(Actor):
    """A scheduler, with threads, a process and workers."""

    THREADS, PROCESSES = 2, 1

    _scheduler: Scheduler | None = None

    def main(self) -> None:
        self._scheduler = scheduler = Scheduler(self._executors)
        with loop_connection():
            scheduler.open()
            try:
                scheduler._main_loop()
            finally:
                scheduler._close()
        World.current.crash(self.process)  # its threads are daemons: they end with it

    def _executors(self, hooks: Hooks) -> dict[str, RunExecutor]:
        return {
            Executor.THREAD: ThreadExecutor(self.THREADS, hooks),
            Executor.PROCESS: ProcessExecutor(self.PROCESSES, hooks, start_process=Child),  # type: ignore[arg-type]
            Executor.CELERY: RemoteExecutor(Sender(self.stage.broker), hooks),
        }

    def stop(self) -> None:
        if self.is_running and self._scheduler is not None:
            self._is_told = True
            self._scheduler.drain()


class WorkerActor(Actor):
    """A Celery worker without Celery: its slots, its ledger, and the gate before them."""

    SLOTS = 2

    _consumer: Consumer | None = None

    def main(self) -> None:
        slots = Slots(self.name, [QUEUE], self.SLOTS, start_process=Child)  # type: ignore[arg-type]
        slots.start(lambda: self._is_told)
        self._consumer = consumer = Consumer(self.stage.broker, slots)
        try:
            consumer.work(lambda: self._is_told)
            slots.stop(lambda: False)
            consumer.end()
        finally:
            consumer.leave()
        World.current.crash(self.process)

    def stop(self) -> None:
        if self.is_running:
            self._is_told = True
            if self._consumer is not None:
                self._consumer.bell.set()
