"""The Celery workers, the queues that none of them serves, and the runs that do not reach them.

Without a broker, one query asks for runs that were dispatched while there was one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from django.db.models import Count, F, Min, Q, Sum
from django.db.models.functions import Coalesce

from ..conf import conf
from ..core.brokers import broker_name
from ..core.dispatches import COUNTS_AS_LOST_AFTER, first_dispatch_id, made_at
from ..core.runs import DISPATCHED, Executor, RunStatus
from ..models import Job, Run, Scheduler, Worker
from ..models.job import DEFAULT_QUEUE
from ..models.worker import queues_of

MAX_WAITING = 10_000
"""Waiting runs whose queues are read."""

MAX_SHOWN = 100
"""Workers that a page shows."""


def has_broker() -> bool:
    """Tell whether runs may be sent to workers."""
    return bool(conf.CELERY_BROKER_URL)


def known_workers() -> list[Worker]:
    """Return the workers on record, the running ones first: those that stopped are kept for some days."""
    if not has_broker():
        return []
    return list(Worker.objects.order_by(F("stopped_at").desc(nulls_first=True), "-started_at", "id")[:MAX_SHOWN])


def known_queues() -> list[str]:
    """Return the queues of workers and of jobs, for a person to choose from."""
    workers = Worker.objects.filter(stopped_at__isnull=True) if has_broker() else ()
    return sorted(queues_of(workers) | Job.objects.queues_to_come() | {DEFAULT_QUEUE})


class Obstacle(StrEnum):
    """An obstacle between a run and its start on a worker, other than busy workers."""

    BROKER = "broker"
    """The broker has not taken its message."""
    NOT_TAKEN = "not_taken"
    """It was sent, and no worker took it, although one has a free slot."""
    NO_WORKER = "no_worker"
    """It was sent, and no worker serves its queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldUp:
    """Runs of one queue that have been on their way for longer than `COUNTS_AS_LOST_AFTER`.

    `since` is when the first of them set out, or could have started, and `messages` how many were sent for them.
    """

    obstacle: Obstacle
    queue: str
    number: int
    since: datetime
    messages: int = 0


class OnTheirWay(NamedTuple):
    """The runs of one queue that are on their way: those that wait for the broker, and those that no worker took."""

    queue: str
    unsent: int
    first_unsent: str | None
    untaken: int
    since: datetime | None
    messages: int


class OtherBroker(NamedTuple):
    """A scheduler or a worker, and its broker, which differs from that of this process."""

    name: str
    broker: str


class Fleet:
    """The workers at an instant, and the runs that do not reach them. Each part is read when it is first asked for."""

    def __init__(self, now: datetime) -> None:
        """Look at the workers as of `now`."""
        self.now = now

    @cached_property
    def _leased(self) -> list[Worker]:
        if not has_broker():
            return []
        return list(Worker.objects.filter(Q(stopped_at__isnull=True) | Q(lease_until__gt=self.now)))

    @property
    def running(self) -> list[Worker]:
        """The workers that have not signed off: they are alive, or died."""
        return [worker for worker in self._leased if worker.stopped_at is None]

    @property
    def alive(self) -> list[Worker]:
        """The workers that hold their lease."""
        return [worker for worker in self.running if worker.is_alive(self.now)]

    @cached_property
    def serving(self) -> frozenset[str]:
        """The queues of which a worker takes runs now."""
        return queues_of(worker for worker in self._leased if worker.takes_runs(self.now))

    @cached_property
    def served(self) -> frozenset[str]:
        """The queues that a worker serves, or served a moment ago; see `WorkerQuerySet.served_queues`."""
        return queues_of(worker for worker in self._leased if worker.is_alive(self.now))

    @cached_property
    def other_brokers(self) -> list[OtherBroker]:
        """The living schedulers and workers with another broker than this process. It may be one with two names."""
        here = broker_name(conf.CELERY_BROKER_URL)
        if not here:
            return []
        schedulers = Scheduler.objects.alive(self.now).exclude(broker__in=["", here]).order_by("pk")
        found = [OtherBroker(*row) for row in schedulers.values_list("pk", "broker")]
        workers = (OtherBroker(worker.name, worker.broker) for worker in self.alive)
        return found + [worker for worker in workers if worker.broker not in ("", here)]

    @cached_property
    def unserved(self) -> list[str]:
        """The queues of jobs to come, and of runs that have not started, that no worker serves: these wait."""
        if not has_broker():
            return []
        wanted = Job.objects.queues_to_come() | _waiting_queues() | {one.queue for one in self._on_their_way}
        return sorted(wanted - self.served)

    @cached_property
    def held_up(self) -> list[HeldUp]:
        """The runs on their way that are held up, by queue and obstacle."""
        return [held for one in self._on_their_way for held in self._held_up(one)]

    def _held_up(self, one: OnTheirWay) -> Iterator[HeldUp]:
        if one.unsent:
            since = made_at(one.first_unsent or "") or self.now
            yield HeldUp(obstacle=Obstacle.BROKER, queue=one.queue, number=one.unsent, since=since)
        if one.untaken and (obstacle := self.obstacle_of(one.queue)):
            since = one.since or self.now
            yield HeldUp(obstacle=obstacle, queue=one.queue, number=one.untaken, since=since, messages=one.messages)

    def obstacle_of(self, queue: object) -> Obstacle | None:
        """Return why no worker took a run that was sent to `queue` long ago; None if they are busy, or restart."""
        if queue in self.free:
            return Obstacle.NOT_TAKEN
        return None if queue in self.served else Obstacle.NO_WORKER

    @cached_property
    def free(self) -> frozenset[str]:
        """The queues of which a worker has a free slot. Runs are counted: heartbeats lag behind."""
        taking = [worker for worker in self._leased if worker.takes_runs(self.now)]
        running = Run.objects.active().filter(
            scheduler_id__in=[worker.pk for worker in taking], status=RunStatus.RUNNING
        )
        busy = dict(running.order_by().values_list("scheduler_id").annotate(Count("id"))) if taking else {}
        return queues_of(worker for worker in taking if worker.slots > busy.get(worker.pk, 0))

    @cached_property
    def _on_their_way(self) -> list[OnTheirWay]:
        """The runs that workers have not started, by queue (index `run_held`): about as many as workers have slots."""
        published = Q(dispatched_at__isnull=False)
        unsent = ~published & Q(dispatch_id__lt=first_dispatch_id(self.now - COUNTS_AS_LOST_AFTER))
        # Sent for the second time, a run is not on time either.
        untaken = ~unsent & (Q(dispatched_at__lt=self.now - COUNTS_AS_LOST_AFTER) | Q(dispatches__gt=1))
        runs = Run.objects.active().filter(scheduler_id=DISPATCHED, status=RunStatus.QUEUED).order_by().values("queue")
        found = runs.annotate(
            unsent=Count("id", filter=unsent), first_unsent=Min("dispatch_id", filter=unsent),
            untaken=Count("id", filter=untaken), since=Min(Coalesce("available_at", "queued_at"), filter=untaken),
            messages=Coalesce(Sum("dispatches", filter=untaken), 0) - Count("id", filter=untaken & ~published),
        )  # fmt: skip
        return [OnTheirWay(queue or "", *values) for queue, *values in found.values_list(*OnTheirWay._fields)]


def _waiting_queues() -> set[str]:
    waiting = Run.objects.waiting().filter(executor=Executor.CELERY, queue__isnull=False)
    return {str(queue) for queue in waiting.values_list("queue", flat=True)[:MAX_WAITING]}
