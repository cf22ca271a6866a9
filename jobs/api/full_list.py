"""The list of jobs with whole definitions, or with some of their fields, for exports of all jobs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from ..models import Job
from ..models.job import JobQuerySet
from ..selectors.job_list import Wanted, wanted_jobs
from ..selectors.warnings import surroundings
from ..selectors.workers import Fleet
from .rendering import to_json
from .representations import job_detail

PART = 200
"""Jobs that are read at a time. No more are in memory."""
JSON = "application/json"
"""The type of the response."""


def list_in_full(
    wanted: Wanted, fields: Collection[str], *, now: datetime, hides: bool
) -> tuple[HttpResponseBase, int]:
    """Return the response with the `fields` of the `wanted` jobs, by id, and their number on all pages.

    With `hides`, texts among the arguments that look secret are masked.

    A page with a limit is built as a whole, so that it has an entity tag. A list without one is streamed, because it
    may be larger than the memory.
    """
    jobs = wanted_jobs(wanted, now)
    total = jobs.count()
    served = Fleet(now).served if "warnings" in fields else ()

    def show(part: Sequence[Job]) -> bytes:
        around = surroundings(part, served) if "warnings" in fields else None
        return b",".join(to_json(job_detail(job, now, fields, hides=hides, around=around)) for job in part)

    if wanted.limit is None:
        left = max(total - wanted.offset, 0)
        return StreamingHttpResponse(_array(jobs, wanted.offset, left, show), content_type=JSON), total
    body = b"".join(_array(jobs, wanted.offset, wanted.limit, show))
    return HttpResponse(body, content_type=JSON), total


def _array(jobs: JobQuerySet, offset: int, left: int, show: Callable[[Sequence[Job]], bytes]) -> Iterator[bytes]:
    yield b"["
    after, comma = "", b""
    while left > 0:
        part = list(jobs.filter(id__gt=after)[offset : offset + min(PART, left)])
        if not part:
            break
        yield comma + show(part)
        after, offset, comma = part[-1].pk, 0, b","
        left -= len(part)
    yield b"]"
