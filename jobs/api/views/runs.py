"""/scheduler/runs: the record of runs, and of fire times that did not run, with the reason."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import BigIntegerField, IntegerField, Value
from django.db.models.functions import Cast, Coalesce, Greatest, Substr
from django.http import Http404
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from ... import services
from ...core.exceptions import InvalidRequest, RunNotFound
from ...core.output import HEAD
from ...core.runs import Executor, RunStatus
from ...core.traces import traceparent_of
from ...models import Run
from ...models.run import RunQuerySet
from ...selectors.run_pages import all_rows, page_of, read_cursor
from ...selectors.waiting import Waiting
from .. import query, representations
from ..access import access_of
from ..exports import EXPORTS, exported
from ..idempotency import answer_once
from ..paging import cursor_link
from ..parsers import optional_body_of
from ..representations import RUN_COLUMNS, RUN_FIELDS, picked
from .base import SchedulerView

DEFAULT_LIMIT = 50
"""Runs on a page by default."""
MAX_LIMIT = 500
"""The most runs that one page may have."""
PART = 1000
"""Runs of an export that are read at a time. No more are in memory."""
MAX_CHARACTER = 2**31 - 2  # substr() of PostgreSQL takes 2**31 - 1, and counts from 1
"""The largest offset in an output."""
RUN_ID = re.compile(r"[1-9][0-9]{0,17}")
"""The form of a run's id."""

PAGE_PARAMETERS: dict[str, query.Reader] = {
    "limit": query.whole(1, MAX_LIMIT),
    "cursor": read_cursor,
    "status": query.one_of(RunStatus),
    "fields": query.names_of(RUN_FIELDS),
    "format": query.one_of(("json", *EXPORTS)),
}
"""The query parameters of each list of runs."""
ONE_RUN = (*RUN_FIELDS, "traceback", "traceparent")
"""The fields of a single run."""


class RunViewSet(SchedulerView, ViewSet):
    """The runs."""

    needs = {
        "list": ("view_run",), "of_job": ("view_run",), "retrieve": ("view_run",), "log": ("view_run",),
        "cancel": ("cancel_run",), "retry": ("retry_run",),
    }  # fmt: skip

    def list(self, request: Request) -> HttpResponseBase:
        """List the runs of all jobs, or of the one that the query names, the newest first."""
        return self._page(request, access_of(request).runs(), {"job": query.text})

    def of_job(self, request: Request, job_id: str) -> HttpResponseBase:
        """List the runs of a job, or of one that was removed, the newest first."""
        access = access_of(request)
        access.require_job(job_id)
        runs = access.runs().filter(job_id=_known(job_id))
        return self._page(request, runs, {})

    def retrieve(self, request: Request, run_id: str) -> Response:
        """Show a run without its output, or the fields of it that the query names."""
        fields = query.query_of(request, {"fields": query.names_of(ONE_RUN)})["fields"]
        *row, traceback, traceparent = _one(request, run_id, *RUN_COLUMNS, "traceback", "traceparent")
        shown = {**representations.run(row, Waiting(self.now)), "traceback": traceback, "traceparent": traceparent}
        return Response(picked(shown, fields))

    def log(self, request: Request, run_id: str) -> Response:
        """Show a run's output from a character on. Ask again until it is finished."""
        asked = query.query_of(request, {"offset": query.whole(0, MAX_CHARACTER)})
        offset = asked["offset"] or 0
        text = Substr("output", _character(offset))
        found, status, output, omitted = _one(request, run_id, "id", "status", text, "output_omitted")
        return Response(representations.log(found, status, offset, output, omitted or 0))

    def cancel(self, request: Request, run_id: str) -> Response:
        """Cancel a run: at once if it has not started, otherwise as soon as its executor can end it."""
        optional_body_of(request)
        run = services.cancel_run(_number(request, run_id), now=self.now)
        ended = run.status == RunStatus.CANCELLED
        return Response({"id": run.pk, "status": "cancelled" if ended else "cancelling", "how": _how(run)})

    def retry(self, request: Request, run_id: str) -> Response:
        """Queue another attempt of a run that has ended."""
        body, number = optional_body_of(request), _number(request, run_id)

        def queue() -> dict[str, Any]:
            traceparent = traceparent_of(request.headers.get("traceparent"))
            run = services.retry_run(number, now=self.now, traceparent=traceparent)
            return {"id": number, "status": "queued", "run_id": run.pk, "attempt": run.attempt}

        return answer_once(request, body, self.now, queue)

    def _page(self, request: Request, runs: RunQuerySet, more: dict[str, query.Reader]) -> HttpResponseBase:
        zone = ZoneInfo(settings.TIME_ZONE)
        period = {"since": query.instant(zone), "until": query.instant(zone, end=True)}
        asked = query.query_of(request, {**PAGE_PARAMETERS, **period, **more})
        if asked["format"] in EXPORTS:
            return _export(_filtered(runs, asked), asked, self.now)
        page = page_of(_filtered(runs, asked), RUN_COLUMNS, asked["cursor"], asked["limit"] or DEFAULT_LIMIT)
        waiting = Waiting(self.now)
        return Response(
            {
                "next": cursor_link(request, page.older),
                "previous": cursor_link(request, page.newer),
                "results": [picked(representations.run(row, waiting), asked["fields"]) for row in page.rows],
            }
        )


class RunFallbackView(SchedulerView):
    """Any other address below a run: of an unknown run, or an unknown address below a valid number."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raise `Http404` or `RunNotFound`, for every method."""
        super().initial(request, *args, **kwargs)
        access_of(request).require("view_run")
        run_id = kwargs["run_id"].partition("/")[0]
        raise Http404 if RUN_ID.fullmatch(run_id) else _not_found(kwargs["run_id"])


def _export(runs: RunQuerySet, asked: dict[str, Any], now: datetime) -> HttpResponseBase:
    """Return all `runs` as a file, read in parts like pages."""
    if wrong := {name: "is for pages; an export has all runs" for name in ("limit", "cursor") if asked[name]}:
        raise InvalidRequest(fields=wrong)
    fields, waiting = asked["fields"] or RUN_FIELDS, Waiting(now)
    parts = ([picked(representations.run(row, waiting), fields) for row in rows]
             for rows in all_rows(runs, RUN_COLUMNS, PART))  # fmt: skip
    return exported("runs", asked["format"], parts, fields)


def _filtered(runs: RunQuerySet, asked: dict[str, Any]) -> RunQuerySet:
    if asked["status"] is not None:
        runs = runs.of_status(asked["status"])
    conditions = {
        "job_id": asked.get("job"),
        "scheduled_time__gte": asked["since"],
        "scheduled_time__lt": asked["until"],
    }
    return runs.filter(**{name: value for name, value in conditions.items() if value is not None})


def _known(job_id: str) -> str:
    """Return `job_id`, if there is or was such a job. Raises `JobNotFound`."""
    if "\x00" in job_id or not Run.objects.filter(job_id=job_id).exists():
        services.get_job(job_id)
    return job_id


def _character(offset: int) -> int | Cast:
    """Return `core.output.position` as SQL, counted from 1."""
    if offset <= HEAD:
        return offset + 1
    behind_the_gap = Value(offset, BigIntegerField()) - Coalesce("output_omitted", Value(0))
    return Cast(Greatest(Value(HEAD), behind_the_gap) + Value(1), IntegerField())


def _how(run: Run) -> str:
    """Return in words the way in which a run is cancelled."""
    if run.status == RunStatus.CANCELLED:
        return "it had not started, and will not"
    if run.executor != Executor.THREAD:
        return "its process is stopped: SIGTERM, and SIGKILL for what is left after 5 s"
    return "its function is asked to return: a thread cannot be stopped, RunContext.cancelled is true from now on"


def _number(request: Request, run_id: str) -> int:
    """Return the id of a run that the request reaches, as a number. Raises `RunNotFound`."""
    access = access_of(request)
    if not RUN_ID.fullmatch(run_id):
        raise _not_found(run_id)
    if access.tags is not None and not access.runs().filter(pk=int(run_id)).exists():
        raise _not_found(run_id)
    return int(run_id)


def _one(request: Request, run_id: str, *fields: Any) -> tuple[Any, ...]:
    """Return the values of `fields` of a run that the request reaches. Raises `RunNotFound`."""
    rows = access_of(request).runs().filter(pk=int(run_id)).values_list(*fields) if RUN_ID.fullmatch(run_id) else ()
    for row in rows:
        return tuple(row)
    raise _not_found(run_id)


def _not_found(run_id: str) -> RunNotFound:
    return RunNotFound(f"there is no run {run_id[:64]!r}")
