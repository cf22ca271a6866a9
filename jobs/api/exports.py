"""Records as files: CSV for spreadsheets and JSON lines for programs, streamed, so that they may be of any length."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from django.http import StreamingHttpResponse

from .rendering import to_json

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""How a text begins that a spreadsheet may take for a formula (OWASP, CSV Injection)."""

Row = dict[str, Any]
"""What is shown of a record."""
Parts = Iterable[Sequence[Row]]
"""The rows, as many at a time as are read together."""


def exported(name: str, kind: str, parts: Parts, fields: Sequence[str]) -> StreamingHttpResponse:
    """Return the rows in `parts`, each with these `fields`, as a file called `name`.csv or `name`.jsonl.

    The first part is read before the response begins, so that a database that is away is still told with a 503.
    """
    write, media_type = EXPORTS[kind]
    rest = iter(parts)
    first = next(rest, ())

    def all_parts() -> Iterator[Sequence[Row]]:
        yield first
        yield from rest

    headers = {"Content-Disposition": f'attachment; filename="{name}.{kind}"'}
    return StreamingHttpResponse(write(all_parts(), fields), content_type=media_type, headers=headers)


class _Line:
    """What a CSV writer writes to: the line is taken from it and sent."""

    def write(self, line: str) -> str:
        """Return the line."""
        return line


def csv_lines(parts: Parts, fields: Sequence[str]) -> Iterator[bytes]:
    """Yield the rows as CSV (RFC 4180) in UTF-8, after a line with the names of the fields."""
    writer = csv.writer(_Line())
    yield _encoded(writer.writerow(fields))
    for rows in parts:
        yield _encoded("".join(writer.writerow([_cell(row[name]) for name in fields]) for row in rows))


def json_lines(parts: Parts, fields: Sequence[str]) -> Iterator[bytes]:
    """Yield the rows as JSON lines: one object in each."""
    for rows in parts:
        yield b"".join(to_json(row) + b"\n" for row in rows)


EXPORTS: dict[str, tuple[Callable[[Parts, Sequence[str]], Iterator[bytes]], str]] = {
    "csv": (csv_lines, "text/csv; charset=utf-8"),
    "jsonl": (json_lines, "application/x-ndjson"),
}
"""The formats, each with what writes it and its media type."""


def _cell(value: Any) -> Any:
    """Return a value as it stands in a cell. A text that would be a formula begins with an apostrophe."""
    if isinstance(value, dict | list | bool):
        value = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value


def _encoded(text: Any) -> bytes:
    return str(text).encode("utf-8", "backslashreplace")
