"""Export records as files of any length: CSV for spreadsheets, JSON lines for programs, both streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from django.http import StreamingHttpResponse

from ..core.tables import csv_text
from .rendering import to_json

Row = dict[str, Any]
"""The fields of a record in an export."""
Parts = Iterable[Sequence[Row]]
"""The rows, in the parts in which they are read."""


def exported(name: str, kind: str, parts: Parts, fields: Sequence[str]) -> StreamingHttpResponse:
    """Return the rows in `parts`, each with these `fields`, as a file called `name`.csv or `name`.jsonl.

    The first part is read before the response begins, so that a database that is away still gives a 503.
    """
    write, media_type = EXPORTS[kind]
    rest = iter(parts)
    first = next(rest, ())

    def all_parts() -> Iterator[Sequence[Row]]:
        yield first
        yield from rest

    headers = {"Content-Disposition": f'attachment; filename="{name}.{kind}"'}
    return StreamingHttpResponse(write(all_parts(), fields), content_type=media_type, headers=headers)


def csv_lines(parts: Parts, fields: Sequence[str]) -> Iterator[bytes]:
    """Yield the rows as CSV (RFC 4180) in UTF-8, after a line with the names of the fields."""
    yield _encoded(csv_text([fields]))
    for rows in parts:
        yield _encoded(csv_text([row[name] for name in fields] for row in rows))


def json_lines(parts: Parts, fields: Sequence[str]) -> Iterator[bytes]:
    """Yield the rows as JSON lines: one object in each."""
    for rows in parts:
        yield b"".join(to_json(row) + b"\n" for row in rows)


EXPORTS: dict[str, tuple[Callable[[Parts, Sequence[str]], Iterator[bytes]], str]] = {
    "csv": (csv_lines, "text/csv; charset=utf-8"),
    "jsonl": (json_lines, "application/x-ndjson"),
}
"""The formats, each with its writer and its media type."""


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
