"""The versions of a job in the admin: the changes of each, and the way back to one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.safestring import SafeString

from ... import services
from ...core.audit import Action
from ...core.exceptions import CronzimusError
from ...core.secrets import masked
from ...models import Job, JobVersion
from ...selectors.versions import differences, numbers_of, versions_of
from .. import display
from ..audit.admin import changes_table
from ..base import NUL
from ..lists import Pager
from ..pages import page
from ..request_time import request_now
from ..row_action_views import RowActionAdmin
from ..times import Times

PER_PAGE = 25
"""Versions on a page: a definition may have some hundred kilobytes."""


@dataclass(frozen=True, slots=True)
class Row:
    """A version on the page."""

    version: JobVersion
    what: str
    at: SafeString | str
    changes: SafeString | str
    current: bool


def versions_page(admin: RowActionAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Show the versions of a job, even of a removed one; with `?from=` and `?to=` the differences of two of them.

    With `?before=` they are those before this version.
    """
    admin.require(request, "view")
    job_id = unquote(object_id)
    numbers = [] if NUL in job_id else numbers_of(job_id)
    if not numbers:
        raise Http404
    job = Job.objects.filter(pk=job_id).first()
    hides = not admin.has_change_permission(request)
    first = _first(request.GET.get("before"), numbers)
    chosen = [_chosen(request.GET.get(name), numbers, default) for name, default in zip(
        ("from", "to"), (numbers[min(1, len(numbers) - 1)], numbers[0]), strict=True)]  # fmt: skip
    # The last row shows what has changed since the version before it.
    found = versions_of(job_id, {*numbers[first : first + PER_PAGE + 1], *chosen})
    older, newer = (found[number].definition if number in found else {} for number in sorted(chosen))
    return page(
        admin.admin_site, request, "cronzimus/jobs/versions.html",
        title=f"Versions of {job_id}", opts=admin.opts, job=job, job_id=job_id,
        rows=list(_rows(found, numbers[first : first + PER_PAGE + 1], job, request, hides)), numbers=numbers,
        pager=_pager(request, numbers, first), before=request.GET.get("before") if first else "",
        older=min(chosen), newer=max(chosen), difference=_shown(older, newer, hides),
        may_revert=admin.may(request, "change") and (job is not None or admin.may(request, "add")),
        revert_url=admin.page_url("revert", job_id), versions_url=admin.page_url("versions", job_id),
        job_url=admin.page_url("change", job_id) if job is not None else "",
    )  # fmt: skip


def _first(before: str | None, numbers: list[int]) -> int:
    """Return the place in `numbers` of the first version that is shown."""
    number = _number(before)
    place = 0 if number is None else sum(one >= number for one in numbers)
    return place if place < len(numbers) else 0


def _pager(request: HttpRequest, numbers: list[int], first: int) -> Pager:
    last = min(first + PER_PAGE, len(numbers))
    if len(numbers) <= PER_PAGE:
        return Pager("")
    query = request.GET.copy()

    def url(place: int) -> str:
        query["before"] = str(numbers[place] + 1)
        return f"?{query.urlencode()}"

    return Pager(
        f"{first + 1:,}–{last:,} of {len(numbers):,} versions, newest first",
        url(max(first - PER_PAGE, 0)) if first else "", url(last) if last < len(numbers) else "",
    )  # fmt: skip


def revert(admin: RowActionAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Restore the posted version of a job, if the confirming box is ticked."""
    admin.require(request, "change")
    job_id, number = unquote(object_id), request.POST.get("version", "")
    back = HttpResponseRedirect(admin.page_url("versions", job_id))
    if not number.isascii() or not number.isdigit() or len(number) > 10:
        raise BadRequest
    if "confirmed" not in request.POST:
        admin.message_user(request, "Nothing was changed: tick the box that confirms it.", messages.WARNING)
        return back
    try:
        before_add = partial(admin.require, request, "add")
        job = services.revert_job(job_id, int(number), now=request_now(request), before_add=before_add)
    except CronzimusError as error:
        admin.message_user(request, f"Version {number} cannot be restored: {error}", messages.ERROR)
        return back
    admin.log_change(request, job, f"Reverted to version {number}.")
    admin.message_user(request, f"Job {job_id} has the definition of version {number} again, as version {job.version}.")
    return back


def _rows(
    found: Mapping[int, JobVersion], numbers: list[int], job: Job | None, request: HttpRequest, hides: bool
) -> Iterable[Row]:
    times = Times.of(request)
    versions = [found[number] for number in numbers if number in found]
    for version, older in zip_longest(versions[:PER_PAGE], versions[1:]):
        what = Action(version.action).words if version.action in list(Action) else version.action
        yield Row(
            version=version, at=times.at(version.at),
            what=f"{what} to version {version.reverted_to}" if version.reverted_to else what,
            changes=display.NOTHING if older is None else _shown(older.definition, version.definition, hides),
            current=job is not None and job.version == version.number,
        )  # fmt: skip


def _shown(older: Mapping[str, Any], newer: Mapping[str, Any], hides: bool) -> SafeString | str:
    changes = differences(older, newer)
    if hides:
        changes = {name: tuple(masked({name: value})[name] for value in pair) for name, pair in changes.items()}
    return changes_table(changes, None)


def _chosen(text: str | None, numbers: list[int], default: int) -> int:
    number = _number(text)
    return number if number is not None and number in numbers else default


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 11 else None
