"""/api/health: whether the web answers, and whether jobs run."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, OperationalError
from django.db.models import Count, Max
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from ...models import Job, Scheduler
from ...selectors.backlog import MAX_OVERDUE, due_jobs
from ..access import Access
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
    """Whether jobs run: a scheduler is alive, and no job is overdue. Figures are for those who may see schedulers."""

    permission_classes = ()

    def perform_authentication(self, request: Request) -> None:
        """Leave it to `get`: whoever brings wrong credentials is told the status like anybody else."""

    def get(self, request: Request) -> Response:
        """Answer 200, or 503 while jobs do not run; with the figures for those who may see the schedulers."""
        figures = _figures(self.now)
        problem = _problem(figures)
        shown = figures if _may_see_figures(request) else {}
        if problem:
            return Response(envelope(503, problem, **shown), status=503, headers={"Retry-After": str(RETRY_AFTER)})
        return Response({"status": "ready", **shown})


def _may_see_figures(request: Request) -> bool:
    try:
        if not isinstance(request.auth, Access):
            return False
        request.auth.require("view_scheduler")
    except (APIException, PermissionDenied):
        return False
    return True


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
        return f"Jobs are overdue by more than {MAX_OVERDUE.total_seconds():.0f} s: the schedulers do not keep up."
    return ""


def _seconds(now: datetime, since: datetime | None) -> float | None:
    return None if since is None else round((now - since).total_seconds(), 3)
