"""Files of jobs: `version: 1`, `jobs` with bodies as in the API, and `alerts` with rules (`alert_rules`).

A file is YAML if PyYAML is installed, and else JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..core.exceptions import InvalidRequest

VERSION = 1
"""The version of the form of files."""
STANDARD_INPUT = "-"
"""The path that means the standard input."""
MAX_CHARACTERS = 10_000_000
"""The length of a file, at most."""
HEADER = "# Jobs of Cronzimus. `manage.py cronzimus diff -f FILE` shows what applying this file would change.\n"
"""The first line of a YAML file."""


class Content(NamedTuple):
    """The content of a file, not validated."""

    jobs: Sequence[Mapping[str, Any]]
    alerts: Sequence[Mapping[str, Any]] = ()


def load(text: str, *, name: str = "the file") -> Content:
    """Return the jobs and alert rules of a file.

    Args:
        text: the file's content, YAML or JSON (which is YAML as well).
        name: the file's name in messages.

    Raises `InvalidRequest` if it has another form. The jobs themselves are left to the validator.
    """
    if len(text) > MAX_CHARACTERS:
        raise InvalidRequest(f"{name} is too large: at most {MAX_CHARACTERS // 1_000_000} MB are read")
    content = _parse(text, name)
    if not isinstance(content, Mapping):
        raise InvalidRequest(f"{name} must be an object with the keys 'version' and 'jobs'")
    unknown = sorted(str(key) for key in content.keys() - {"version", "jobs", "alerts"})
    if unknown:
        raise InvalidRequest(f"{name} has the unknown key {unknown[0]!r}; its keys are 'version', 'jobs' and 'alerts'")
    if content.get("version") != VERSION:
        raise InvalidRequest(f"{name} has the version {content.get('version')!r}; this one reads version {VERSION}")
    return Content(_objects(content, "jobs", name), _objects({"alerts": [], **content}, "alerts", name))


def _objects(content: Mapping[str, Any], key: str, name: str) -> list[dict[str, Any]]:
    values = content.get(key)
    if not isinstance(values, list):
        raise InvalidRequest(f"{name}: {key!r} must be a list")
    for index, value in enumerate(values):
        if not isinstance(value, dict):
            raise InvalidRequest(f"{name}: {key}[{index}] is not an object")
    return values


def content_of(jobs: Iterable[Mapping[str, Any]], alerts: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Return the content of a file with these jobs and alert rules."""
    content: dict[str, Any] = {"version": VERSION, "jobs": [dict(job) for job in jobs]}
    if rules := [dict(rule) for rule in alerts]:
        content["alerts"] = rules
    return content


def dump(jobs: Iterable[Mapping[str, Any]], alerts: Iterable[Mapping[str, Any]] = ()) -> str:
    """Return the text of a file: YAML if PyYAML is installed, else JSON, which YAML readers take as well."""
    content = content_of(jobs, alerts)
    try:
        import yaml
    except ImportError:
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return HEADER + str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120))


def read(path: str) -> Content:
    """Return the content of the file at `path`. Raises `InvalidRequest` as `load` does, and if it cannot be read."""
    try:
        text = read_text(path)
    except ValueError as error:
        raise InvalidRequest(str(error)) from error
    return load(text, name=shown_path(path))


def shown_path(path: str) -> str:
    """Return the name of a file in messages."""
    return "the standard input" if path == STANDARD_INPUT else path


def read_text(path: str) -> str:
    """Return the text of the file at `path`, or of the standard input for "-". Raises `ValueError` with the reason."""
    try:
        data = sys.stdin.buffer.read() if path == STANDARD_INPUT else Path(path).read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{shown_path(path)} cannot be read: it is not UTF-8") from error


def _parse(text: str, name: str) -> Any:
    try:
        from .yaml_loader import parse
    except ImportError:
        return _parse_json(text, name)
    try:
        return parse(text)
    except (RecursionError, ValueError) as error:
        raise InvalidRequest(f"{name} is not YAML that can be read: {' '.join(str(error).split())[:300]}") from error


def _parse_json(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        hint = "" if text.lstrip().startswith("{") else "; to read YAML, install PyYAML"
        raise InvalidRequest(f"{name} is not JSON: {error}{hint}") from error
