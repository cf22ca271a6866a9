"""One action on many jobs in one request, with a result for each job. One failure does not affect the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from rest_framework.exceptions import PermissionDenied as ApiPermissionDenied

from .. import services
from ..core.exceptions import CronzimusError, InvalidRequest
from ..core.json import unstorable
from ..core.runs import JobState
from ..core.values import unknown_names
from ..definitions.validation import MAX_TAGS, tag_problem
from ..selectors.job_list import Wanted, wanted_jobs
from .access import Access
from .errors import envelope

MAX_ITEMS = 1000
"""Jobs that one request may change."""
FILTERS = ("state", "q", "tag", "owner")
"""The keys of `filter`: the filters of the list."""

Item = dict[str, Any]
"""The result for one job: its status, or its error."""


def _pause(job_id: str, body: Mapping[str, Any], access: Access, now: datetime) -> Item:
    services.pause_job(job_id, now=now)
    return {"status": "paused"}


def _resume(job_id: str, body: Mapping[str, Any], access: Access, now: datetime) -> Item:
    services.resume_job(job_id, now=now)
    return {"status": "resumed"}


def _run(job_id: str, body: Mapping[str, Any], access: Access, now: datetime) -> Item:
    run = services.run_job(job_id, now=now)
    return {"status": "queued", "run_id": run.pk}


def _delete(job_id: str, body: Mapping[str, Any], access: Access, now: datetime) -> Item:
    services.remove_job(job_id, now=now)
    return {"status": "removed"}


def _tag(job_id: str, body: Mapping[str, Any], access: Access, now: datetime) -> Item:
    job = services.tag_job(job_id, add=body.get("add", ()), remove=body.get("remove", ()), now=now)
    access.require_tags({"tags": job.tags})
    return {"status": "updated"}


@dataclass(frozen=True, slots=True)
class BulkAction:
    """An action on many jobs: the permission that it needs, and the function that does it to one job."""

    permission: str
    change: Callable[[str, Mapping[str, Any], Access, datetime], Item]
    fields: tuple[str, ...] = ()
    """Further fields of the body."""


ACTIONS = {
    "pause": BulkAction("pause_job", _pause),
    "resume": BulkAction("pause_job", _resume),
    "run": BulkAction("run_job", _run),
    "delete": BulkAction("delete_job", _delete),
    "tag": BulkAction("change_job", _tag, ("add", "remove")),
}
"""The actions by name."""


def check_bulk(body: Mapping[str, Any]) -> None:
    """Check the body of a bulk request. Raises `InvalidRequest` that names every bad field."""
    name = body.get("action")
    action = ACTIONS.get(name) if isinstance(name, str) else None
    known = ("action", "ids", "filter", *(action.fields if action else ("add", "remove")))
    wrong = unknown_names(body, known)
    if action is None:
        wrong["action"] = f"must be one of {', '.join(ACTIONS)}"
    if ("ids" in body) == ("filter" in body):
        wrong["ids"] = "must be given, or 'filter' in its place, and not both"
    elif "ids" in body:
        wrong |= _ids_problem(body["ids"])
    else:
        wrong |= _filter_problems(body["filter"])
    if action is not None and action.fields:
        wrong |= _tags_problems(body)
    if wrong:
        raise InvalidRequest(fields=wrong)


def change_each(body: Mapping[str, Any], access: Access, *, now: datetime) -> list[Item]:
    """Do the action of a checked `body` to each job that it names, and return the result of each, in their order.

    All is one transaction, in which each job has a savepoint, so that one refusal does not affect the others. The rows
    are locked in the order of their ids, against deadlocks with other such requests. Raises `InvalidRequest` for a
    filter that finds too many jobs.
    """
    action = ACTIONS[body["action"]]
    ids = body["ids"] if "ids" in body else _found(body["filter"], access, now)
    with transaction.atomic():
        done = {job_id: _change(job_id, action, body, access, now) for job_id in sorted(ids)}
    return [{"id": job_id, **done[job_id]} for job_id in ids]


def _change(job_id: str, action: BulkAction, body: Mapping[str, Any], access: Access, now: datetime) -> Item:
    try:
        with transaction.atomic():
            access.require_job(job_id)
            return action.change(job_id, body, access, now)
    except CronzimusError as error:
        return {"error": str(error), "code": error.code}
    except (PermissionDenied, ApiPermissionDenied) as error:
        return envelope(403, str(error))


def _found(asked: Mapping[str, Any], access: Access, now: datetime) -> list[str]:
    jobs = wanted_jobs(Wanted(**asked, reached=access.tags), now)
    ids = list(jobs.values_list("pk", flat=True)[: MAX_ITEMS + 1])
    if len(ids) > MAX_ITEMS:
        message = f"finds {jobs.count():,} jobs; one request may change {MAX_ITEMS:,}: narrow it, or send 'ids'"
        raise InvalidRequest(fields={"filter": message})
    return ids


def _ids_problem(ids: object) -> dict[str, str]:
    if not isinstance(ids, list) or not ids or not all(isinstance(job_id, str) for job_id in ids):
        return {"ids": "must be an array of the ids of jobs, at least one"}
    if len(ids) > MAX_ITEMS:
        return {"ids": f"has {len(ids):,} ids; one request may change {MAX_ITEMS:,} jobs"}
    if problem := unstorable(ids):
        return {"ids": problem}
    job_id, times = Counter(ids).most_common(1)[0]
    return {"ids": f"names {job_id[:64]!r} more than once"} if times > 1 else {}


def _filter_problems(asked: object) -> dict[str, str]:
    if not isinstance(asked, Mapping) or not asked:
        return {"filter": f"must be an object with at least one of {', '.join(FILTERS)}"}
    wrong = unknown_names(asked, FILTERS)
    for name in FILTERS:
        if name in asked and (not isinstance(asked[name], str) or unstorable(asked[name])):
            wrong[name] = "must be a text, without NUL"
    if "state" in asked and "state" not in wrong and asked["state"] not in tuple(JobState):
        wrong["state"] = f"must be one of {', '.join(JobState)}"
    return {f"filter.{name}": message for name, message in wrong.items()}


def _tags_problems(body: Mapping[str, Any]) -> dict[str, str]:
    wrong = {name: problem for name in ("add", "remove") if name in body and (problem := _list_problem(body[name]))}
    if not body.get("add") and not body.get("remove"):
        wrong.setdefault("add", "must name tags, or 'remove' must")
    return wrong


def _list_problem(tags: Any) -> str:
    if not isinstance(tags, list) or len(tags) > MAX_TAGS:
        return f"must be an array of at most {MAX_TAGS} tags"
    return next(filter(None, map(tag_problem, tags)), "")
