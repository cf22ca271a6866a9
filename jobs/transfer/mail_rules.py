"""Alert rules in files: e-mails about the jobs with a tag. Each rule has a channel of its own.

Files have no other kind: webhooks and Apprise have secrets, and are set up in the admin.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from .. import services
from ..core.alerts import AlertEvent
from ..core.values import unknown_names
from ..definitions.validation import tag_problem
from ..models import AlertRule, Channel
from .changes import Change

FIELDS = ("name", "tag", "events", "email")
EVENTS = tuple(event.value for event in (AlertEvent.FAILURE, AlertEvent.LOST, AlertEvent.NOT_RUN, AlertEvent.RECOVERY))
"""The events that need no further setting of the rule."""
USUAL_EVENTS = [AlertEvent.FAILURE.value, AlertEvent.RECOVERY.value]
MAX_NAME = 100
MAX_TAG = 50


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
    return {"name": f"Mail to {listed}"[:MAX_NAME], "tag": tag, "events": USUAL_EVENTS, "email": listed}


def compare(bodies: Sequence[Mapping[str, Any]]) -> list[Change]:
    """Return the changes that applying the rules `bodies` would make, in their order. Nothing is saved."""
    times = Counter(str(body.get("name")) for body in bodies)
    return [_compare(body, index, twice=times[str(body.get("name"))] > 1) for index, body in enumerate(bodies)]


def apply(body: Mapping[str, Any], change: Change, *, now: datetime) -> None:
    """Create or change the rule `body` and its channel, by `change`."""
    if change.kind != "unchanged":
        tag, events = body["tag"], body["events"]
        services.save_mail_rule(
            change.id, tag=tag, events=events, recipients=_listed(body), now=now, changes=change.fields
        )


def _compare(body: Mapping[str, Any], index: int, *, twice: bool) -> Change:
    problems = _problems(body) | ({"name": "stands more than once in the file"} if twice else {})
    if problems:
        name = str(body.get("name") or f"alerts[{index}]")[:MAX_NAME]
        return Change(kind="invalid", id=name, what="alert rule", problems=problems)
    rule = AlertRule.objects.filter(name=body["name"]).first()
    after = {"tag": body["tag"], "events": list(body["events"]), "email": _listed(body)}
    if rule is None:
        fields = {name: (None, value) for name, value in after.items()}
        return Change(kind="create", id=body["name"], what="alert rule", fields=fields)
    channel = rule.channels.filter(name=rule.name).first()
    before = {"tag": rule.tag, "events": rule.events, "email": channel.target if channel else None}
    changed = {name: (before[name], value) for name, value in after.items() if before[name] != value}
    return Change(kind="change" if changed else "unchanged", id=rule.name, what="alert rule", fields=changed)


def _problems(body: Mapping[str, Any]) -> dict[str, str]:
    problems = dict(unknown_names(body, FIELDS))
    name, tag, events, email = (body.get(field) for field in FIELDS)
    if not isinstance(name, str) or not 1 <= len(name.strip()) <= len(name) <= MAX_NAME or "\0" in name:
        problems["name"] = f"must be a text of 1 to {MAX_NAME} characters"
    elif Channel.objects.filter(name=name).exclude(kind=Channel.EMAIL).exists():
        problems["name"] = "a channel of this name exists that is not an e-mail"
    if problem := tag_problem(tag):
        problems["tag"] = problem
    if not isinstance(events, list) or not events or any(event not in EVENTS for event in events):
        problems["events"] = f"must be a list with some of {', '.join(EVENTS)}"
    if not isinstance(email, str) or not email.strip() or not all(map(is_address, _addresses(email))):
        problems["email"] = "must be e-mail addresses, separated by commas"
    return problems


def _addresses(email: str) -> list[str]:
    return email.replace(",", " ").split()


def _listed(body: Mapping[str, Any]) -> str:
    return ", ".join(_addresses(body["email"]))
