"""Read settings from the environment: each value checked, every wrong one named at once."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from django.core.exceptions import ImproperlyConfigured
from environs import Env, EnvError, EnvValidationError, ValidationError

DATABASE_SCHEMES = ("sqlite", "postgres", "postgresql")


def open_env(base_dir: Path) -> Env:
    """Return a reader of the environment and of `base_dir`/.env, which collects errors until `close_env`."""
    env = Env(eager=False)
    env.read_env(base_dir / ".env", recurse=False)
    return env


def close_env(env: Env) -> None:
    """Raise `ImproperlyConfigured`, naming each variable that has a wrong value and what is wrong with it."""
    try:
        env.seal()
    except EnvValidationError as error:
        messages = cast("dict[str, list[str]]", error.error_messages)  # a dict of lists, from seal()
        wrong = [f"{name}: {' '.join(map(str, texts))}" for name, texts in messages.items()]
        raise ImproperlyConfigured("wrong value in the environment\n  " + "\n  ".join(wrong)) from None
    except EnvError as error:
        raise ImproperlyConfigured(f"wrong value in the environment: {error}") from None


def one_of(choices: Iterable[str]) -> Callable[[str], None]:
    """Return a check that a value is one of `choices`."""
    allowed = tuple(choices)

    def check(value: str) -> None:
        if value not in allowed:
            raise ValidationError(f"{value!r} is not one of {', '.join(filter(None, allowed))}.")

    return check


def between(low: int, high: int) -> Callable[[int], None]:
    """Return a check that a number lies in `low` to `high`, both included."""

    def check(value: int) -> None:
        if not low <= value <= high:
            raise ValidationError(f"{value} is not between {low} and {high}.")

    return check


def is_time_zone(value: str) -> None:
    """Check that `value` names a zone of the IANA time zone database."""
    if value not in available_timezones():
        raise ValidationError(f"{value!r} is not the name of a time zone, such as 'UTC' or 'Europe/Berlin'.")


def are_hosts(values: list[str]) -> None:
    """Check that `values` are names of hosts, as ALLOWED_HOSTS has them: no addresses of pages."""
    for value in values:
        if not value or not re.fullmatch(r"\*|\.?[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]", value):
            raise ValidationError(f"{value!r} is not the name of a host, such as cronzimus.example.com.")


def are_origins(values: list[str]) -> None:
    """Check that `values` are origins: a scheme and a host, and nothing after them."""
    for value in values:
        if not re.fullmatch(r"https?://[^/\s]+", value):
            raise ValidationError(f"{value!r} is not an origin, such as https://cronzimus.example.com.")


def is_database_url(value: str) -> None:
    """Check that `value` is a URL of a database that Cronzimus runs on, or empty."""
    if not value:
        return
    try:
        scheme, port = urlsplit(value).scheme, urlsplit(value).port
    except ValueError as error:
        raise ValidationError(f"not a URL: {error}.") from error
    if scheme not in DATABASE_SCHEMES or (port is not None and not 0 < port < 65536):
        raise ValidationError("not a database's URL, such as sqlite:///db.sqlite3 or postgresql://user@host:5432/name.")


def holds(kind: type[list[Any] | dict[str, Any]], entries: type | None = None) -> Callable[[Any], None]:
    """Return a check that a JSON value is a `kind` (`list` or `dict`), each of whose entries is an `entries`."""

    def check(value: Any) -> None:
        if not isinstance(value, kind):
            raise ValidationError(f"must be a JSON {'object' if kind is dict else 'array'}.")
        if entries is not None and not all(isinstance(entry, entries) for entry in value):
            raise ValidationError("each entry must be a JSON object.")

    return check


def secret_key(base_dir: Path) -> str:
    """Return the key kept in `base_dir`/.secret_key, making one on the first start.

    Raises `ImproperlyConfigured` where the file can be neither read nor written.
    """
    path = base_dir / ".secret_key"
    try:
        if not path.exists():
            _write_once(path, secrets.token_urlsafe(50))
        return path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(f"SECRET_KEY is not set, and none can be kept in {path.name}: {error}") from error


def _write_once(path: Path, text: str) -> None:
    # Two processes may start at once: the key appears whole, and the first one stays.
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
