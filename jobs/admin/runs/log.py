"""The log of a run: its last lines on the page, earlier and later ones by fragments, and the whole log as a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ...core.output import HEAD, StoredOutput, gap_line, position, read_from
from ...core.output_marks import Mark, decoded, mark_at
from ...core.runs import ACTIVE, RunStatus
from ...models import Run
from ...selectors.run_search import run_number
from ..times import Times
from . import ansi

LINES = 500
"""Lines that the page shows."""
CHARACTERS = 64 * 1024
"""Characters that the page shows."""
TAIL_LINES, TAIL_CHARACTERS = 10, 4096
"""Lines that the list of runs shows of one log, and their characters, at most."""
_GAP = re.compile(r"\[\d{1,3}(?:,\d{3}){0,6} characters left out\]")
_LEVELS = {"ERROR": "bad", "CRITICAL": "bad", "WARNING": "warn"}


@dataclass(frozen=True, slots=True)
class Lines:
    """When the lines of a log were written, and on which stream."""

    marks: Sequence[Mark]
    began: datetime | None
    times: Times

    def at(self, offset: int) -> tuple[str, bool]:
        """Return the time at which the character `offset` was written, and whether it is of standard error."""
        found = mark_at(self.marks, offset)
        if found is None or self.began is None:
            return "", found is not None and found.is_error
        try:
            written = self.began + timedelta(milliseconds=found.milliseconds)
        except OverflowError:  # damaged
            return "", found.is_error
        return self.times.to_the_millisecond(written), found.is_error


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Lines of a log. `offset` is the number of characters before the next line, `line` the number of lines."""

    lines: SafeString
    offset: int
    line: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The log on the page of a run. `first` is the offset of the first shown line."""

    part: Part
    first: int
    before: int
    """The number of lines before the shown ones."""
    count: int
    size: str
    has_times: bool
    omitted: int
    ended: bool
    note: str
    """The text in place of an empty log."""


def log_of(run: Run, times: Times) -> Log:
    """Return the end of the log of `run`."""
    output, lines = _stored(run), _lines(run, times)
    start = _start(output.text)
    before = output.text.count("\n", 0, start)
    ended = run.status not in ACTIVE
    part = _part(output.text[start:], lines, first=before + 1, offset=output.size, ended=ended)
    return Log(
        part=part, first=_offset_of(output, start), before=before, count=before + part.count, size=size(output.size),
        has_times=not ended or bool(lines.marks),
        omitted=output.omitted, ended=ended, note="" if part.count else _note(run),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The last lines of the log of a run, in the list of runs."""

    lines: SafeString
    before: int
    """The number of lines before the shown ones."""
    note: str
    """The text in place of an empty log."""


def tails(run_ids: Iterable[int], times: Times) -> dict[int, Tail]:
    """Return the last lines of the logs of runs, by the ids of the runs."""
    found = Run.objects.only("id", "status", "started_at", "output", "output_omitted", "output_marks")
    return {run.pk: _tail(run, times) for run in found.filter(pk__in=run_ids)}


def _tail(run: Run, times: Times) -> Tail:
    output = _stored(run)
    start = max(_start(output.text, TAIL_LINES, TAIL_CHARACTERS), len(output.text) - TAIL_CHARACTERS)
    before = output.text.count("\n", 0, start)
    ended = run.status not in ACTIVE
    part = _part(output.text[start:], _lines(run, times), first=before + 1, offset=output.size, ended=ended)
    return Tail(lines=part.lines, before=before, note="" if part.count else _note(run))


def fragment(request: HttpRequest, object_id: str) -> HttpResponse:
    """Answer a request for lines: from the character `offset` on, or with `until` all before that character.

    `line` is the number of the line at `offset`.
    """
    run = _run(object_id, "id", "status", "started_at", "output", "output_omitted", "output_marks")
    output, ended, lines = _stored(run), run.status not in ACTIVE, _lines(run, Times.of(request))
    until = request.GET.get("until")
    if until is not None:
        end = _number(until)
        part = _part(output.text[: _index_of(output, end)], lines, first=1, offset=end, ended=True)
    else:
        text, size_now = _since(output, _number(request.GET.get("offset")))
        first = max(_number(request.GET.get("line")), 1)
        part = _part(text, lines, first=first, offset=size_now, ended=ended)
    state = "ended" if ended else "running"
    shown = '<ol data-offset="{}" data-line="{}" data-state="{}">{}</ol>'
    response = HttpResponse(format_html(shown, str(part.offset), str(part.line), state, part.lines))
    response["Cache-Control"] = "no-store"
    return response


def download(request: HttpRequest, object_id: str) -> HttpResponse:
    """Answer with the kept log as a file."""
    run = _run(object_id, "id", "output")
    response = HttpResponse(run.output, content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="run-{run.pk}.log"'
    response["Cache-Control"] = "no-store"
    return response


def size(characters: int) -> str:
    """Return a number of characters in words."""
    if characters < 1000:
        return f"{characters} characters"
    return f"{characters / 1000:,.1f} kB" if characters < 1_000_000 else f"{characters / 1_000_000:,.1f} MB"


def _run(object_id: str, *fields: str) -> Run:
    number = run_number(object_id)
    run = Run.objects.only(*fields).filter(pk=number).first() if number is not None else None
    if run is None:
        raise Http404("There is no such run.")
    return run


def _stored(run: Run) -> StoredOutput:
    return StoredOutput(str(run.output or ""), run.output_omitted or 0)


def _lines(run: Run, times: Times) -> Lines:
    return Lines(decoded(run.output_marks), run.started_at, times)


def _number(text: Any) -> int:
    return run_number(str(text or "0")) or 0


def _note(run: Run) -> str:
    if run.status == RunStatus.QUEUED:
        return "It has not started yet."
    if run.status == RunStatus.RUNNING:
        return "Waiting for its first output."
    return "It wrote nothing."


def _start(text: str, lines: int = LINES, characters: int = CHARACTERS) -> int:
    """Return the index of the first of the last `lines` lines, which have at most so many `characters`."""
    start = max(len(text) - characters, 0)
    if start:
        start = text.find("\n", start) + 1
    shown = text[start:]
    surplus = shown.count("\n") - (lines - 1 if shown and not shown.endswith("\n") else lines)
    return start if surplus <= 0 else len(text) - len("\n".join(shown.split("\n")[surplus:]))


def _offset_of(output: StoredOutput, index: int) -> int:
    """Return the offset of the character at `index` of the kept output."""
    if not output.omitted or index <= HEAD:
        return index
    return max(index - len(gap_line(output.omitted)), HEAD) + output.omitted


def _index_of(output: StoredOutput, offset: int) -> int:
    """Return the index in the kept output of the character `offset`: the opposite of `_offset_of`."""
    if not output.omitted or offset <= HEAD:
        return offset
    return max(offset - output.omitted, HEAD) + len(gap_line(output.omitted))


def _since(output: StoredOutput, offset: int) -> tuple[str, int]:
    return read_from(offset, output.text[position(offset, output.omitted) :], output.omitted)


def _part(text: str, written: Lines, *, first: int, offset: int, ended: bool) -> Part:
    """Return the lines of `text`, numbered from `first` on; it ends at the character `offset`.

    While a run goes on, its last line may be incomplete. It is marked as open, and is sent again with later text.
    """
    *lines, rest = text.split("\n")
    starts, end = _starts(lines, rest, offset), offset - len(rest)
    rows = [_row(first + index, line, *written.at(starts[index])) for index, line in enumerate(lines)]
    line = first + len(rows)
    if rest:
        rows.append(_row(line, rest, *written.at(end), is_open=not ended))
        line, offset = (line + 1, offset) if ended else (line, end)
    return Part(lines=format_html_join("", "{}", ((row,) for row in rows)), offset=offset, line=line, count=len(rows))


def _starts(lines: list[str], rest: str, end: int) -> list[int]:
    """Return the offset of each line, counted back from `end`. The line of a gap stands for as many characters."""
    starts: list[int] = []
    end -= len(rest)
    for line in reversed(lines):
        gap = _GAP.fullmatch(line)
        # The line breaks around a gap were not written.
        end -= int(line[1:].partition(" ")[0].replace(",", "")) - 1 if gap else len(line) + 1
        starts.append(end)
    return starts[::-1]


def _row(number: int, line: str, at: str, is_error: bool, *, is_open: bool = False) -> SafeString:
    if _GAP.fullmatch(line):
        return format_html('<li class="gap" data-n="…"><span>{}</span></li>', line)
    looks = [_LEVELS.get(ansi.plain(line[:80]).partition(" ")[0], ""), "err" if is_error else ""]
    classes = " ".join(filter(None, looks))
    more = format_html(' class="{}"', classes) if classes else ""
    mark_open = format_html(" {}", "data-open") if is_open else ""
    return format_html(
        '<li data-n="{}"{}{}>{}<span>{}</span></li>', str(number), more, mark_open,
        format_html("<time>{}</time>", at) if at else "", ansi.to_html(line),
    )  # fmt: skip
