"""Conditional requests (RFC 9110, 13): 304 if the client has the answer, 412 for a change of an outdated version."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import cast

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from rest_framework.request import Request
from rest_framework.response import Response

from ..core.exceptions import PreconditionFailed

ENTITY_TAG = re.compile(r'(?:W/)?"(?:([0-9]{1,9})-)?[\x21\x23-\x7e\x80-\xff]*"')
"""An entity tag, with the version of its job."""
ANY = "*"
"""Stands for every entity tag."""


def tag_of(body: bytes, *more: object) -> str:
    """Return an entity tag that changes with the body and with `more`."""
    return f'"{blake2b(body, digest_size=16, key=repr(more).encode()[:64]).hexdigest()}"'


def job_tag(version: int, body: bytes) -> str:
    """Return the entity tag of a job: the version of its definition, and a hash of its JSON."""
    return f'"{version}-{tag_of(body)[1:]}'


def check_version(request: Request, version: int) -> None:
    """Raise `PreconditionFailed` if If-Match or If-None-Match forbids to write a job of this version.

    The hashes in the tags are not compared: the JSON of a job that runs every second changes every second. A weak tag
    counts as a strong one, against RFC 9110, 13.1.1: a proxy that compresses makes tags weak.
    """
    match, none_match = request.headers.get("If-Match"), request.headers.get("If-None-Match")
    if match is not None and match.strip() != ANY and version not in _versions(match):
        if not ENTITY_TAG.search(match):
            raise PreconditionFailed(f'If-Match has no entity tag: write it in quotes, as in ETag: "{version}-…"')
        raise PreconditionFailed(f"the job has changed: its version is {version} now; GET it again")
    if none_match is None:
        return
    if none_match.strip() == ANY:
        raise PreconditionFailed("the job exists, and If-None-Match says that it must not")
    if version in _versions(none_match):
        raise PreconditionFailed(f"the job has the version {version}, which If-None-Match excludes")


def require_no_match(request: Request, job_id: str) -> None:
    """Raise `PreconditionFailed` if the request has an If-Match: there is no job of this id, and it would be added."""
    if "If-Match" in request.headers:
        raise PreconditionFailed(f"there is no job {job_id!r}, so If-Match names none of its versions")


def _versions(header: str) -> list[int]:
    """Return the version in each entity tag of a list."""
    return [int(version) for version in ENTITY_TAG.findall(header) if version]


def conditional(request: Request, response: HttpResponse) -> HttpResponseBase:
    """Return the `response` to a GET or HEAD with its entity tag; 304 if the client has it already, 412 by `If-Match`.

    A cache may keep it for this client alone, and must ask again before it uses it. A streamed response has no tag.
    """
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Vary"] = "Authorization, Cookie"
    if response.streaming:
        if request.method == "HEAD":
            response.streaming_content = ()  # type: ignore[attr-defined]
        return response
    if isinstance(response, Response):
        response.render()
    response.headers.setdefault("ETag", tag_of(response.content))
    if "HTTP_IF_NONE_MATCH" not in request.META and "HTTP_IF_MATCH" not in request.META:
        return response  # Django would refuse If-Unmodified-Since without a time of the last change
    return cast(HttpResponseBase, get_conditional_response(request, etag=response["ETag"], response=response))
