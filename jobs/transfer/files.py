"""Jobs in files: `version: 1`, and under `jobs` the bodies that the API takes.

A file is YAML where PyYAML is installed, and JSON elsewhere.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..core.exceptions import InvalidRequest

VERSION = 1
STANDARD_INPUT = "-"
"""The name of the standard input in place of a file's."""
MAX_BYTES = 10_000_000
HEADER = "# Jobs of Cronzimus. `manage.py cronzimus diff -f FILE` shows what applying this file would change.\n"


def load(text: str, *, name: str = "the file") -> list[dict[str, Any]]:
    """Return the jobs of a file.

    Args:
        text: the file's content, YAML or JSON (which is YAML as well).
        name: what messages call it.

    Raises `InvalidRequest` where it has another form; a wrong job is left to the validator.
    """
    if len(text) > MAX_BYTES:
        raise InvalidRequest(f"{name} is too large: at most {MAX_BYTES // 1_000_000} MB are read")
    content = _parse(text, name)
    if not isinstance(content, Mapping):
        raise InvalidRequest(f"{name} must be an object with the keys 'version' and 'jobs'")
    unknown = sorted(str(key) for key in content.keys() - {"version", "jobs"})
    if unknown:
        raise InvalidRequest(f"{name} has the unknown key {unknown[0]!r}; its keys are 'version' and 'jobs'")
    if content.get("version") != VERSION:
        raise InvalidRequest(f"{name} has the version {content.get('version')!r}; this one reads version {VERSION}")
    jobs = content.get("jobs")
    if not isinstance(jobs, list):
        raise InvalidRequest(f"{name}: 'jobs' must be a list")
    for index, job in enumerate(jobs):
        if not isinstance(job, dict):
            raise InvalidRequest(f"{name}: jobs[{index}] is not an object")
    return jobs


def dump(jobs: Iterable[Mapping[str, Any]]) -> str:
    """Return a file with `jobs`: YAML where PyYAML is installed, else JSON, which YAML readers take as well."""
    content = {"version": VERSION, "jobs": [dict(job) for job in jobs]}
    try:
        import yaml
    except ImportError:
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return HEADER + str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120))


def read(path: str) -> list[dict[str, Any]]:
    """Return the jobs of the file at `path`. Raises `InvalidRequest` as `load` does, and where it cannot be read."""
    try:
        text = read_text(path)
    except ValueError as error:
        raise InvalidRequest(str(error)) from error
    return load(text, name=path)


def read_text(path: str) -> str:
    """Return the text of the file at `path`, of the standard input for "-". Raises `ValueError` that says why not."""
    try:
        data = sys.stdin.buffer.read() if path == STANDARD_INPUT else Path(path).read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} cannot be read: it is not UTF-8") from error


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
