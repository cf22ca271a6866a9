"""Send messages by e-mail, as signed webhooks, or through Apprise."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from django.contrib.admin.utils import quote
from django.core import mail
from django.urls import NoReverseMatch, reverse

from ..conf import conf
from ..core.clock import Clock
from ..core.exceptions import CronzimusError
from ..functions.http.client import REDIRECTS, Request, fetch, parse_target
from ..functions.http.guard import Guard
from ..models import Channel, Delivery

TIMEOUT_SECONDS = 10.0
"""Time for an answer of a mail server or of a webhook."""
SECRET_PREFIX = "whsec_"  # noqa: S105 (the prefix of the Standard Webhooks specification)


class NotDelivered(CronzimusError):
    """The message was not accepted."""

    code = "NOT_DELIVERED"


def send(delivery: Delivery, clock: Clock) -> str:
    """Send a message once; return the receiver's answer. Raises `NotDelivered`, and the errors of the transport."""
    return SENDERS[delivery.channel.kind](delivery, clock)


def event_of(delivery: Delivery) -> dict[str, Any]:
    """Return the event that is sent: the stored one, with the address of its run or job if SITE_URL names the site.

    The addresses are looked up here and not where the message is written: that loads all pages.
    """
    event: dict[str, Any] = delivery.payload
    data = dict(event["data"])
    if conf.CRONZIMUS_ENV:
        data["environment"] = conf.CRONZIMUS_ENV
    if conf.SITE_URL and (path := _page_about(data)):
        data["url"] = f"{conf.SITE_URL}{path}"
    return event | {"data": data}


def _page_about(data: Mapping[str, Any]) -> str:
    kind, key = ("run", data["run"]) if data.get("run") else ("job", data.get("job"))
    try:
        if key is None:
            return reverse("admin:cronzimus_scheduler_changelist")
        return reverse(f"admin:cronzimus_{kind}_change", args=[quote(key)])
    except NoReverseMatch:  # the project's admin has another name
        return ""


def _email(delivery: Delivery, clock: Clock) -> str:
    data = event_of(delivery)["data"]
    recipients = delivery.channel.target.replace(",", " ").split()
    names = ("job", "kind", "error", "count", "run", "opened_at", "url")
    lines = [f"{name}: {data[name]}" for name in names if data.get(name)]
    subject = " ".join(str(data["text"]).split())[:150]
    prefix = f"[{' '.join(filter(None, ('Cronzimus', data.get('environment'))))}]"
    message = mail.EmailMessage(f"{prefix} {subject}", "\n".join([data["text"], "", *lines]), to=recipients)
    if not _mail_server().send_messages([message]):
        raise NotDelivered("the mail server took no message")
    return f"sent to {', '.join(recipients)}"


def _mail_server() -> Any:
    """Return the connection to the project's mail server: `mailers.default` since Django 6.1, before that the only one.

    Without a limit, a server that does not answer would hold up all other messages.
    """
    mailers = getattr(mail, "mailers", None)
    connection: Any = mail.get_connection() if mailers is None else mailers.default
    if getattr(connection, "timeout", TIMEOUT_SECONDS) is None:
        connection.timeout = TIMEOUT_SECONDS
    return connection


def _webhook(delivery: Delivery, clock: Clock) -> str:
    body = orjson.dumps(event_of(delivery))
    headers = {"content-type": "application/cloudevents+json", "user-agent": "Cronzimus"}
    secrets = [one for one in (delivery.channel.secret, delivery.channel.previous_secret) if one]
    if secrets:
        headers |= signature(delivery.payload["id"], clock.now(), body, secrets)
    request = Request(method="POST", url=parse_target(delivery.channel.target), headers=headers, body=body)
    guard = Guard(allowed=conf.JOB_HTTP_ALLOWED_NETWORKS, timeout=TIMEOUT_SECONDS, clock=clock)
    answer = fetch(request, guard, expected=REDIRECTS, max_redirects=0)
    said = f"{answer.status} {answer.reason}".strip()
    if answer.status in REDIRECTS:
        raise NotDelivered(f"{said}: redirects are not followed; give the channel the address that is meant")
    if not 200 <= answer.status < 300:
        raise NotDelivered(f"{said}: {answer.body[:200].decode('utf-8', 'replace')}")
    return said


def without_path(text: str, target: str) -> str:
    """Return a text about a delivery without the path of the target's URL, which is a secret for many services."""
    try:
        path = parse_target(target).request_uri
    except ValueError:
        return text
    return text.replace(path, "/…") if len(path) > 1 else text


def signature(message_id: str, now: datetime, body: bytes, secrets: list[str]) -> dict[str, str]:
    """Return the headers of the Standard Webhooks specification, with a signature for each secret.

    Raises `NotDelivered` for a secret that is not base64.
    """
    timestamp = str(int(now.astimezone(UTC).timestamp()))
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    signatures = [
        base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode() for secret in secrets
    ]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{one}" for one in signatures),
    }


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError as error:
        raise NotDelivered("the channel's secret is not base64: make a new one") from error


def notifier_for(target: str) -> Any:
    """Return Apprise's notifier for a URL of a channel. Raises `NotDelivered` if there is none, and says why."""
    try:
        import apprise
    except ImportError as error:
        raise NotDelivered("Apprise is not installed: pip install apprise") from error
    notifier = apprise.Apprise()
    if not notifier.add(target):
        raise NotDelivered("Apprise does not understand this URL")
    return notifier


def _apprise(delivery: Delivery, clock: Clock) -> str:
    notifier = notifier_for(delivery.channel.target)
    data = event_of(delivery)["data"]
    body = "\n".join(filter(None, (str(data["text"]), data.get("url"))))
    if not notifier.notify(title="Cronzimus", body=body):
        raise NotDelivered("Apprise could not notify; the log of this scheduler says why")
    return "notified"


SENDERS: dict[str, Callable[[Delivery, Clock], str]] = {
    Channel.EMAIL: _email,
    Channel.WEBHOOK: _webhook,
    Channel.APPRISE: _apprise,
}
"""The senders by the kind of channel."""
