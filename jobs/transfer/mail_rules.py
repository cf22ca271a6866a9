"""The alert rules that importers make: e-mails about the jobs with a tag."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from ..core.alerts import AlertEvent

EVENTS = [AlertEvent.FAILURE.value, AlertEvent.RECOVERY.value]
"""The events of which these rules send mail."""
MAX_NAME = 100
"""Characters of the name of a rule."""
MAX_TAG = 50
"""Characters of a tag."""


def is_address(text: str) -> bool:
    """Tell whether `text` is an e-mail address."""
    try:
        validate_email(text)
    except ValidationError:
        return False
    return True


def mail_rule(addresses: Sequence[str]) -> dict[str, Any]:
    """Return the body of a rule that mails failures to `addresses`, with a tag for its jobs."""
    listed = ", ".join(addresses)
    tag = re.sub(r"[^\w.-]+", "-", f"mail-{'-'.join(addresses)}")[:MAX_TAG]
    return {"name": f"Mail to {listed}"[:MAX_NAME], "tag": tag, "events": EVENTS, "email": listed}
