"""/scheduler/jobs/{id}/backfill and /scheduler/backfills: runs for fire times of the past."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Count
from rest_framework.request import Request
from rest_framework.response import Response

from ... import services
from ...core.exceptions import BackfillNotFound, InvalidRequest
from ...core.times import MICROSECOND, parse_instant
from ...core.values import is_whole, unknown_names
from ...models import Backfill, Run
from ...selectors.states import zone_of
from ...services.backfills import SHOWN
from ..access import access_of
from ..idempotency import answer_once
from ..parsers import body_of, optional_body_of
from ..representations import utc
from .base import SchedulerView

FIELDS = ("from", "to", "only", "max_active", "dry_run")
"""The fields of the body that starts a backfill."""
ONLY = {"missing": True, "all": False}
"""The values of `only`, and whether each leaves out fire times that have run."""
MAX_LISTED = 100
"""Backfills of a job that are listed."""


class JobBackfillView(SchedulerView):
    """The backfills of one job."""

    needs = {"get": ("view_run",), "post": ("run_job",)}

    def get(self, request: Request, job_id: str) -> Response:
        """List the newest backfills of a job."""
        access_of(request).require_job(job_id)
        services.get_job(job_id)
        return Response(_shown(Backfill.objects.filter(job_id=job_id)[:MAX_LISTED]))

    def post(self, request: Request, job_id: str) -> Response:
        """Start a backfill, or with `dry_run` show its plan."""
        access_of(request).require_job(job_id)
        job = services.get_job(job_id)
        body = body_of(request)
        given = _read(body, zone_of(job))
        dry_run, max_active = given.pop("dry_run"), given.pop("max_active")
        if dry_run:
            plan = services.plan_backfill(job_id, now=self.now, **given)
            times = [utc(at) for at in plan.fire_times[:SHOWN]]
            return Response({"id": job_id, "status": "dry_run", "runs": len(plan.fire_times),
                             "left_out": plan.left_out, "fire_times": times})  # fmt: skip

        def start() -> dict[str, Any]:
            backfill = services.start_backfill(job_id, max_active=max_active, now=self.now, **given)
            return {"id": job_id, "status": "started", "backfill_id": backfill.pk, "runs": backfill.fire_times}

        return answer_once(request, body, self.now, start)


class BackfillView(SchedulerView):
    """One backfill."""

    needs = {"get": ("view_run",)}

    def get(self, request: Request, backfill_id: str) -> Response:
        """Show the progress of a backfill."""
        (shown,) = _shown([_found(request, backfill_id)])
        return Response(shown)


class BackfillCancelView(SchedulerView):
    """The cancellation of a backfill."""

    needs = {"post": ("cancel_run",)}

    def post(self, request: Request, backfill_id: str) -> Response:
        """Queue no more runs, and cancel the active ones."""
        optional_body_of(request)
        backfill = services.cancel_backfill(_found(request, backfill_id).pk, now=self.now)
        return Response({"backfill_id": backfill.pk, "status": "cancelled"})


def _found(request: Request, text: str) -> Backfill:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
    access, backfill = access_of(request), Backfill.objects.filter(pk=number).first()
    if backfill is None or not access.reaches(backfill.job_id):
        raise BackfillNotFound(f"there is no backfill {text[:20]!r}")
    return backfill


def _read(body: dict[str, Any], zone: Any) -> dict[str, Any]:
    wrong = unknown_names(body, FIELDS)
    read: dict[str, Any] = {}
    for name, field in (("start", "from"), ("end", "to")):
        try:
            read[name] = parse_instant(body.get(field), zone, end=name == "end")
        except ValueError as error:
            wrong[field] = "is missing" if field not in body else str(error)
    only, max_active, dry_run = body.get("only", "missing"), body.get("max_active", 1), body.get("dry_run", False)
    if not isinstance(only, str) or only not in ONLY:
        wrong["only"] = "must be 'missing' or 'all'"
    if not is_whole(max_active, 1, 1000):
        wrong["max_active"] = "must be a whole number from 1 to 1000"
    if not isinstance(dry_run, bool):
        wrong["dry_run"] = "must be true or false"
    if "end" in read and len(body["to"]) == len("2027-01-01"):
        read["end"] -= MICROSECOND  # a bare date ends where the next day begins
    if wrong:
        raise InvalidRequest(fields=wrong)
    return read | {"only_missing": ONLY[only], "max_active": max_active, "dry_run": dry_run}


def _shown(backfills: Iterable[Backfill]) -> list[dict[str, Any]]:
    statuses: dict[int, dict[str, int]] = {backfill.pk: {} for backfill in backfills}
    runs = Run.objects.filter(backfill_id__in=statuses).order_by("backfill_id", "status")
    for backfill_id, status, number in runs.values_list("backfill_id", "status").annotate(Count("id")):
        statuses[backfill_id][status] = number
    return [_one(backfill, statuses[backfill.pk]) for backfill in backfills]


def _one(backfill: Backfill, statuses: dict[str, int]) -> dict[str, Any]:
    return {
        "id": backfill.pk, "job_id": backfill.job_id, "state": backfill.state, "from": utc(backfill.start),
        "to": utc(backfill.end), "only": "missing" if backfill.only_missing else "all",
        "max_active": backfill.max_active, "runs": backfill.fire_times, "queued": backfill.queued,
        "statuses": statuses, "actor": backfill.actor, "created_at": utc(backfill.created_at),
        "ended_at": utc(backfill.ended_at), "queued_until": utc(backfill.queued_until),
    }  # fmt: skip
