"""Output of the command line: tables for people, JSON with `--json`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

Row = Mapping[str, Any]
GAP = 2
"""Blanks between two columns."""
NARROWEST_WRAPPED = 16
"""The smallest width of a column that may wrap."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Output:
    """The output of a subcommand.

    On a terminal, and with `rich` installed, tables have colours and fit the width; NO_COLOR is honoured. In a pipe,
    and without `rich`, they are plain columns.
    """

    def __init__(self, out: TextIO, err: TextIO, *, as_json: bool, colour: bool | None = None) -> None:
        """Print the answer to `out`, and notes to `err`.

        `colour` is whether tables have colours; None decides by the terminal and NO_COLOR.
        """
        self.out, self.err, self.as_json, self._colour = out, err, as_json, colour

    def write(self, text: str) -> None:
        """Print text unchanged."""
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

    def fields(self, row: Row) -> None:
        """Print one object: a line for each of its fields, or JSON."""
        if self.as_json:
            self.json(dict(row))
            return
        for name, value in row.items():
            self.line(f"{_title(name)}: {_text(value)}")

    def table(
        self, columns: Sequence[str], rows: Sequence[Row], *, empty: str, wrap: str = "", drop: Sequence[str] = ()
    ) -> None:
        """Print `rows`, each a mapping by column, as a table, or as a JSON array of objects.

        Args:
            columns: the names of the columns, in their order.
            rows: the rows.
            empty: the text for no rows.
            wrap: the column whose texts take several lines on a narrow terminal.
            drop: the columns that a narrow terminal leaves out, the first one first.
        """
        if self.as_json:
            self.json([dict(row) for row in rows])
        elif not rows:
            self.line(empty)
        elif (console := self._console()) is not None:
            self._rich_table(console, columns, rows, wrap, drop)
        else:
            self._plain_table(columns, [[_text(row.get(name)) for name in columns] for row in rows])

    def flush(self) -> None:
        """Write the buffered output, so that an error of the stream is raised here."""
        self.out.flush()

    def _console(self) -> Any:
        """Return rich's console; None in a pipe without `--force-color`, and if rich is not installed."""
        if not (self._colour or getattr(self.out, "isatty", lambda: False)()):
            return None
        try:
            from rich.console import Console
        except ImportError:
            return None
        return Console(
            file=self.out, no_color=True if self._colour is False else None, force_terminal=self._colour or None
        )

    def _rich_table(
        self, console: Any, columns: Sequence[str], rows: Sequence[Row], wrap: str, drop: Sequence[str]
    ) -> None:
        texts = {name: [_text(row.get(name)) for row in rows] for name in columns}
        shown = _fitting(texts, console.width, wrap, drop)
        if shown is None:
            for row in rows:
                self.line("\n".join(f"{_title(name)}: {_text(row.get(name))}" for name in columns) + "\n")
            return
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, GAP, 0, 0))
        for name in shown:
            table.add_column(_title(name), no_wrap=name != wrap, overflow="fold")
        for index in range(len(rows)):
            table.add_row(
                *(Text(texts[name][index], style=COLOURS.get(texts[name][index], "")) for name in shown)
            )  # fmt: skip
        console.print(table)

    def _plain_table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        titles = [_title(name).upper() for name in columns]
        widths = [max(len(line[index]) for line in [titles, *rows]) for index in range(len(columns))]
        for line in [titles, *rows]:
            self.line((" " * GAP).join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _fitting(texts: Mapping[str, Sequence[str]], width: int, wrap: str, drop: Sequence[str]) -> list[str] | None:
    """Return the columns that fit into `width`; None if the table needs more even without those in `drop`."""
    from rich.cells import cell_len

    needed = {name: max(map(cell_len, [_title(name), *column])) for name, column in texts.items()}
    if wrap in needed:
        needed[wrap] = min(needed[wrap], NARROWEST_WRAPPED)
    for name in [*drop, None]:
        if sum(needed.values()) + GAP * (len(needed) - 1) <= width:
            return list(needed)
        needed.pop(name or "", None)
    return None


def _title(name: str) -> str:
    return name.replace("_", " ")


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return _plain(value)
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        value = ", ".join(value)
    elif not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False, default=_plain)
    # A job's name or an error must not move the cursor of a terminal.
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], value)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
    return str(value)


COLOURS = {
    "succeeded": "green", "failed": "red", "timed_out": "red", "lost": "magenta", "running": "blue", "paused": "yellow",
    "broken": "red", "missed": "yellow", "ok": "green", "warning": "yellow", "error": "red", "create": "green",
    "change": "yellow", "pause": "yellow", "invalid": "red", "mapped": "green", "left out": "red",
}  # fmt: skip
"""The colours of statuses, states and outcomes, beside the word itself."""
