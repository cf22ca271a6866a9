"""/scheduler: the schedulers, their backlog, and the pause of all jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from ... import services
from ...core.json import unstorable
from ...models import Control, Scheduler, Worker
from ...selectors import backlog
from ...selectors.workers import Fleet, has_broker
from ..parsers import missed, optional_body_of
from ..representations import utc
from .base import SchedulerView

MAX_REASON = 500
"""The most characters of a reason."""


class SchedulersView(SchedulerView):
    """The schedulers and their backlog."""

    needs = {"get": ("view_scheduler",)}

    def get(self, request: Request) -> Response:
        """Show whether everything is paused, the schedulers that have not signed off, and their backlog."""
        running = Scheduler.objects.filter(stopped_at__isnull=True)
        schedulers = [_scheduler(scheduler, self.now) for scheduler in running]
        fleet = Fleet(self.now)
        return Response({**_control(), "schedulers": schedulers, "backlog": _backlog(fleet), **_workers(fleet)})


class PauseView(SchedulerView):
    """The pause of all claiming."""

    needs = {"post": ("pause_all",)}

    def post(self, request: Request) -> Response:
        """Stop all schedulers from starting runs, until they are resumed."""
        reason = optional_body_of(request, {"reason": _reason}).get("reason", "")
        services.pause_all(now=self.now, reason=reason)
        return Response({"status": "paused"})


class ResumeView(SchedulerView):
    """The end of the pause."""

    needs = {"post": ("pause_all",)}

    def post(self, request: Request) -> Response:
        """Let the schedulers claim again, with the fire times of the pause that the body chooses."""
        chosen = optional_body_of(request, {"missed": missed}).get("missed")
        _, left = services.resume_all(now=self.now, missed=chosen)
        return Response({"status": "resumed", **({"message": left} if left else {})})


def _control() -> dict[str, Any]:
    control = Control.objects.first() or Control()
    at = utc(control.paused_at)
    return {"paused": control.paused, "paused_at": at, "actor": control.actor, "reason": control.reason}


def _scheduler(scheduler: Scheduler, now: datetime) -> dict[str, Any]:
    return {
        "id": scheduler.id,
        "hostname": scheduler.hostname,
        "pid": scheduler.pid,
        "version": scheduler.version,
        "zone_data": scheduler.zone_data,
        "broker": scheduler.broker,
        "started_at": utc(scheduler.started_at),
        "heartbeat_at": utc(scheduler.heartbeat_at),
        "alive": scheduler.is_alive(now),
        "threads": scheduler.threads,
        "processes": scheduler.processes,
        "queued": scheduler.queued_runs,
        "running": scheduler.running_runs,
        "drained_at": utc(scheduler.drained_at),
        "clock_skew": scheduler.clock_skew,
        "memory": scheduler.memory,
    }


def _workers(fleet: Fleet) -> dict[str, Any]:
    """Return the workers and the queues without a worker; empty if no runs are sent to workers."""
    if not has_broker():
        return {}
    return {
        "workers": [_worker(worker, fleet.now) for worker in fleet.running],
        "queues_without_worker": fleet.unserved,
    }


def _worker(worker: Worker, now: datetime) -> dict[str, Any]:
    return {
        "id": worker.id,
        "name": worker.name,
        "hostname": worker.hostname,
        "pid": worker.pid,
        "version": worker.version,
        "broker": worker.broker,
        "started_at": utc(worker.started_at),
        "heartbeat_at": utc(worker.heartbeat_at),
        "alive": worker.is_alive(now),
        "draining": worker.is_draining(now),
        "queues": worker.queues,
        "slots": worker.slots,
        "running": worker.running_runs,
    }


def _backlog(fleet: Fleet) -> dict[str, Any]:
    due, waiting = backlog.due_jobs(fleet.now), backlog.waiting_runs(fleet.now, fleet)
    return {
        "due_jobs": due.number,
        "oldest_due_seconds": due.oldest,
        "waiting_runs": waiting.number,
        "oldest_waiting_seconds": waiting.oldest,
    }


def _reason(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_REASON or unstorable(value):
        raise ValueError(f"must be a text of at most {MAX_REASON} characters, without NUL")
    return value
