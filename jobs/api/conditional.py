"""Conditional requests (RFC 9110, 13): 304 instead of an answer that the client has already."""

from __future__ import annotations

from hashlib import blake2b
from typing import cast

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from rest_framework.request import Request
from rest_framework.response import Response


def tag_of(body: bytes, *more: object) -> str:
    """Return the entity tag of a body and of `more`: it differs wherever one of them does."""
    return f'"{blake2b(body, digest_size=16, key=repr(more).encode()[:64]).hexdigest()}"'


def conditional(request: Request, response: HttpResponse) -> HttpResponseBase:
    """Return `response` to a GET or HEAD with its entity tag; 304 if the client has it already, 412 for `If-Match`.

    A cache may keep it for this client alone, and must ask again before it uses it.
    """
    if isinstance(response, Response):
        response.render()
    response.headers.setdefault("ETag", tag_of(response.content))
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Vary"] = "Authorization, Cookie"
    if "HTTP_IF_NONE_MATCH" not in request.META and "HTTP_IF_MATCH" not in request.META:
        return response  # Django would refuse If-Unmodified-Since where no time of the last change is known
    return cast(HttpResponseBase, get_conditional_response(request, etag=response["ETag"], response=response))
