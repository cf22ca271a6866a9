"""Read settings from the environment: check each value, and report all wrong ones at once."""

from __future__ import annotations

import difflib
import os
import re
import secrets
from collections.abc import Callable, Iterable
from email.utils import parseaddr
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from zoneinfo import available_timezones

import dotenv
from django.core.exceptions import ImproperlyConfigured

from jobs.core.brokers import broker_problem
from jobs.core.json import parse_strict
from jobs.core.rates import parse_rate
from jobs.core.references import is_reference

DATABASE_SCHEMES = ("sqlite", "postgres", "postgresql")
"""The schemes of databases' URLs."""
DATABASE_EXAMPLES = "sqlite:///db.sqlite3 or postgresql://user:password@host:5432/name"
"""URLs of databases, for messages."""
ENCODE_PASSWORD = (
    "Percent-encode the password: / is %2F, # is %23, ? is %3F, @ is %40, [ is %5B; "
    f"the form is {DATABASE_EXAMPLES}, with a port from 1 to 65535."
)
"""The advice on special characters in a password."""
FLAGS = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}
"""The values of a yes or no variable, in any case."""

ZONEINFO = Path("/usr/share/zoneinfo")
"""The folder of the system's time zone data."""

SIMILAR = 0.9
"""The ratio of `difflib` from which a variable is taken for a misspelt one: TEST_DATABASE_URL is none."""
SHORTEST = 8
"""The least characters of such a variable: short names, such as HTTP and HTTPS, are similar by chance."""

Value = TypeVar("Value")
Check = Callable[[Any], None]
"""Raises `ValueError` for a wrong value, with the right form."""


class Environment:
    """The environment's variables, each read as its type. Errors are kept until `close`.

    Each reader takes a variable's name, what holds where it is not set, and a check of what it says.
    """

    def __init__(self, file: Path) -> None:
        """Read `file` too, if it exists; variables that are set already take precedence.

        Raises `ImproperlyConfigured` for a file that is not UTF-8.
        """
        try:
            dotenv.load_dotenv(file)
        except UnicodeDecodeError as error:
            raise ImproperlyConfigured(f"{file} is not UTF-8: {error.reason} at byte {error.start + 1}") from error
        self._known: set[str] = set()
        self._wrong: dict[str, str] = {}

    def text(self, name: str, default: str, check: Check | None = None) -> str:
        """Return the variable as it is."""
        return self._read(name, str, default, check)

    def flag(self, name: str, default: bool) -> bool:
        """Return a yes or no variable; see `FLAGS`."""
        return self._read(name, _flag, default, None)

    def number(self, name: str, default: int, check: Check | None = None) -> int:
        """Return a whole number."""
        return self._read(name, _number, default, check)

    def texts(self, name: str, default: list[str], check: Check | None = None) -> list[str]:
        """Return texts that are separated by commas; none if the variable is empty."""
        return self._read(name, _texts, default, check)

    def json(self, name: str, default: Any, check: Check | None = None) -> Any:
        """Return the JSON value of a variable."""
        return self._read(name, _json, default, check)

    def refuse(self, name: str, problem: str) -> None:
        """Note an error in a variable that depends on others."""
        self._wrong[name] = problem

    def close(self) -> None:
        """Raise `ImproperlyConfigured` with the error of each wrong variable."""
        if self._wrong:
            wrong = [f"{name}: {text}" for name, text in self._wrong.items()]
            raise ImproperlyConfigured("wrong value in the environment\n  " + "\n  ".join(wrong))

    def misspelt(self) -> dict[str, str]:
        """Return the variables that nobody reads and that look like one that is read, each with that one."""
        unread = (name for name in os.environ if name not in self._known)
        return {name: meant for name in unread if (meant := self._meant(name))}

    def _meant(self, name: str) -> str:
        plain = name.upper().removeprefix("CRONZIMUS_")
        if plain in self._known:
            return plain
        near = difflib.get_close_matches(plain, self._known, n=1, cutoff=SIMILAR) if len(plain) >= SHORTEST else []
        return near[0] if near else ""

    def _read(self, name: str, parse: Callable[[str], Value], default: Value, check: Check | None) -> Value:
        self._known.add(name)
        text = os.environ.get(name)
        if text is None:
            return default
        try:
            value = parse(text)
            if check is not None:
                check(value)
        except ValueError as error:
            self._wrong[name] = str(error)
            return default
        return value


def _flag(text: str) -> bool:
    try:
        return FLAGS[text.strip().lower()]
    except KeyError:
        raise ValueError(f"{text!r} is neither true nor false.") from None


def _number(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text.strip()):
        raise ValueError(f"{text!r} is not a whole number.")
    return int(text)


def _texts(text: str) -> list[str]:
    return [item.strip() for item in text.split(",")] if text.strip() else []


def _json(text: str) -> Any:
    try:
        return parse_strict(text)
    except ValueError as error:
        raise ValueError(f"{error}.") from None


def one_of(choices: Iterable[str]) -> Callable[[str], None]:
    """Return a check that a value is one of `choices`."""
    allowed = tuple(choices)

    def check(value: str) -> None:
        if value not in allowed:
            raise ValueError(f"{value!r} is not one of {', '.join(filter(None, allowed))}.")

    return check


def between(low: int, high: int) -> Callable[[int], None]:
    """Return a check that a number lies in `low` to `high`, both included."""

    def check(value: int) -> None:
        if not low <= value <= high:
            raise ValueError(f"{value} is not between {low} and {high}.")

    return check


def is_time_zone(value: str) -> None:
    """Check that `value` names a zone of the IANA time zone database, which the system has, too: Django looks there."""
    if value not in available_timezones():
        raise ValueError(f"{value!r} is not the name of a time zone, such as 'UTC' or 'Europe/Berlin'.")
    if ZONEINFO.exists() and not (ZONEINFO / value).exists():
        raise ValueError(
            f"{value!r} is an old name, which this system's time zone data lack. "
            "Use the present name, such as 'America/New_York', or install the package tzdata-legacy."
        )


def is_rate(value: str) -> None:
    """Check that `value` is a rate of requests, such as 100/minute, or empty."""
    parse_rate(value)


def is_cache_url(value: str) -> None:
    """Check that `value` is the URL of a Redis server, or empty, and that its client is installed."""
    if not value:
        return
    if not re.fullmatch(r"rediss?://\S+", value):
        raise ValueError("not the URL of a Redis server, such as redis://127.0.0.1:6379/0.")
    if find_spec("redis") is None:
        raise ValueError("needs the Python package redis.")


def is_sender(value: str) -> None:
    """Check that `value` is the address of a sender, with or without a name before it."""
    _, address = parseaddr(value)
    if not re.fullmatch(r"[^\s@<>]+@[^\s@<>]+", address) or "\n" in value:
        raise ValueError(
            f"{value!r} is not an address, such as cronzimus@example.com or Cronzimus <cronzimus@example.com>."
        )


def is_path_prefix(value: str) -> None:
    """Check that `value` is the first part of addresses, such as /cronzimus, or empty."""
    if value and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", value):
        raise ValueError(f"{value!r} is not the path of a folder, such as /cronzimus.")


def are_hosts(values: list[str]) -> None:
    """Check that `values` are names of hosts, as ALLOWED_HOSTS has them: no addresses of pages."""
    for value in values:
        if not value or not re.fullmatch(r"\*|\.?[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]", value):
            raise ValueError(f"{value!r} is not the name of a host, such as cronzimus.example.com.")


def are_origins(values: list[str]) -> None:
    """Check that `values` are origins: a scheme and a host, and nothing after them."""
    for value in values:
        if "@" in value:
            raise ValueError("an origin has no user and no password: https://cronzimus.example.com.")
        if not re.fullmatch(r"https?://[^/\s]+", value):
            raise ValueError(f"{value!r} is not an origin, such as https://cronzimus.example.com.")


def are_named_origins(values: list[str]) -> None:
    """Check that `values` are origins as browsers send them: exact, in lower case, without the usual port."""
    are_origins(values)
    for value in values:
        if "*" in value:
            raise ValueError(f"{value!r} has a wildcard; name each origin, such as https://app.example.com.")
        usual = {"http": "80", "https": "443"}[value.partition(":")[0]]
        sent = value.lower().removesuffix(f":{usual}")
        if value != sent:
            raise ValueError(f"browsers send {value!r} as {sent!r}; write it so.")


def are_networks(values: list[str]) -> None:
    """Check that `values` are IP addresses or networks."""
    for value in values:
        try:
            ip_network(value)
        except ValueError:
            raise ValueError(f"{value!r} is not an address or a network, such as 127.0.0.1 or 10.0.0.0/24.") from None


def is_header(value: str) -> None:
    """Check that `value` is the name of an HTTP header, or empty. Servers drop names with an underscore."""
    if value and not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", value):
        raise ValueError(f"{value!r} is not the name of a header, such as X-Auth-Request-User.")


def are_roles(roles: Iterable[str]) -> Check:
    """Return a check that a JSON object has names of groups, each with one of `roles`."""
    allowed = tuple(roles)

    def check(value: Any) -> None:
        holds(dict)(value)
        for group, role in value.items():
            if role not in allowed:
                raise ValueError(f"{group!r}: {role!r} is not one of {', '.join(allowed)}.")

    return check


def are_modules(values: list[str]) -> None:
    """Check that `values` are names of Python modules, as an import statement has them."""
    for value in values:
        if not all(part.isidentifier() for part in value.split(".")):
            raise ValueError(f"{value!r} is not the name of a module, such as shop.reports.")


def are_references(values: list[str]) -> None:
    """Check that `values` name objects of Python modules."""
    for value in values:
        if not is_reference(value):
            raise ValueError(f"{value!r} is not of the form 'module:name', such as shop.tasks:send.")


def is_database_url(value: str) -> None:
    """Check that `value` is the URL of a database that Cronzimus runs on, or empty. No message shows a part of it."""
    if not value:
        return
    scheme, _, rest = value.partition("://")
    if scheme not in DATABASE_SCHEMES:
        raise ValueError(f"not a database's URL, such as {DATABASE_EXAMPLES}.")
    try:
        parts = urlsplit(value)
        is_wrong = parts.port == 0
    except ValueError:  # its text has a wrong port, which may be a part of the password
        is_wrong = True
    if scheme != "sqlite" and "@" in rest and (is_wrong or "@" in rest[len(parts.netloc) :]):
        raise ValueError(f"not a database's URL. {ENCODE_PASSWORD}")
    if is_wrong:
        raise ValueError(f"not a database's URL, such as {DATABASE_EXAMPLES}, with a port from 1 to 65535.")
    if scheme == "sqlite" and (parts.netloc or parts.path in ("", "/", "/:memory:")):
        # Such a database lives in the memory of one process: no other would see its jobs.
        raise ValueError("names no file: write three slashes and a file, such as sqlite:///db.sqlite3.")
    if scheme != "sqlite" and not parts.path.strip("/") and "service=" not in parts.query:
        raise ValueError(
            "names no database: write its name behind the host, postgresql://user:password@host:5432/name."
        )


def is_broker_url(value: str) -> None:
    """Check that `value` is the URL of a broker that workers can use, or empty. No message shows a part of it."""
    if problem := broker_problem(value):
        raise ValueError(f"{problem}.")


def holds(kind: type[list[Any] | dict[str, Any]], entries: type | None = None) -> Callable[[Any], None]:
    """Return a check that a JSON value is a `kind` (`list` or `dict`), each of whose entries is an `entries`."""

    def check(value: Any) -> None:
        if not isinstance(value, kind):
            raise ValueError(f"must be a JSON {'object' if kind is dict else 'array'}.")
        if entries is not None and not all(isinstance(entry, entries) for entry in value):
            raise ValueError("each entry must be a JSON object.")

    return check


def secret_key(base_dir: Path) -> str:
    """Return the key kept in `base_dir`/.secret_key, making one on the first start.

    Raises `ImproperlyConfigured` if the file can be neither read nor written.
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
