"""Export lists as files: CSV for tables, JSON for programs. The rows are sent while they are read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from django.http import StreamingHttpResponse

from ..core.tables import csv_text

KINDS = ("csv", "json")
"""The kinds of files."""
TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
PART = 500
"""Rows that are sent together."""


def download(
    kind: str, name: str, columns: Sequence[str], rows: Iterable[dict[str, Any]], now: datetime
) -> StreamingHttpResponse:
    """Return `rows` as a file of one of `KINDS`, which browsers save under `name` and the instant `now`."""
    parts = _csv(columns, iter(rows)) if kind == "csv" else _json(rows)
    # A damaged row may hold lone surrogates, which UTF-8 cannot encode.
    encoded = (part.encode("utf-8", "backslashreplace") for part in parts)
    response = StreamingHttpResponse(encoded, content_type=TYPES[kind])
    response["Content-Disposition"] = f'attachment; filename="{name}-{now:%Y%m%dT%H%M%SZ}.{kind}"'
    response["Cache-Control"] = "no-store"
    return response


def _csv(columns: Sequence[str], rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    yield csv_text([columns])
    while part := list(islice(rows, PART)):
        yield csv_text([_cell(row[name]) for name in columns] for row in part)


def _json(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    before = "[\n"
    for row in rows:
        yield before + json.dumps(row, default=_plain, ensure_ascii=False)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def _cell(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    if isinstance(value, dict | list):
        return json.dumps(value, default=_plain, ensure_ascii=False)
    return _plain(value) if isinstance(value, datetime) else value


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
    return str(value)
