"""Do the work of a request once, even if the client sends it again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, connection, transaction

from ..core.exceptions import CronzimusError
from ..models import IdempotencyKey

KEY_LIFETIME = timedelta(hours=24)
"""Time for which an answer is kept for a repeated request."""
BATCH = 100
"""Expired keys that are deleted, at most, when a new one is saved."""

Answer = dict[str, Any]
"""The body of an answer."""


class IdempotencyKeyReused(CronzimusError):
    """The key came with another request before."""

    code = "IDEMPOTENCY_KEY_REUSED"


def once(key: str, *, actor: str, digest: str, now: datetime, work: Callable[[], Answer]) -> tuple[Answer, bool]:
    """Do `work`, and return its answer and False; or the answer that `actor` got with `key` before, and True.

    `digest` identifies the request. The key is saved in the transaction of the work: if the work raises, nothing is
    kept, and a request that waits for the same key does it. Raises `IdempotencyKeyReused` if `key` came with another
    request before.
    """
    with transaction.atomic():
        IdempotencyKey.objects.filter(key=key, actor=actor, created_at__lte=now - KEY_LIFETIME).delete()
        kept = _take(key, actor, digest, now)
        if kept is not None:
            return _answer_of(kept, digest), True
        _forget_old(now)
        answer = work()
        IdempotencyKey.objects.filter(key=key, actor=actor).update(body=answer)
    return answer, False


def _take(key: str, actor: str, digest: str, now: datetime) -> IdempotencyKey | None:
    """Save the key and return None, or return its row if another request has done the work."""
    try:
        with transaction.atomic():
            # On PostgreSQL this waits for the end of a transaction that writes the same key. On SQLite the outer
            # transaction has waited for it already.
            IdempotencyKey.objects.create(key=key, actor=actor, digest=digest, body={}, created_at=now)
    except IntegrityError:
        return IdempotencyKey.objects.get(key=key, actor=actor)
    return None


def _answer_of(kept: IdempotencyKey, digest: str) -> Answer:
    if kept.digest != digest:
        raise IdempotencyKeyReused("this Idempotency-Key came with another request before; use a new key for each")
    answer: Answer = kept.body
    return answer


def _forget_old(now: datetime) -> None:
    old = IdempotencyKey.objects.filter(created_at__lte=now - KEY_LIFETIME).order_by("created_at")
    if connection.features.has_select_for_update_skip_locked:
        old = old.select_for_update(skip_locked=True)  # do not wait for keys that another request deletes
    IdempotencyKey.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:BATCH])).delete()
