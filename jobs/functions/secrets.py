"""The values of secrets, from the environment variables and the folder of files that SECRETS names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..conf import conf
from ..core.exceptions import InvalidArguments
from ..core.secrets import NAME, names_in, replaced
from ..core.values import did_you_mean

MAX_BYTES = 64 * 1024
"""Bytes of a secret in a file, at most."""
SOURCES = ("env", "env_prefix", "folder")
"""The keys of SECRETS."""


class UnknownSecret(InvalidArguments):
    """The arguments refer to a secret that does not exist."""

    code = "UNKNOWN_SECRET"


def read(name: str) -> str:
    """Return the value of the secret `name`.

    It is the environment variable of that name, if `env` lists it; or the variable with `env_prefix` before the name;
    or the file of that name in `folder`, without a line break at its end. Raises `UnknownSecret`, which names it.
    """
    value = _from_environment(name)
    if value is None:
        value = _from_folder(name)
    if value is None:
        raise UnknownSecret(f"there is no secret {name!r}: {_places()}")
    return value


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` without the variables that are secrets."""
    names, prefix = conf.SECRETS.get("env", ()), conf.SECRETS.get("env_prefix", "")
    return {
        name: value
        for name, value in environment.items()
        if name not in names and not (prefix and name.startswith(prefix))
    }


def exists(name: str) -> bool:
    """Tell whether this process finds the secret `name`."""
    try:
        read(name)
    except UnknownSecret:
        return False
    return True


def resolve(args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any], list[str]]:
    """Return the arguments with the values of their secrets, and these values. Raises `UnknownSecret`."""
    values = {name: read(name) for name in names_in(args, kwargs)}
    return replaced(args, values.__getitem__), replaced(kwargs, values.__getitem__), list(values.values())


def setting_problems(setting: Mapping[str, Any]) -> Iterator[str]:
    """Yield the errors in the form of SECRETS. No message shows a value."""
    for key in setting:
        if key not in SOURCES:
            hint = did_you_mean(str(key), SOURCES) or f"; its keys are {', '.join(SOURCES)}"
            yield f"has no key {str(key)[:40]!r}{hint}"
    names = setting.get("env", [])
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and NAME.fullmatch(name) for name in names):
        yield 'env must be a list of environment variables, such as ["SMTP_PASSWORD"]'
    prefix = setting.get("env_prefix", "")
    if not isinstance(prefix, str) or (prefix and not NAME.fullmatch(prefix)):
        yield "env_prefix must be a text with which environment variables begin, such as JOB_SECRET_"
    folder = setting.get("folder", "")
    if not isinstance(folder, str | Path) or (str(folder) not in ("", ".") and not Path(folder).is_absolute()):
        yield "folder must be an absolute path, such as /run/secrets"


def folder() -> Path | None:
    """Return the folder whose files are secrets; None if there is none."""
    path = conf.SECRETS.get("folder", "")
    return Path(path) if path else None


def _from_environment(name: str) -> str | None:
    if name in conf.SECRETS.get("env", ()):
        return os.environ.get(name)
    prefix = conf.SECRETS.get("env_prefix", "")
    return os.environ.get(prefix + name) if prefix else None


def _from_folder(name: str) -> str | None:
    place = folder()
    if place is None:
        return None
    try:
        with open(place / name, "rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UnknownSecret(f"the secret {name!r} is too long: its file has more than {MAX_BYTES // 1024} KB")
        return content.decode().removesuffix("\n").removesuffix("\r")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise UnknownSecret(f"the secret {name!r} cannot be read from its file: {why}") from None


def _places() -> str:
    setting = conf.SECRETS
    places = []
    if setting.get("env"):
        places.append("the environment variables of SECRETS")
    if prefix := setting.get("env_prefix"):
        places.append(f"those that begin with {prefix}")
    if setting.get("folder"):
        places.append(f"the folder {setting['folder']}")
    return f"it is not in {' or in '.join(places)}" if places else "SECRETS names no place for it"
