"""The Celery workers, and the queues that none of them serves. Without a broker there are no queries."""

from __future__ import annotations

from datetime import datetime

from ..conf import conf
from ..models import Job, Worker
from ..models.job import DEFAULT_QUEUE


def has_broker() -> bool:
    """Tell whether runs may be sent to workers."""
    return bool(conf.CELERY_BROKER_URL)


def running_workers() -> list[Worker]:
    """Return the workers that have not signed off: they are alive, or died."""
    return list(Worker.objects.filter(stopped_at__isnull=True)) if has_broker() else []


def known_queues(workers: list[Worker]) -> list[str]:
    """Return the queues of `workers`, and the queues of jobs."""
    served = {str(queue) for worker in workers for queue in worker.queues}
    return sorted(served | Job.objects.queues_to_come() | {DEFAULT_QUEUE})


def served_queues(now: datetime) -> frozenset[str]:
    """Return the queues that a living worker serves at `now`."""
    return frozenset(str(queue) for worker in running_workers() if worker.is_alive(now) for queue in worker.queues)


def unserved_queues(workers: list[Worker], now: datetime) -> list[str]:
    """Return the queues of jobs to come that none of `workers` serves at `now`: these jobs stay due."""
    if not has_broker():
        return []
    alive = [worker for worker in workers if worker.is_alive(now)]
    return sorted(Job.objects.queues_to_come() - {str(queue) for worker in alive for queue in worker.queues})
