"""Lists as files: CSV for tables, JSON for programs. The rows are sent as they are read."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from django.http import StreamingHttpResponse

KINDS = ("csv", "json")
"""The kinds of files."""
TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""How a text begins that a spreadsheet may take for a formula (OWASP, "CSV Injection")."""


class _Echo:
    """A file that hands back what is written to it, so that a csv.writer makes one line at a time."""

    def write(self, text: str) -> str:
        return text


def download(
    kind: str, name: str, columns: Sequence[str], rows: Iterable[dict[str, Any]], now: datetime
) -> StreamingHttpResponse:
    """Return `rows` as a file of one of `KINDS`, which browsers save under `name` and the instant `now`."""
    lines = csv_lines(columns, rows) if kind == "csv" else json_lines(rows)
    # A damaged row may hold halves of characters, which UTF-8 does not have.
    encoded = (line.encode("utf-8", "backslashreplace") for line in lines)
    response = StreamingHttpResponse(encoded, content_type=TYPES[kind])
    response["Content-Disposition"] = f'attachment; filename="{name}-{now:%Y%m%dT%H%M%SZ}.{kind}"'
    response["Cache-Control"] = "no-store"
    return response


def csv_lines(columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield a table with a line of headings (RFC 4180)."""
    writer = csv.writer(_Echo())
    for row in chain([columns], ([_cell(row[name]) for name in columns] for row in rows)):
        yield writer.writerow(row)  # what `_Echo.write` returns


def json_lines(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield an array with an object on each line."""
    before = "[\n"
    for row in rows:
        yield before + json.dumps(row, default=_plain, ensure_ascii=False)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def _cell(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = ", ".join(value)
    elif isinstance(value, list | dict):
        value = json.dumps(value, default=_plain, ensure_ascii=False)
    elif isinstance(value, datetime):
        value = _plain(value)
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
    return str(value)
