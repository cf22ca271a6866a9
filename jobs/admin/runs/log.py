"""The log of a run: its last lines on the page, earlier and later ones by fragments, and the whole log as a file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ...core.output import HEAD, StoredOutput, mark, read_from
from ...core.runs import ACTIVE, RunStatus
from ...models import Run
from ...selectors.run_search import run_number
from . import ansi

LINES = 500
"""Lines that the page shows."""
CHARACTERS = 64 * 1024
"""Characters that the page shows."""
_GAP = re.compile(r"\[[\d,]+ characters left out\]")
_LEVELS = {"ERROR": "bad", "CRITICAL": "bad", "WARNING": "warn"}


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
    omitted: int
    ended: bool
    note: str
    """The text in place of an empty log."""


def log_of(run: Run) -> Log:
    """Return the end of the log of `run`."""
    output = _stored(run)
    start = _start(output.text)
    before = output.text.count("\n", 0, start)
    ended = run.status not in ACTIVE
    part = _part(output.text[start:], first=before + 1, offset=output.size, ended=ended)
    return Log(
        part=part, first=_logical(output, start), before=before, count=before + part.count, size=size(output.size),
        omitted=output.omitted, ended=ended, note="" if part.count else _note(run),
    )  # fmt: skip


def fragment(request: HttpRequest, object_id: str) -> HttpResponse:
    """Answer a request for lines: from the character `offset` on, or with `until` all before that character.

    `line` is the number of the line at `offset`.
    """
    run = _run(object_id, "id", "status", "output", "output_omitted")
    output, ended = _stored(run), run.status not in ACTIVE
    until = request.GET.get("until")
    if until is not None:
        text = output.text[: _index(output, _number(until))]
        part = _part(text, first=1, offset=0, ended=True)
    else:
        text, size_now = _since(output, _number(request.GET.get("offset")))
        first = max(_number(request.GET.get("line")), 1)
        part = _part(text, first=first, offset=size_now, ended=ended)
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


def _number(text: Any) -> int:
    return run_number(str(text or "0")) or 0


def _note(run: Run) -> str:
    if run.status == RunStatus.QUEUED:
        return "It has not started yet."
    if run.status == RunStatus.RUNNING:
        return "Waiting for its first output."
    return "It wrote nothing."


def _start(text: str) -> int:
    """Return the index of the first line that the page shows."""
    start = max(len(text) - CHARACTERS, 0)
    if start:
        start = text.find("\n", start) + 1
    shown = text[start:]
    surplus = shown.count("\n") - LINES
    return start if surplus <= 0 else len(text) - len("\n".join(shown.split("\n")[surplus:]))


def _logical(output: StoredOutput, index: int) -> int:
    """Return the offset of the character at `index` of the kept output."""
    if not output.omitted or index <= HEAD:
        return index
    return max(index - len(mark(output.omitted)), HEAD) + output.omitted


def _index(output: StoredOutput, offset: int) -> int:
    """Return the index in the kept output of the character `offset`: the inverse of `_logical`."""
    if not output.omitted or offset <= HEAD:
        return offset
    return max(offset - output.omitted, HEAD) + len(mark(output.omitted))


def _since(output: StoredOutput, offset: int) -> tuple[str, int]:
    position = offset if offset <= HEAD else max(HEAD, offset - output.omitted)
    return read_from(offset, output.text[position:], output.omitted)


def _part(text: str, *, first: int, offset: int, ended: bool) -> Part:
    """Return the lines of `text`, numbered from `first` on; it ends at the character `offset`.

    While a run goes on, its last line may be incomplete. It is marked as open, and is sent again with later text.
    """
    *lines, rest = text.split("\n")
    rows = [_row(number, line) for number, line in enumerate(lines, first)]
    line = first + len(rows)
    if rest:
        rows.append(_row(line, rest, is_open=not ended))
        line, offset = (line + 1, offset) if ended else (line, offset - len(rest))
    return Part(lines=format_html_join("", "{}", ((row,) for row in rows)), offset=offset, line=line, count=len(rows))


def _row(number: int, line: str, *, is_open: bool = False) -> SafeString:
    if _GAP.fullmatch(line):
        return format_html('<li class="gap" data-n="…"><span>{}</span></li>', line)
    look = _LEVELS.get(ansi.plain(line[:80]).partition(" ")[0], "")
    more = format_html(' class="{}"', look) if look else ""
    mark_open = format_html(" {}", "data-open") if is_open else ""
    return format_html('<li data-n="{}"{}{}><span>{}</span></li>', str(number), more, mark_open, ansi.to_html(line))
