"""Output of the command line: tables for people, JSON with `--json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

Row = Mapping[str, Any]


class Output:
    """Where a subcommand prints.

    With `rich` installed, and a terminal, tables have colours and fit its width; NO_COLOR is honoured. In a pipe, and
    without `rich`, they are plain columns.
    """

    def __init__(self, out: TextIO, err: TextIO, *, as_json: bool) -> None:
        """Print to `out`; what is not the answer itself goes to `err`."""
        self.out, self.err, self.as_json = out, err, as_json

    def write(self, text: str) -> None:
        """Print text as it is."""
        # Django's wrapper of the stream would add a line feed.
        getattr(self.out, "_out", self.out).write(text)

    def line(self, text: str = "") -> None:
        """Print one line of text."""
        self.write(text + "\n")

    def note(self, text: str) -> None:
        """Print a line that is not part of the answer."""
        self.err.write(text + "\n")

    def json(self, value: Any) -> None:
        """Print a value as JSON."""
        self.line(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))

    def table(self, columns: Sequence[str], rows: Sequence[Row], *, empty: str) -> None:
        """Print `rows`, each a mapping by column, as a table, or as a JSON array of objects."""
        if self.as_json:
            self.json([dict(row) for row in rows])
        elif not rows:
            self.line(empty)
        elif self._is_terminal() and (rich := _rich()) is not None:
            rich(self.out, columns, [[_text(row.get(name)) for name in columns] for row in rows])
        else:
            self._plain_table(columns, [[_text(row.get(name)) for name in columns] for row in rows])

    def _is_terminal(self) -> bool:
        return bool(getattr(self.out, "isatty", lambda: False)())

    def _plain_table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        titles = [name.upper().replace("_", " ") for name in columns]
        widths = [max(len(line[index]) for line in [titles, *rows]) for index in range(len(columns))]
        for line in [titles, *rows]:
            self.line("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return _plain(value)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
    return str(value)


def _rich() -> Any:
    """Return what prints a table with `rich`; None where that is not installed."""
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return None

    def show(out: TextIO, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        table = Table(box=box.SIMPLE_HEAD, header_style="bold")
        for name in columns:
            table.add_column(name.replace("_", " "))
        for row in rows:
            table.add_row(*(Text(text, style=COLOURS.get(text, "")) for text in row))
        Console(file=out if out is not sys.stdout else None).print(table)

    return show


COLOURS = {
    "succeeded": "green", "failed": "red", "timed_out": "red", "lost": "magenta", "running": "blue", "paused": "yellow",
    "broken": "red", "missed": "yellow", "ok": "green", "warning": "yellow", "error": "red", "create": "green",
    "change": "yellow", "pause": "yellow", "invalid": "red", "mapped": "green", "left out": "red",
}  # fmt: skip
"""The colours of statuses, states and outcomes; the word is always there too."""
