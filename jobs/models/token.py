"""Tokens, with which programs authenticate at the API."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models

from .fields import StoredJSON


class Token(models.Model):
    """A token of a user. It may do what its user may do, within its scopes and tags, until it expires.

    Between `disabled_at` and its next enabling it may do nothing.

    The secret itself is not stored: `digest` is its SHA-256, in hexadecimal digits, and `prefix` its first characters,
    by which people tell their tokens apart.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    name = models.CharField(max_length=100, blank=True, default="")
    prefix = models.CharField(max_length=16, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = StoredJSON(default=list)
    tags = StoredJSON(blank=True, default=list)
    created_at = models.DateTimeField(editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    disabled_at = models.DateTimeField(null=True, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)
    last_address = models.CharField(max_length=120, blank=True, default="", editable=False)

    class Meta:
        ordering = ("-created_at", "-id")

    def __str__(self) -> str:
        return self.name or f"{self.prefix}…"

    def is_valid(self, now: datetime) -> bool:
        """Tell whether it is enabled and has not expired at `now`."""
        return self.disabled_at is None and not self.is_expired(now)

    def is_expired(self, now: datetime) -> bool:
        """Tell whether it has expired at `now`."""
        return self.expires_at is not None and self.expires_at <= now
