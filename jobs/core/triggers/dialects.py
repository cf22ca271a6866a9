"""Advice on expressions that another scheduler accepts, and this one refuses.

Sources: Quartz, Spring, AWS EventBridge, Jenkins, robfig/cron (Go), cronie, and lines pasted from a crontab. Everything
here is asked only after an expression has been refused, and returns None where it has no advice.
"""

from __future__ import annotations

import re
import unicodedata

from ..values import did_you_mean
from .pattern import NICKNAMES

LONGEST_LINE = 1000
"""Characters of a refused line that are examined."""
MAX_SHOWN = 64
"""Characters of the input that a message repeats."""

_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_VALUE = r"\d+|mon|tue|wed|thu|fri|sat|sun|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_LIKE_A_TERM = rf"(?:[*?]|lw?|l-\d+|h(?:\([\d-]*\))?|(?:{_VALUE})(?:[-~](?:{_VALUE}))?)(?:/\d+|[lw]|#\d)?"
_LIKE_A_FIELD = re.compile(rf"{_LIKE_A_TERM}(?:,{_LIKE_A_TERM})*,?", re.ASCII | re.IGNORECASE)
_YEAR = re.compile(r"\d{4}(?:[-/,]\d+)*", re.ASCII)
_ZONE = re.compile(r"(?:CRON_)?TZ=(\S+) *(.*)", re.IGNORECASE)
_EVERY = re.compile(r"@?every:? +(.+)", re.IGNORECASE)
_RATE = re.compile(r"rate\((.+)\)", re.IGNORECASE)
_CALL = re.compile(r"cron\((.+)\)", re.IGNORECASE)
_CLOCK = re.compile(r"(\d\d?)[:.](\d\d)(?::\d\d)?", re.ASCII)
_DURATION = re.compile(
    r"(\d+) ?(weeks?|w|days?|d|hours?|h|minutes?|mins?|m|seconds?|secs?|s)(?![a-z]) ?", re.ASCII | re.IGNORECASE
)
_BARE_DURATION = re.compile(rf"@?((?:{_DURATION.pattern})+)", re.ASCII | re.IGNORECASE)
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*) *=", re.ASCII)
_OPEN_STEP = re.compile(r"\A(\d{1,9})/(\d{1,9})\Z", re.ASCII)
_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
"""The bounds of the five fields of a crontab."""
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_LINE_BREAK = re.compile(r"[\r\n]")
_ODD_BLANKS = re.compile(r"[^\S ]+")
_QUOTES = "\"'`\u2018\u2019\u201c\u201d"
_DASHES = re.compile("[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")
_STARS = re.compile("[\u2217\u22c6\u2731\uff0a]")


def of_line(text: str) -> str | None:
    """Return advice on a crontab expression that does not have five fields."""
    line = text[:LONGEST_LINE].strip()
    for advise in (
        _of_zone, _of_assignment, _of_interval, _of_nickname, _of_call, _of_clock,
        _of_list_with_blanks, _of_more_fields,
    ):  # fmt: skip
        if (advice := advise(line)) is not None:
            return advice
    return None


def of_pasted(text: str) -> str | None:
    """Return advice on a text that has more than a crontab expression: quotes, line breaks, a #, cron( )."""
    line = text[:LONGEST_LINE].strip()
    first, *others = line.splitlines() or [""]
    if len(others) == 1 and (advice := _of_zone(f"{first} {others[0]}")) is not None:
        return advice
    if _LINE_BREAK.search(line):
        return "has several lines; each job has one crontab"
    plain = _ODD_BLANKS.sub(" ", line)
    if len(line) > 1 and line[0] in _QUOTES and line[-1] in _QUOTES:
        plain = plain[1:-1].strip()
    if (advice := _of_comment(plain) or _of_call(plain)) is not None:
        return advice
    return None if plain == text else f'has quotes or blanks that do not belong there; write "{plain[:100]}"'


def of_whole_crontab(text: str) -> str | None:
    """Return advice on a single field that holds all five fields of a crontab."""
    fields = text.split()
    if text.startswith("@") or (len(fields) > 4 and all(map(_LIKE_A_FIELD.fullmatch, fields[:5]))):
        return f'is a whole crontab; write "crontab": "{text[:MAX_SHOWN]}" in place of the single fields'
    return None


def of_term(field: str, part: str) -> str | None:
    """Return advice on one part of a field.

    Args:
        field: minute, hour, day, month, or weekday of a crontab; day_of_week, second and so on by fields.
        part: the text between two commas.
    """
    if not part:
        return f"the {field} has an empty part; write values with a comma between each two of them"
    if not part.isascii():
        plain = unicodedata.normalize("NFKC", _STARS.sub("*", _DASHES.sub("-", part)))
        return f"{part!r} is not plain ASCII; write {plain}" if plain.isascii() else None
    for advise in (_of_marks, _of_names, _of_quartz_days):
        if (advice := advise(field, part.lower())) is not None:
            return f"{part!r} {advice}"
    return None


def turned(first: int, last: int, step: int, low: int, high: int) -> str:
    """Return how to write a range that runs over the end of its field: 22-6 of the hours is "22-23,0-6"."""
    values = [*range(first, high + 1), *range(low, last + 1)][::step]
    if step > 1:
        return ",".join(map(str, values))
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ((first, high), (low, last)))


def _of_zone(line: str) -> str | None:
    if (match := _ZONE.fullmatch(line)) is None:
        return None
    zone, rest = match[1][:MAX_SHOWN].strip("'\""), match[2]
    if not rest:
        return f'the time zone is a field of its own; write "timezone": "{zone}"'
    return f'the time zone is a field of its own; write "timezone": "{zone}" beside "crontab": "{rest[:MAX_SHOWN]}"'


def _of_comment(line: str) -> str | None:
    return "is a comment; write the five fields without the #" if line.startswith("#") else None


def _of_assignment(line: str) -> str | None:
    if (match := _ASSIGNMENT.match(line)) is None:
        return None
    return f"{match[1][:MAX_SHOWN]}= is a line of its own in a crontab; write the five fields alone"


def _of_nickname(line: str) -> str | None:
    if f"@{line.lower()}" in NICKNAMES:
        return f'needs an @; write "@{line.lower()}"'
    if not line.startswith("@") or _EVERY.fullmatch(line):
        return None
    word, _, rest = line[1:].partition(" ")
    if word.lower() == "reboot":
        return "@reboot names no time, so it cannot be scheduled; it has no counterpart here"
    if word.lower() == "every":
        return _INTERVAL
    if f"@{word.lower()}" in NICKNAMES:
        return f'{rest[:MAX_SHOWN]!r} follows @{word}; write "@{word.lower()}" alone: {_COMMAND}'
    hint = did_you_mean(f"@{word.lower()}", NICKNAMES) or f"; write one of {', '.join(NICKNAMES)}"
    return f"@{word[:MAX_SHOWN]} is not known{hint}"


_COMMAND = "the command is the job's func and args"
_INTERVAL = 'an interval is a trigger of its own, of whole seconds; write "trigger": "interval", "seconds": …'


def _of_interval(line: str) -> str | None:
    match = _EVERY.fullmatch(line) or _RATE.fullmatch(line) or _BARE_DURATION.fullmatch(line)
    if match is None:
        return None
    spelled = ", ".join(f'"{_UNITS[unit[0].lower()]}": {number}' for number, unit in _DURATION.findall(match[1]))
    if _DURATION.sub("", match[1]) or not re.search("[1-9]", spelled):
        return _INTERVAL
    return f'an interval is a trigger of its own; write "trigger": "interval", {spelled[:100]}'


def _of_call(line: str) -> str | None:
    if (match := _CALL.fullmatch(line)) is None:
        return None
    return f"write the expression without cron( ): {of_line(match[1]) or match[1][:MAX_SHOWN]}"


def _of_clock(line: str) -> str | None:
    if (match := _CLOCK.fullmatch(line)) is None:
        return None
    return f'a time of day has the minute first; write "{int(match[2])} {int(match[1])} * * *"'


def _of_list_with_blanks(line: str) -> str | None:
    joined = re.sub(r"\s*([,/-])\s*", r"\1", line)
    fields = joined.split()
    if joined == line or len(fields) != 5 or not all(map(_LIKE_A_FIELD.fullmatch, fields)):
        return None
    return f'a field has no blanks in it; write "{joined[:100]}"'


def _of_more_fields(line: str) -> str | None:
    fields = line.split()
    like = [_LIKE_A_FIELD.fullmatch(field) is not None for field in fields[:8]]
    if len(fields) in (6, 7) and (all(like) or (all(like[:-1]) and _YEAR.fullmatch(fields[-1]))):
        return _of_seconds_and_years(fields)
    if len(fields) > 5 and all(like[:5]):
        what = "a comment" if fields[5].startswith("#") else repr(" ".join(fields[5:])[:MAX_SHOWN])
        why = "" if what == "a comment" else f": {_COMMAND}"
        return f'{what} follows the five fields; write "{_plain(fields[:5])}" alone{why}'
    return f"has {len(fields)} fields; a crontab has five" if 1 < len(fields) < 5 and all(like) else None


def _of_seconds_and_years(fields: list[str]) -> str:
    weekday = fields[4] if "?" in (fields[2], fields[4]) else fields[5]
    numbered = "?" in fields and re.search(r"\d", weekday) is not None
    quartz = " with weekdays by name, since Quartz counts them from 1 = Sunday" * numbered
    if len(fields) == 7:
        return (
            "has seven fields; a crontab has five, without second and year; "
            f'write "{_plain(fields[1:6])}"{quartz}, or give single fields, with "second" and "year" among them'
        )
    if _YEAR.fullmatch(fields[5]) or "?" in (fields[2], fields[4]):
        year = "" if fields[5] == "*" else f', or give single fields, with "year": "{fields[5][:40]}" among them'
        return f'has six fields; a crontab has five, without a year; write "{_plain(fields[:5])}"{quartz}{year}'
    second = fields[0] if fields[0] != "?" else "*"
    return (
        f'has six fields; a crontab has five, without seconds; write "{_plain(fields[1:])}"{quartz}, '
        f'or give single fields, with "second": "{second[:40]}" among them'
    )


def _plain(fields: list[str]) -> str:
    return " ".join(map(_plain_field, fields, _BOUNDS))[:100]


def _plain_field(field: str, bounds: tuple[int, int]) -> str:
    """Return a field of Quartz's as a crontab has it: ? is *, and 5/15 is 5-59/15."""
    low, high = bounds

    def plain(match: re.Match[str]) -> str:
        first, step = int(match[1]), int(match[2])
        values = "*" if first == low else f"{first}-{high}"
        return str(first) if first >= high else values if step == 1 else f"{values}/{step}"

    return ",".join(_OPEN_STEP.sub(plain, "*" if term == "?" else term) for term in field.split(","))


def _of_marks(field: str, part: str) -> str | None:
    if part == "?":
        return "stands for any value elsewhere; write *"
    if re.fullmatch(r"h(\([\d-]*\))?(/\d+)?", part):
        _, _, step = part.partition("/")
        wanted = f"*/{step}" if step else "a number"
        return f"lets Jenkins choose the {field}; write {wanted}, and jitter to spread the load"
    if "~" in part:
        return "names a random value elsewhere; write a number, and jitter to spread the load"
    if part.startswith("!"):
        return "excludes a value elsewhere; write the values that are left"
    return None


def _of_names(field: str, part: str) -> str | None:
    """Advise on names in full, or in other abbreviations: "monday", "tues", "sept"."""
    names = {"month": _MONTHS, "weekday": _WEEKDAYS, "day_of_week": _WEEKDAYS}.get(field, ())
    words = re.findall("[a-z]+", part)
    short = part
    for word in words:
        found = [name for name in names if len(word) > 3 and (name.startswith(word) or word.startswith(name))]
        if found:
            short = short.replace(word, found[0][:3], 1)
    return f"is not a name here; write {short}" if short != part else None


def _of_quartz_days(field: str, part: str) -> str | None:
    crontab = field == "weekday"
    if field == "day":
        if re.fullmatch(r"\d+w", part):
            return f"is the workday nearest to a date elsewhere; write {part[:-1]}, or the days themselves"
        if re.fullmatch(r"l-\d+", part):
            return "counts from the end of the month elsewhere; write the days themselves"
        return {"l": "is the last day elsewhere; write last", "lw": "is not known here; use the crontab instead"}.get(
            part
        )
    if field not in ("weekday", "day_of_week"):
        return None
    if part == "l":
        return "is Saturday elsewhere; write sat"
    if part == "7" and not crontab:
        return "is out of range: 0 is Monday and 6 is Sunday; write sun"
    last = re.fullmatch(r"(\d|[a-z]{3})(?:l|#l)", part)
    nth = re.fullmatch(r"(\d|[a-z]{3})#(\d)", part)
    if last or nth:
        return _of_positions(crontab, part, last, nth)
    return None


def _of_positions(crontab: bool, part: str, last: re.Match[str] | None, nth: re.Match[str] | None) -> str | None:
    name = (last or nth)[1]  # type: ignore[index]
    number = name if name.isdigit() else str(next((i for i, day in enumerate(_WEEKDAYS) if day.startswith(name)), ""))
    if not number or int(number) > 7:
        return None
    if nth and not 1 <= int(nth[2]) <= 5:
        return "names a week that no month has; write 1 to 5 after the #"
    if crontab:
        return f"is written {number}L here" if last else None
    position = "last" if last else ("1st", "2nd", "3rd", "4th", "5th")[int(nth[2]) - 1]  # type: ignore[index]
    return f'is a day of the month here; write "day": "{position} {_WEEKDAYS[int(number) % 7][:3]}"'
