"""The header Idempotency-Key, of the Internet-Draft draft-ietf-httpapi-idempotency-key-header."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from ..core.exceptions import InvalidRequest
from ..services.idempotency import once
from .access import access_of

HEADER = "Idempotency-Key"
"""The header with the key of a request."""
REPLAYED = "Idempotency-Replayed"
"""The header that marks a repeated answer."""
KEY = re.compile(r"[\x21-\x7e]{1,255}")
"""The form of a key."""


def answer_once(
    request: Request, body: Mapping[str, Any], now: datetime, work: Callable[[], dict[str, Any]]
) -> Response:
    """Answer with the result of `work`, or repeat the earlier answer to a request with the same key.

    `body` is the body of the request. Raises `InvalidRequest` for an invalid key, and `IdempotencyKeyReused`.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return Response(work())
    if not KEY.fullmatch(key):
        raise InvalidRequest(fields={HEADER: "must be 1 to 255 visible ASCII characters, without blanks"})
    answer, replayed = once(key, actor=access_of(request).actor, digest=_digest(request, body), now=now, work=work)
    return Response(answer, headers={REPLAYED: "true"} if replayed else {})


def _digest(request: Request, body: Mapping[str, Any]) -> str:
    # Of the parsed body, so that the order of its fields does not matter.
    asked = json.dumps([request.method, request.path, body], sort_keys=True)
    return sha256(asked.encode()).hexdigest()
