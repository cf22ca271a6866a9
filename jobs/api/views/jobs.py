"""/scheduler/jobs: list, show, add, change, remove, pause, resume, skip and run jobs."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from functools import partial
from typing import Any

from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from ... import services
from ...core.exceptions import InvalidArguments, InvalidRequest, JobExists, JobNotFound
from ...core.runs import JobState, MissedChoice
from ...core.times import parse_instant
from ...core.traces import traceparent_of
from ...definitions.validation import READ_ONLY_FIELDS, clean_job
from ...models import Job
from ...models.job import JOB_ID
from ...selectors.job_list import Wanted
from ...selectors.states import zone_of
from .. import query
from ..access import access_of
from ..bulk import ACTIONS, change_each, check_bulk
from ..cache import Shown, show_job
from ..conditional import check_version, job_tag, require_no_match
from ..full_list import list_in_full
from ..idempotency import answer_once
from ..listing import list_jobs
from ..paging import link_header
from ..parsers import body_of, missed, optional_body_of
from ..rendering import to_json
from ..representations import JOB_FIELDS, job_detail, next_times, utc
from .base import SchedulerView

MAX_JOBS = 1000
"""The most jobs that one page may have."""
MAX_OFFSET = 10**9
"""The farthest offset."""

LIST_PARAMETERS: dict[str, query.Reader] = {
    "state": query.one_of(JobState),
    "q": query.text,
    "tag": query.text,
    "owner": query.text,
    "full": query.flag,
    "fields": query.names_of(JOB_FIELDS),
    "limit": query.whole(1, MAX_JOBS),
    "offset": query.whole(0, MAX_OFFSET),
}
"""The parameters of the list."""
UPDATE_PARAMETERS: dict[str | None, dict[str, query.Reader]] = {"PUT": {"upsert": query.flag}, "PATCH": {}}
"""The parameters of a change, by method."""


class JobViewSet(SchedulerView, ViewSet):
    """The jobs."""

    adds = False
    """Whether the request adds a new job."""
    needs = {
        "list": ("view_job",), "create": ("add_job",), "retrieve": ("view_job",), "update": ("change_job",),
        "destroy": ("delete_job",), "pause": ("pause_job",), "resume": ("pause_job",), "skip": ("pause_job",),
        "run": ("run_job",), "bulk": tuple(action.permission for action in ACTIONS.values()),
    }  # fmt: skip

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raise `JobNotFound` for a job that the request's token does not reach."""
        super().initial(request, *args, **kwargs)
        if self.action == "update":
            self.adds = bool(query.query_of(request, UPDATE_PARAMETERS[request.method]).get("upsert"))
        if "job_id" in kwargs and self.action != "bulk" and not self.adds:
            access_of(request).require_job(kwargs["job_id"])

    def list(self, request: Request) -> HttpResponseBase:
        """List the jobs, or the ones that the query selects."""
        asked = query.query_of(request, LIST_PARAMETERS)
        fields, full = asked.pop("fields"), asked.pop("full")
        given = {name: value for name, value in asked.items() if value is not None}
        wanted = Wanted(**given, reached=access_of(request).tags)
        response: HttpResponseBase
        if full or fields:
            hides = not access_of(request).allows("change_job")
            response, total = list_in_full(wanted, fields or JOB_FIELDS, now=self.now, hides=hides)
        else:
            page = list_jobs(wanted, now=self.now)
            response = HttpResponse(page.body, content_type="application/json", headers={"ETag": page.tag})
            total = page.total
        if wanted.limit is not None or wanted.offset:
            response["X-Total-Count"] = str(total)
        if wanted.limit is not None:
            response["Link"] = link_header(request, wanted.limit, wanted.offset, total)
        return response

    def create(self, request: Request) -> Response:
        """Add a job."""
        body = body_of(request)
        access_of(request).require_tags(body)
        return answer_once(request, body, self.now, lambda: _done(services.add_job(body, now=self.now).id, "added"))

    def retrieve(self, request: Request, job_id: str) -> HttpResponse:
        """Show a job, or the fields of it that the query names."""
        fields = query.query_of(request, {"fields": query.names_of(JOB_FIELDS)})["fields"]
        hides = not access_of(request).allows("change_job")
        if fields is None:
            body, tag = show_job(job_id, self.now, partial(_shown, hides=hides), hides=hides)
        else:
            body, tag = _shown(services.get_job(job_id), self.now, fields, hides=hides)
        return HttpResponse(body, content_type="application/json", headers={"ETag": tag})

    def update(self, request: Request, job_id: str) -> Response:
        """Change the fields of a job that the body names; a PUT with `upsert` adds a job that does not exist."""
        job = None if self.adds else services.get_job(job_id)
        body = _writable(request, body_of(request))
        return self._upsert(request, job_id, body) if job is None else self._change(request, job, body)

    def _upsert(self, request: Request, job_id: str, body: dict[str, Any], tries: int = 3) -> Response:
        job = Job.objects.filter(pk=job_id).first() if re.fullmatch(JOB_ID, job_id) else None
        try:
            return self._put_new(request, job_id, body) if job is None else self._change(request, job, body)
        except (JobExists, JobNotFound):  # another request has just added or removed it
            if not tries:
                raise
            return self._upsert(request, job_id, body, tries - 1)

    def _put_new(self, request: Request, job_id: str, body: dict[str, Any]) -> Response:
        access_of(request).require("add_job")
        access_of(request).require_tags(body)
        if body.setdefault("id", job_id) != job_id:
            raise InvalidRequest(fields={"id": f"must be the one in the address, {job_id[:64]!r}; leave it out"})
        if "If-Match" in request.headers:
            clean_job(body, now=self.now)
            require_no_match(request, job_id)
        services.add_job(body, now=self.now)
        return Response(_done(job_id, "added"))

    def _change(self, request: Request, job: Job, body: dict[str, Any]) -> Response:
        access = access_of(request)
        access.require_job(job.pk)
        if body.get("paused", job.paused) is not job.paused:
            access.require("pause_job")
        if "tags" in body:
            access.require_tags(body)
        services.update_job(job.pk, body, now=self.now, check=partial(check_version, request))
        return Response(_done(job.pk, "updated"))

    def destroy(self, request: Request, job_id: str) -> Response:
        """Remove a job; its runs stay."""
        services.remove_job(job_id, now=self.now, check=partial(check_version, request))
        return Response(_done(job_id, "removed"))

    def pause(self, request: Request, job_id: str) -> Response:
        """Stop a job's trigger, for good or until the instant in the body."""
        until = optional_body_of(request, {"until": lambda value: _instant(value, job_id)}).get("until")
        services.pause_job(job_id, now=self.now, until=until)
        return Response(_done(job_id, "paused", **({"paused_until": utc(until)} if until else {})))

    def resume(self, request: Request, job_id: str) -> Response:
        """Restart a job's trigger, and run the fire times of the pause that the body chooses."""
        chosen = optional_body_of(request, {"missed": missed}).get("missed", MissedChoice.NONE)
        if chosen is not MissedChoice.NONE:
            access_of(request).require("run_job")
        _, backfill = services.resume_with(job_id, missed=chosen, now=self.now)
        started = {} if backfill is None else {"backfill_id": backfill.pk, "runs": backfill.fire_times}
        return Response(_done(job_id, "resumed", **started))

    def skip(self, request: Request, job_id: str) -> Response:
        """Skip the next fire time of a job."""
        optional_body_of(request)
        job = services.skip_next(job_id, now=self.now)
        return Response(_done(job_id, "skipped", **next_times(job)))

    def run(self, request: Request, job_id: str) -> Response:
        """Queue a run of a job, to start at once, with other arguments if the body has any."""
        services.get_job(job_id)
        given = optional_body_of(request, {"args": _given, "kwargs": _given}, error=InvalidArguments)

        def queue() -> dict[str, Any]:
            traceparent = traceparent_of(request.headers.get("traceparent"))
            run = services.run_job(job_id, now=self.now, traceparent=traceparent, **given)
            return _done(job_id, "queued", run_id=run.pk)

        return answer_once(request, given, self.now, queue)

    def bulk(self, request: Request, job_id: str) -> Response:
        """Do one action to many jobs. `job_id` is "bulk": the other methods at this address act on a job of that id."""
        body, access = body_of(request), access_of(request)
        check_bulk(body)
        access.require(ACTIONS[body["action"]].permission)
        return answer_once(request, body, self.now, lambda: {"results": change_each(body, access, now=self.now)})


class JobFallbackView(SchedulerView):
    """Any other address below a job: of an unknown job, or an unknown address of an existing one."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raise `Http404` or `JobNotFound`, for every method."""
        super().initial(request, *args, **kwargs)
        job_id = kwargs["job_id"].partition("/")[0]
        access_of(request).require("view_job")
        services.get_job(job_id)
        access_of(request).require_job(job_id)
        raise Http404


def _shown(job: Job, now: datetime, fields: Collection[str] = JOB_FIELDS, *, hides: bool) -> Shown:
    body = to_json(job_detail(job, now, fields, hides=hides))
    return body, job_tag(job.version, body)


def _done(job_id: str, status: str, **more: Any) -> dict[str, Any]:
    return {"id": job_id, "status": status, **more}


def _instant(value: object, job_id: str) -> datetime | None:
    """Read an instant; a time without an offset is one of the job's zone."""
    return None if value is None else parse_instant(value, zone_of(services.get_job(job_id)))


def _given(value: Any) -> Any:
    if value is None:
        raise ValueError("must not be null; leave it out")
    return value


def _writable(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that a PUT or a PATCH changes. A PUT may repeat the read-only fields of a GET."""
    if request.method != "PUT":
        return body
    return {name: value for name, value in body.items() if name not in READ_ONLY_FIELDS}
