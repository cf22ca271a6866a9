"""Cron expressions in plain English, for people who check what they have written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import product

from cronsim.explain import Expression

from .grammar import BOUNDS, Term, complete_fields, field_numbers, parse_crontab, parse_field, split_crontab
from .pattern import WEEKDAYS

_DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTH_NAMES = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_NAMED = ("month", "year")  # "in January", "in 2027", but "at hour 9"
_FULL = {name[:3].lower(): name for name in _DAY_NAMES}
_PERIOD = re.compile(r"every (\d+ )?\w+")
_MOST_TIMES = 4  # more than this many times of the day are told by their rule


def crontab_words(text: str) -> str:
    """Return cronsim's explanation of a crontab expression: "at 02:30 on Monday through Friday"."""
    parts, rule = split_crontab(text), parse_crontab(text).pattern.days
    if rule.either and (rule.days.issuperset(range(1, 32)) or rule.weekdays.issuperset(WEEKDAYS)):
        # cronsim says "on Friday" of "0 0 1-31 * 5", which is every day, or Friday.
        parts[2] = parts[4] = "*"
    words = Expression(parts).explain()
    return words[:1].lower() + words[1:]


def field_words(given: Mapping[str, str]) -> str:
    """Return what cron fields mean: "every 20 seconds", "at 09:00 on day 13 if it is Friday".

    Args:
        given: at least one field of `jobs.core.triggers.grammar.BOUNDS` and its valid expression.

    Returns:
        A phrase with days of the week by name, since their numbers count from Monday here and from Sunday elsewhere.
    """
    terms = {name: parse_field(name, text) for name, text in complete_fields(given).items()}
    times, dates = _time_words(terms), _date_words(terms)
    if times.startswith("at ") and _singles(terms["hour"]) and not any(date.startswith("on ") for date in dates):
        dates.insert(0, "every day")
    return " ".join([times, *dates])


def _time_words(terms: Mapping[str, tuple[Term, ...]]) -> str:
    levels = [_singles(terms[name]) for name in ("hour", "minute", "second")]
    times = list(product(*levels))
    if 0 < len(times) <= _MOST_TIMES:
        return "at " + _join(f"{h:02}:{m:02}" + (f":{s:02}" if levels[2] != (0,) else "") for h, m, s in times)
    fields = ("minute", "hour") if levels[2] == (0,) else ("second", "minute", "hour")
    words = [_period(fields[0], terms[fields[0]]) or _phrase(fields[0], terms[fields[0]])]
    for phrase in (_phrase(name, terms[name]) for name in fields[1:]):
        # "every 20 seconds" goes without "of every minute", "minute 30" and "every minute from 5 through 9" do not.
        if phrase not in ("every minute", "every hour") or not _PERIOD.fullmatch(words[-1]):
            words.append(phrase)
    return ("" if words[0].startswith("every ") else "at ") + " of ".join(words)


def _period(name: str, terms: tuple[Term, ...]) -> str:
    """Return "every 20 seconds" or the like, if the time between two of its values is always the same."""
    (term, *others), values = terms, range(60)
    if others or isinstance(term, str) or term.step == 1 or 60 % term.step or term != values[:: term.step]:
        return ""
    return f"every {term.step} {name}s"


def _date_words(terms: Mapping[str, tuple[Term, ...]]) -> list[str]:
    words = []
    weekday = "" if _all("day_of_week", terms["day_of_week"]) else _weekday_words(terms["day_of_week"])
    if not _all("day", terms["day"]):
        words.append(f"on {_phrase('day', terms['day'])}" + (f" if it is {weekday}" if weekday else ""))
    elif weekday:
        words.append(f"on {weekday}")
    return words + [
        f"in {_phrase(name, terms[name])}" for name in ("week", "month", "year") if not _all(name, terms[name])
    ]


def _weekday_words(terms: tuple[Term, ...]) -> str:
    return _join((_weekday_phrase(term) for term in terms if isinstance(term, range)), "or")


def _weekday_phrase(days: range) -> str:
    if days.step == 1 and len(days) > 2:
        return f"{_DAY_NAMES[days[0]]} through {_DAY_NAMES[days[-1]]}"
    return _join((_DAY_NAMES[day] for day in days), "or")


def _phrase(name: str, terms: tuple[Term, ...]) -> str:
    """Return the words for one field, as they follow "in", "on", "at" or "of"."""
    singles = _singles(terms)
    if singles:
        labels = _join(_label(name, number) for number in singles)
        return labels if name in _NAMED else f"{_unit(name)} {labels}"
    return _join(_term_phrase(name, term) for term in terms)


def _term_phrase(name: str, term: Term) -> str:
    if isinstance(term, str):
        position, _, weekday = term.partition(" ")
        return f"the {position} {_FULL.get(weekday, 'day')} of the month"
    first, last, named = _label(name, term[0]), _label(name, term[-1]), name in _NAMED
    if len(term) == 1:
        return first if named else f"{_unit(name)} {first}"
    if _all(name, (term,)):
        return f"every {_unit(name)}"
    if term.step > 1:
        return f"every {_ordinal(term.step)} {_unit(name)} from {first} through {last}"
    return f"{first} through {last}" if named else f"every {_unit(name)} from {first} through {last}"


def _singles(terms: tuple[Term, ...]) -> tuple[int, ...]:
    """Return the numbers, ascending, if every term is a single one, else none."""
    single = all(isinstance(term, range) and len(term) == 1 for term in terms)
    return field_numbers(terms) if single else ()


def _all(name: str, terms: tuple[Term, ...]) -> bool:
    low, high = BOUNDS[name]
    return range(low, high + 1) in terms or len(field_numbers(terms)) == high - low + 1


def _unit(name: str) -> str:
    return "ISO week" if name == "week" else name


def _label(name: str, number: int) -> str:
    return _MONTH_NAMES[number - 1] if name == "month" else str(number)


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _join(parts: Iterable[str], word: str = "and") -> str:
    *most, last = parts
    return f"{', '.join(most)} {word} {last}" if most else last
