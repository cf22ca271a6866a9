"""A history: its actors, the faults that hit them, and its verdict once all is calm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from django.db import OperationalError, connections
from django.db.models import Q

from jobs import services
from jobs.core.exceptions import CronzimusError
from jobs.models import Job, Run
from tests.fakes import by

from .broker import Broker
from .cast import QUEUE, Actor, SchedulerActor, Stage, WorkerActor
from .database import Databases
from .judge import WINDOW, Evidence
from .plans import JobPlan, jobs_with_room
from .world import START, Fault, World

CALM_SECONDS = 20.0
"""Time for which all is well at the end, so that fire times have to run in time again."""
LONGEST_SECONDS = 200.0
"""Time after the last fault by which every run has ended."""
CLOCK_REST_SECONDS = 30.0
"""Time around a jump of the clock in which nobody starts a scheduler, as the docs ask for."""


class History:
    """A world with schedulers and workers, to which things happen."""

    def __init__(
        self,
        databases: Databases,
        jobs: Sequence[JobPlan],
        *,
        schedulers: int = 2,
        workers: int = 2,
        pushes: bool = False,
    ) -> None:
        """Write the jobs, and start everybody; the broker `pushes` as RabbitMQ does."""
        databases.begin()
        self._before = connections["default"]
        self.world = World(databases.connection)
        self.jobs = {f"{job.executor}-{number}": job for number, job in enumerate(jobs)}
        self.stage = self.world.stage = Stage(Broker(pushes=pushes), self.jobs)
        self._own = connections["default"] = databases.connection()
        Job.objects.bulk_create(self._row(job_id, job) for job_id, job in self.jobs.items())
        self.schedulers: list[Actor] = [SchedulerActor(self.stage, f"scheduler {n + 1}") for n in range(schedulers)]
        self.workers: list[Actor] = [WorkerActor(self.stage, f"worker {n + 1}") for n in range(workers)]
        self.actors = [*self.schedulers, *self.workers]
        self._jumped_at = float("-inf")
        self._is_closed = False
        self.has_gone_back = self.stood_still = False
        for actor in self.actors:
            actor.start()

    def _row(self, job_id: str, job: JobPlan) -> Job:
        retries = {"max": job.retries, "delay": 1, "backoff": 1, "max_delay": 1, "jitter": 0} if job.retries else None
        return Job(
            id=job_id, name=job_id, func="simulation:work", trigger={"type": "interval", "seconds": job.interval},
            anchor=START, next_run_time=START + timedelta(seconds=job.interval), created_at=START, updated_at=START,
            executor=job.executor, queue=QUEUE, retries=retries, timeout=job.timeout, overlap=job.overlap,
        )  # fmt: skip

    def close(self) -> None:
        """End everybody, unless that was done before."""
        if self._is_closed:
            return
        self._is_closed = True
        self.world.end()
        self._own.close_for_good()
        connections["default"] = self._before

    # --- what happens ------------------------------------------------------------------------------------------------

    def go_on(self, seconds: float) -> None:
        """Let time pass."""
        self.world.run(seconds)

    def strike(self, who: int, kind: str, at: int, seconds: float, what: str = "", after: str = "") -> None:
        """Have a fault hit a process at one of its next points (`Fault`)."""
        self._actor(who).process.fault = Fault(kind, at, seconds, what, after)
        self.stood_still |= kind == "pause"

    def lose_database(self, seconds: float, *, silent: bool) -> None:
        """Have the database be away for everybody, or silent."""
        for actor in self.actors:
            setattr(actor.process, "silent_until" if silent else "gone_until", self.world.monotonic + seconds)

    def freeze_children(self, who: int, seconds: float) -> None:
        """Have the processes of a process stand still, but not itself."""
        for child in self._actor(who).process.children:
            self.world.pause(child, seconds)

    def lack_memory(self, who: int, seconds: float) -> None:
        """End the processes that call functions for an actor, and let it start none for some seconds."""
        self.stage.no_memory_until[self._actor(who).name] = self.world.monotonic + seconds
        self.kill_children(who)

    def kill_children(self, who: int) -> None:
        """End the processes in which functions run."""
        for child in list(self._actor(who).process.children):
            self.world.crash(child)

    def kill(self, who: int) -> None:
        """End a process at once."""
        self.world.crash(self._actor(who).process)

    def stop(self, who: int) -> None:
        """Tell a process to stop."""
        self._actor(who).stop()

    def start(self) -> None:
        """Start those that do not run, as a service manager does."""
        for actor in self.actors:
            if actor in self.workers or self.world.monotonic > self._jumped_at + CLOCK_REST_SECONDS:
                actor.start()

    def lose_message(self, which: int) -> None:
        """Have a message disappear that is on its way."""
        waiting = self.stage.broker.waiting
        if waiting:
            del waiting[-1 - which % len(waiting)]

    def hold_messages(self, seconds: float) -> None:
        """Have everything that is sent from now on arrive late."""
        self.stage.broker.hold_until = self.world.monotonic + seconds

    def repeat_message(self, which: int) -> None:
        """Have a message come again that was ever sent."""
        if self.stage.broker.ever:
            self.stage.broker.repeat(-1 - which)

    def lose_broker(self, seconds: float, *, silent: bool) -> None:
        """Have the broker be away."""
        self.stage.broker.go_away(seconds, silent=silent)

    def set_clock(self, seconds: float) -> None:
        """Set the machine's clock forward or back, unless it was set a moment ago."""
        if self.world.monotonic < self._jumped_at + CLOCK_REST_SECONDS:
            return
        self._jumped_at = self.world.monotonic
        self.has_gone_back |= seconds < 0
        self.world.offset += timedelta(seconds=seconds)

    def cancel(self, which: int) -> None:
        """Have a person cancel one of the active runs."""
        ids = list(Run.objects.active().order_by("id").values_list("id", flat=True))
        if ids:
            self._ask(lambda: services.cancel_run(ids[-1 - which % len(ids)], now=self.world.now()))

    def run_now(self, which: int) -> None:
        """Have a person run a job."""
        job_id = sorted(self.jobs)[which % len(self.jobs)]
        self._ask(lambda: services.run_job(job_id, now=self.world.now()))

    @staticmethod
    def _ask(request: Callable[[], object]) -> None:
        # The run has ended meanwhile, or a process that stands still holds SQLite's lock: the person is told so.
        with suppress(CronzimusError, OperationalError), by("anna"):
            request()

    def _actor(self, who: int) -> Actor:
        return self.actors[who % len(self.actors)]

    # --- its end -----------------------------------------------------------------------------------------------------

    def calm_down(self) -> None:
        """End all faults, and let time pass until all is well again."""
        world, broker = self.world, self.stage.broker
        broker.away_until = broker.hold_until = 0.0
        broker.tell()
        for actor in self.actors:
            process = actor.process
            process.fault, process.gone_until = None, 0.0
        world.run(max(world.busy_until() - world.monotonic, 0.0))
        began, roomy = world.monotonic, list(jobs_with_room(self.jobs))
        until = world.now()
        world.run(CLOCK_REST_SECONDS if self._jumped_at > began - CLOCK_REST_SECONDS else 0.0)
        while world.monotonic < began + LONGEST_SECONDS:
            self.start()
            world.run(5.0)
            is_staffed = all(actor.is_staying for actor in self.actors)
            if is_staffed and world.now() >= until and not self._is_behind(roomy, until):
                break

    def _is_behind(self, roomy: Sequence[str], until: datetime) -> bool:
        """Return whether work from before `until` is left, or work that has piled up behind it since."""
        late = self.world.now() - WINDOW
        active, jobs = Run.objects.active().filter(job_id__in=roomy), Job.objects.filter(pk__in=roomy)
        return (
            active.filter(Q(queued_at__lte=until) | Q(scheduled_time__lt=late)).exists()
            or jobs.filter(next_run_time__lt=late).exists()
        )

    def verdict(self) -> list[str]:
        """Calm down, go on for a while, and return the errors of the history."""
        self.calm_down()
        calm_at = self.world.now()
        self.world.run(CALM_SECONDS)
        world, calls = self.world, self.stage.calls
        evidence = Evidence(
            self.jobs,
            calls,
            world.monotonic,
            clock_went_back=self.has_gone_back,
            stood_still=self.stood_still,
        )
        return list(evidence.problems(calm_at, world.now()))
