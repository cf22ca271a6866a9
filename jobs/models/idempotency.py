"""Idempotency keys: requests that a client may repeat without doing their work twice."""

from __future__ import annotations

from django.db import models

from .fields import ActorField


class IdempotencyKey(models.Model):
    """A key that came with a request, a digest of the request, and the answer.

    The form is that of the Internet-Draft "The Idempotency-Key HTTP Header Field" (draft-ietf-httpapi).
    """

    key = models.CharField(max_length=255)
    actor = ActorField()
    digest = models.CharField(max_length=64)
    body = models.JSONField()
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()
        constraints = (models.UniqueConstraint("key", "actor", name="cronzimus_idempotency_key_once"),)

    def __str__(self) -> str:
        return self.key
