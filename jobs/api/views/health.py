"""Addresses for monitoring: /api/health for web, database and schedulers, and /metrics for figures."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import DatabaseError, OperationalError
from django.db.models import Count, Max
from django.http import HttpResponse
from rest_framework.exceptions import APIException, NotFound
from rest_framework.exceptions import PermissionDenied as Forbidden
from rest_framework.request import Request
from rest_framework.response import Response

from ...db.errors import lacks_tables
from ...models import Control, Job, Scheduler
from ...selectors import metrics
from ...selectors.backlog import MAX_OVERDUE, due_jobs, late_queues, stuck_runs
from ...selectors.obstacles import problems
from ...selectors.workers import Fleet, has_broker
from ..access import Access, access_of
from ..errors import RETRY_AFTER, envelope
from .base import ApiView


class ProbeView(ApiView):
    """A view for probes: open to everybody, with any header Host and any scheme (see `ProbeMiddleware`)."""

    permission_classes = ()

    def perform_authentication(self, request: Request) -> None:
        """Neither ask for credentials nor refuse wrong ones."""


class LiveView(ProbeView):
    """Whether the web process is alive. Nothing else counts: an outage of the database must not restart it."""

    def get(self, request: Request) -> Response:
        """Answer "alive"."""
        return Response({"status": "alive"})


class HealthView(ProbeView):
    """Whether the web process and the database answer."""

    def get(self, request: Request) -> Response:
        """Answer "running" if the table of jobs can be read."""
        try:
            Job.objects.exists()
        except DatabaseError as error:
            if lacks_tables(error):
                raise
            raise OperationalError(str(error)) from error
        return Response({"status": "running"})


class ReadyView(ProbeView):
    """Whether jobs run: a scheduler is alive, and nothing waits too long."""

    def get(self, request: Request) -> Response:
        """Answer 200, or 503 while jobs do not run; with figures for people who may see the schedulers."""
        fleet = Fleet(self.now)
        figures = _figures(self.now, fleet)
        problem = _problem(figures, fleet)
        shown = figures if _may_see_figures(request) else {}
        if problem:
            return Response(envelope(503, problem, **shown), status=503, headers={"Retry-After": str(RETRY_AFTER)})
        return Response({"status": "ready", **shown})


class MetricsView(ApiView):
    """The figures in Prometheus's text format, for people who may see schedulers, or for all if the API is open."""

    needs = {"get": ("view_scheduler",)}

    def get(self, request: Request) -> HttpResponse:
        """Answer with all series. 404 without prometheus-client; 403 for a token with tags."""
        if access_of(request).tags is not None:
            raise Forbidden("A token that is limited to tags cannot read the figures of all jobs.")
        try:
            text = metrics.exposition(self.now)
        except ImportError as error:
            raise NotFound("There are no metrics: prometheus-client is not installed.") from error
        return HttpResponse(text, content_type=metrics.CONTENT_TYPE)


def _may_see_figures(request: Request) -> bool:
    try:
        if not isinstance(request.auth, Access):
            return False
        request.auth.require("view_scheduler")
    except (APIException, PermissionDenied, SuspiciousOperation):
        return False
    return True


def _figures(now: datetime, fleet: Fleet) -> dict[str, Any]:
    beat = Scheduler.objects.alive(now).aggregate(alive=Count("id"), at=Max("heartbeat_at"))
    due, stuck = due_jobs(now), stuck_runs(now, fleet)
    return {
        **_workers(fleet),
        "schedulers": beat["alive"],
        "heartbeat_age": _seconds(now, beat["at"]),
        "overdue_jobs": due.overdue,
        "oldest_overdue": due.oldest,
        "stuck_runs": stuck.number,
        "oldest_stuck": stuck.oldest,
    }


def _workers(fleet: Fleet) -> dict[str, Any]:
    return {"workers": len(fleet.alive), "queues_without_worker": fleet.unserved} if has_broker() else {}


def _problem(figures: dict[str, Any], fleet: Fleet) -> str:
    if not figures["schedulers"]:
        return "No scheduler is alive, so no job runs; start one with 'manage.py runscheduler'."
    if (figures["overdue_jobs"] or figures["stuck_runs"]) and Control.objects.filter(paused=True).exists():
        return "Everything is paused, so no job runs."
    limit = f"{MAX_OVERDUE.total_seconds():.0f} s"
    if (figures["overdue_jobs"] or figures["stuck_runs"]) and (problem := _problem_of_queues(fleet)):
        return problem
    if figures["overdue_jobs"]:
        return f"Jobs are overdue by more than {limit}: the schedulers do not keep up."
    if figures["stuck_runs"]:
        return f"Runs that could start have waited for more than {limit}: no scheduler takes them."
    return ""


def _problem_of_queues(fleet: Fleet) -> str:
    """Return what is wrong with the queues of jobs that are overdue, and of runs that are stuck."""
    unserved = late_queues(fleet.now, fleet).intersection(fleet.unserved) if fleet.unserved else set()
    found = problems(fleet, "{:%Y-%m-%d %H:%M:%S} UTC".format, unserved)
    return " ".join(problem.for_everybody for problem in found)


def _seconds(now: datetime, since: datetime | None) -> float | None:
    return None if since is None else round((now - since).total_seconds(), 3)
