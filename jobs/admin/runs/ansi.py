"""Convert output for terminals to HTML: colours become classes, and other control sequences are removed."""

from __future__ import annotations

import re
from collections.abc import Iterator

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

_SEQUENCE = re.compile(r"\x1b\[([0-9;:]*)m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
COLOURS = "krgybmcw"
"""The letters of the eight colours, in the order of their numbers: the classes are ansi-k to ansi-w."""
STYLES = {1: "ansi-bold", 2: "ansi-dim", 3: "ansi-italic", 4: "ansi-under"}
"""The classes of the other styles."""
ENDS = {22: ("ansi-bold", "ansi-dim"), 23: ("ansi-italic",), 24: ("ansi-under",), 39: ("colour",)}
"""The styles that some numbers end."""


def to_html(line: str) -> SafeString:
    """Return one line of output as HTML. As on a terminal, text before a carriage return is overwritten."""
    line = line.rstrip("\r").rpartition("\r")[2]
    if "\x1b" not in line:
        return mark_safe(_text(line))  # noqa: S308 (escaped)
    parts = (
        f'<span class="{" ".join(classes)}">{_text(text)}</span>' if classes else _text(text)
        for text, classes in _styled(line)
        if text
    )
    return mark_safe("".join(parts))  # noqa: S308 (each part is escaped)


def plain(line: str) -> str:
    """Return one line of output without control sequences."""
    return _CONTROL.sub("", _SEQUENCE.sub("", line))


def _text(text: str) -> str:
    return escape(_CONTROL.sub("\ufffd", text))


def _styled(line: str) -> Iterator[tuple[str, list[str]]]:
    style: dict[str, str] = {}
    at = 0
    for found in _SEQUENCE.finditer(line):
        yield line[at : found.start()], list(style.values())
        at = found.end()
        if found[1] is not None:
            _change(style, found[1])
    yield line[at:], list(style.values())


def _change(style: dict[str, str], codes: str) -> None:
    """Change `style` by the numbers of a sequence; unknown ones are ignored."""
    numbers = [int(code[:3]) if code else 0 for code in codes.replace(":", ";").split(";")]
    while numbers:
        number = numbers.pop(0)
        if number == 0:
            style.clear()
        elif number in STYLES:
            style[STYLES[number]] = STYLES[number]
        elif number in ENDS:
            for name in ENDS[number]:
                style.pop(name, None)
        elif 30 <= number <= 37 or 90 <= number <= 97:
            style["colour"] = f"ansi-{COLOURS[number % 10]}"
        elif number in (38, 48, 58):  # colours of 256 or of 24 bits: their numbers follow
            del numbers[: 2 if numbers[:1] == [5] else 4]
