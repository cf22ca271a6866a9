"""/api/health: whether the web answers, and whether jobs run."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import DatabaseError, OperationalError
from django.db.models import Count, Max
from rest_framework.request import Request
from rest_framework.response import Response

from ...models import Job, Scheduler
from ...selectors.backlog import MAX_OVERDUE, due_jobs
from ..errors import RETRY_AFTER, envelope
from .base import ApiView


class HealthView(ApiView):
    """Whether the web process and the database answer; no token is asked for."""

    authentication_classes = ()
    permission_classes = ()

    def get(self, request: Request) -> Response:
        """Answer "running", once the jobs' table was looked at."""
        try:
            Job.objects.exists()
        except DatabaseError as error:
            raise OperationalError from error
        return Response({"status": "running"})


class ReadyView(ApiView):
    """Whether jobs run: a scheduler is alive, and none is long overdue."""

    def get(self, request: Request) -> Response:
        """Show the figures, with 503 where jobs do not run."""
        figures = _figures(self.now)
        problem = _problem(figures)
        if problem:
            body = envelope(503, problem, **figures)
            return Response(body, status=503, headers={"Retry-After": str(RETRY_AFTER)})
        return Response({"status": "ready", **figures})


def _figures(now: datetime) -> dict[str, Any]:
    beat = Scheduler.objects.alive(now).aggregate(alive=Count("id"), at=Max("heartbeat_at"))
    due = due_jobs(now)
    return {
        "schedulers": beat["alive"],
        "heartbeat_age": _seconds(now, beat["at"]),
        "overdue_jobs": due.overdue,
        "oldest_overdue": due.oldest,
    }


def _problem(figures: dict[str, Any]) -> str:
    if not figures["schedulers"]:
        return "No scheduler is alive, so no job runs; start one with 'manage.py runscheduler'."
    if figures["overdue_jobs"]:
        limit = MAX_OVERDUE.total_seconds()
        return f"{figures['overdue_jobs']} jobs are overdue by more than {limit:.0f} s: the schedulers do not keep up."
    return ""


def _seconds(now: datetime, since: datetime | None) -> float | None:
    return None if since is None else round((now - since).total_seconds(), 3)
