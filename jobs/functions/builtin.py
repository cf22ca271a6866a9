"""The functions that come with Cronzimus. docs/functions.md describes them."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from django.core.management import CommandError, call_command, get_commands

from ..conf import conf
from ..core.clock import SystemClock
from .http import RequestFailed
from .registry import Database, RunContext, register

if TYPE_CHECKING:
    from .http.client import Response
    from .http.guard import Guard

CHARSETS = ("iso-8859-1", "latin1", "us-ascii", "utf-16", "windows-1252")
"""The character sets that are read beside UTF-8. The server chooses one, so not all of Python's codecs are safe."""
MAX_KEPT = 60_000
"""Characters of JSON kept of a body: the whole result must stay below the limit of 64 K."""
MAX_QUOTED = 500
"""Characters of a body that an error quotes."""


class CommandFailed(Exception):
    """The management command did not succeed."""


class UnexpectedStatus(RequestFailed):
    """The answer has a status that was not expected."""


@register("cronzimus.controller.task:task")
def task(database: Database) -> str:
    """Ask the database for its time. The sample job calls it."""
    ((now,),) = database.execute("SELECT CURRENT_TIMESTAMP")
    print(f"The database's time is {now}.")  # noqa: T201 (it is the run's output)
    return str(now)


def check_command(command: str, args: list[str] | None = None) -> None:
    """Raise `ValueError` unless JOB_COMMANDS allows the management command `command`, and `args` are strings."""
    if command not in conf.JOB_COMMANDS:
        allowed = ", ".join(conf.JOB_COMMANDS) or "none"
        raise ValueError(f"command: {str(command)[:100]!r} is not one of those that JOB_COMMANDS allows: {allowed}")
    if command not in get_commands():
        raise ValueError(f"command: JOB_COMMANDS allows {command!r}, but there is no such management command")
    if args is not None and not (isinstance(args, list) and all(isinstance(word, str) for word in args)):
        raise ValueError('args: must be an array of strings, the words after the command, such as ["--tag", "models"]')


@register("cronzimus.functions:run_command", check=check_command)
def run_command(command: str, args: list[str] | None = None) -> str | None:
    """Run a management command that JOB_COMMANDS allows.

    `args` are the words after its name. Returns what the command returns. Raises `ValueError` for a command that is not
    allowed, and `CommandFailed` for one that ends with an error or an exit status other than 0.
    """
    check_command(command, args)
    try:
        result = call_command(command, *(args or ()), no_color=True, stdout=sys.stdout, stderr=sys.stdout)
    except CommandError as error:
        raise CommandFailed(f"{command}: {error}") from error
    except SystemExit as error:
        if error.code:
            raise CommandFailed(f"{command}: exit status {error.code}") from error
        result = None
    return result


def check_http_request(*args: Any, **kwargs: Any) -> None:
    """Raise `ValueError` unless `http_request` can be called with these arguments. No name is resolved."""
    # Imported here and below, not at the top: urllib3 costs each process 5 MB, and few make requests.
    from .http.call import HttpCall

    url = HttpCall(*args, **kwargs).url
    try:
        check_target(url)
    except ValueError as error:
        raise ValueError(f"url: {error}") from error


def check_target(url: str) -> None:
    """Raise `ValueError` for a URL that cannot be requested, or whose address is not allowed. No name is resolved."""
    from .http.client import parse_target
    from .http.guard import AddressRefused

    host = (parse_target(url).host or "").strip("[]")
    try:
        address = ip_address(host)
    except ValueError:
        return
    try:
        _guard(timeout=1).check(host, address)
    except AddressRefused as error:
        raise ValueError(str(error)) from error


@register("cronzimus.functions:http_request", check=check_http_request)
def http_request(
    url: str,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: str | None = None,
    json: Any = None,
    expected_status: int | list[int] | None = None,
    timeout: float = 30,
    max_redirects: int = 5,
    *,
    context: RunContext | None = None,
) -> dict[str, Any]:
    """Make an HTTP request to a public address, or to one that JOB_HTTP_ALLOWED_NETWORKS allows.

    `body` is sent unchanged, `json` as JSON. `timeout` is the time in seconds until the last byte. `expected_status` is
    a status, or a list of them; by default 200 to 299. Returns the answer. Raises `ValueError` for bad arguments,
    `UnexpectedStatus` for any other status, and `RequestFailed` for an address that is refused or does not answer, or
    if the run is cancelled.
    """
    from .http.call import HttpCall
    from .http.client import fetch

    call = HttpCall(url, method, headers, body, json, expected_status, timeout, max_redirects)
    guard = _guard(timeout)
    request = call.request(context.traceparent if context else None)
    with _cancelled_with(context, guard):
        response = fetch(request, guard, expected=call.expected, max_redirects=max_redirects)
    text = _text(response)
    kept = _shortened(text, MAX_KEPT)
    result = {
        "status": response.status, "elapsed": round(guard.elapsed(), 3), "url": response.url.url,
        "content_type": _content_type(response), "body": kept,
        "truncated": len(kept) < len(text) or not response.complete,
    }  # fmt: skip
    print(_line(call.method.upper(), response, result))  # noqa: T201 (it is the run's output)
    if response.status not in call.expected:
        answer = f"{response.status} {response.reason}".strip()
        wanted = "2xx" if expected_status is None else expected_status
        raise UnexpectedStatus(f"{response.url}: answered {answer}, expected was {wanted}: {text[:MAX_QUOTED]}")
    return result


def _guard(timeout: float) -> Guard:
    from .http.guard import Guard

    return Guard(allowed=conf.JOB_HTTP_ALLOWED_NETWORKS, timeout=timeout, clock=SystemClock())


@contextmanager
def _cancelled_with(context: RunContext | None, guard: Guard) -> Iterator[None]:
    """Make a request to cancel the run end the HTTP request, within the context."""
    if context is None:
        yield
        return
    context.when_cancelled(guard.cancel)
    try:
        yield
    except RequestFailed:
        _ = context.cancelled  # the run is cancelled, and not failed
        raise
    finally:
        context.when_cancelled(None)


def _line(method: str, response: Response, result: dict[str, Any]) -> str:
    size = f"{len(response.body):,} bytes" if response.complete else f"more than {len(response.body):,} bytes"
    cut = f", of which {len(result['body']):,} characters are kept" if result["truncated"] else ""
    return f"{method} {response.url}: {response.status} {response.reason} in {result['elapsed']:.3f} s, {size}{cut}"


def _content_type(response: Response) -> str:
    return response.headers.get("content-type", "")[:200]


def _text(response: Response) -> str:
    """Return the body as text that every database can store."""
    content = Message()
    content["Content-Type"] = _content_type(response)
    charset = content.get_content_charset("")
    text = response.body.decode(charset if charset in CHARSETS else "utf-8", "replace")
    return text.replace("\x00", "\ufffd")


def _shortened(text: str, limit: int) -> str:
    """Return a start of `text` that takes at most `limit` characters as JSON."""
    while len(encoded := jsonlib.dumps(text, ensure_ascii=False)) > limit:
        text = text[: len(text) * limit // len(encoded)]
    return text
