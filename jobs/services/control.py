"""Stop and restart all claiming."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import transaction

from ..models import Control, announce

logger = logging.getLogger("cronzimus.services.control")


def pause_all(*, now: datetime, actor: str = "", reason: str = "") -> Control:
    """Stop all schedulers from claiming fire times and starting runs, until `resume_all`. Active runs go on.

    If everything is paused already, the first pause stays on record with its reason. Return the record.
    """
    return _set(paused=True, now=now, actor=actor, reason=reason)


def resume_all(*, now: datetime, actor: str = "") -> Control:
    """Let the schedulers claim again. Fire times that fell due meanwhile are late, and their jobs' policies apply."""
    return _set(paused=False, now=now, actor=actor, reason="")


def _set(*, paused: bool, now: datetime, actor: str, reason: str) -> Control:
    with transaction.atomic():
        Control.objects.get_or_create(pk=1)
        control = Control.objects.select_for_update().get(pk=1)
        if control.paused != paused:
            control.paused, control.actor, control.reason = paused, actor, reason
            control.paused_at = now if paused else None
            control.save()
            announce()
            extra = {"action": "all_paused" if paused else "all_resumed"}
            logger.warning("all claiming %s by %s", "paused" if paused else "resumed", actor or "?", extra=extra)
    return control
