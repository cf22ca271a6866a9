"""Read the fields of a trigger's definition strictly, and report all bad ones at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from functools import lru_cache, partial
from itertools import chain
from typing import Any
from zoneinfo import ZoneInfo

from ..exceptions import InvalidTrigger
from ..times import first_instant, last_instant, parse_time
from ..values import did_you_mean, is_number, is_whole
from . import dialects
from .crontab import parse_crontab
from .grammar import BOUNDS, MAX_LENGTH, parse_field

INTERVAL_UNITS = {"weeks": 604_800, "days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}
"""The units of an interval, in seconds."""
CRON_FIELDS = tuple(BOUNDS)
"""The fields of a cron trigger."""
CALENDAR_UNITS = {"years": 100, "months": 1_200, "weeks": 5_217, "days": 36_525}
"""The units of a calendar interval, with the number of each in a hundred years."""
CLOCK_FIELDS = ("hour", "minute", "second")
"""The fields of a calendar interval that give the time of the day."""
TRIGGER_FIELDS: dict[str, tuple[str, ...]] = {
    "interval": (*INTERVAL_UNITS, "start_date", "end_date", "jitter", "timezone"),
    "cron": (*CRON_FIELDS, "crontab", "start_date", "end_date", "jitter", "timezone"),
    "date": ("run_date", "timezone"),
    "calendarinterval": (*CALENDAR_UNITS, *CLOCK_FIELDS, "start_date", "end_date", "jitter", "timezone"),
}
"""By type of trigger: the fields that its definition may have besides "type"."""

MAX_INTERVAL_SECONDS = 36_525 * 86_400
"""The longest interval: a hundred years. Sums stay within the range of `datetime`."""
MAX_JITTER_SECONDS = 604_800
"""The largest jitter: a week."""
MAX_ERRORS = 50
"""Bad fields that one refusal names: a body may hold thousands of fields, and a trigger has twenty."""

_TYPES_ELSEWHERE = {
    "crontab": "'cron', with the field crontab", "cronexpression": "'cron', with the field crontab",
    "every": "'interval'", "periodic": "'interval'", "timedelta": "'interval'", "schedule": "'cron'",
    "once": "'date'", "oneoff": "'date'", "clocked": "'date'", "datetime": "'date'", "at": "'date'",
    "calendar": "'calendarinterval'", "daily": "'calendarinterval', with days",
    "weekly": "'calendarinterval', with weeks", "monthly": "'calendarinterval', with months",
    "yearly": "'calendarinterval', with years", "hourly": "'interval', with hours",
}  # fmt: skip
"""The names of types in other schedulers, without _ and -, and the types here."""
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*", re.ASCII)
# Files beside the zones: the machine's own zone, "unknown", and clocks that count leap seconds.
_NO_ZONES = ("localtime", "posixrules", "Factory", "posix/", "right/")


def canonical(definition: object) -> dict[str, Any]:
    """Return a definition's canonical form, as JSON values, without any default.

    Args:
        definition: a mapping such as {"type": "interval", "seconds": 5}; a value of None counts as not given.

    Returns:
        {"type": …} and its fields in the order of `TRIGGER_FIELDS`: texts without outer blanks, times in one form.

    Raises:
        InvalidTrigger: `fields` has a message for every bad field; "trigger" stands for the type.
    """
    if not isinstance(definition, Mapping):
        raise InvalidTrigger(fields={"trigger": f"must be an object with a type, not {shown(definition)}"})
    kind = definition.get("type")
    errors, values = _type_error(kind), {}
    for name, value in definition.items():
        if name == "type" or value is None:
            continue
        try:
            values[name] = _read(kind, name, value)
        except ValueError as error:
            errors[_key(name)] = str(error)
        if len(errors) >= MAX_ERRORS:
            break
    if not errors:
        errors = _missing(str(kind), values)
    if errors:
        raise InvalidTrigger(fields=errors)
    return {"type": kind} | {name: values[name] for name in TRIGGER_FIELDS[str(kind)] if name in values}


def instant_of(name: str, text: str, zone: ZoneInfo) -> datetime:
    """Return the instant in UTC that the canonical text of the field `name` stands for; local times are of `zone`.

    A date alone is the first instant of its day, and as end_date the last one. Raises `InvalidTrigger` where it lies
    beyond the year 9999.
    """
    value = parse_time(text)
    try:
        return last_instant(value, zone) if name == "end_date" else first_instant(value, zone)
    except ValueError as error:
        raise InvalidTrigger(fields={name: str(error)}) from None


@lru_cache(maxsize=1024)
def time_zone(name: str) -> ZoneInfo:
    """Return the IANA time zone of this name; ValueError if there is none."""
    if len(name) <= MAX_LENGTH and _ZONE.fullmatch(name) and not name.startswith(_NO_ZONES):
        try:
            return ZoneInfo(name)
        except (LookupError, ValueError, OSError):
            pass
    raise ValueError(f"is not an IANA time zone: {shown(name)}; write one like Europe/Berlin or UTC")


def shown(value: object) -> str:
    """Return a value for a message: short, printable, and written as in JSON."""
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:40] + "…")
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value) if abs(value) < 10**18 else "a number of more than 18 digits"
    if isinstance(value, float):
        return repr(value)
    return "an object" if isinstance(value, Mapping) else f"a {type(value).__name__}"


def _type_error(kind: object) -> dict[str, str]:
    if isinstance(kind, str) and kind in TRIGGER_FIELDS:
        return {}
    known = ", ".join(TRIGGER_FIELDS)
    if kind is None:
        return {"trigger": f"is missing; give one of {known}"}
    if not isinstance(kind, str):
        return {"trigger": f"must be one of {known}, not {shown(kind)}"}
    return {"trigger": f"has no type {shown(kind)}; give one of {known}{_meant(kind)}"}


def _meant(kind: str) -> str:
    if len(kind.split()) == 5:
        return "; did you mean cron, with these five fields as its crontab?"
    name = kind[:MAX_LENGTH].lower()
    name = name.replace("_", "").replace("-", "").strip().removesuffix("trigger").removesuffix("schedule") or name
    if here := _TYPES_ELSEWHERE.get(name):
        return f"; did you mean {here}?"
    return did_you_mean(name, TRIGGER_FIELDS)


def _key(name: object) -> str:
    return name if isinstance(name, str) and len(name) <= MAX_LENGTH and name.isprintable() else shown(name)


def _read(kind: object, name: object, value: object) -> Any:
    owners = [owner for owner, fields in TRIGGER_FIELDS.items() if name in fields]
    if not isinstance(name, str) or not owners:
        raise ValueError(f"unknown field{_hint(kind, name)}")
    if isinstance(kind, str) and kind in TRIGGER_FIELDS and kind not in owners:
        *most, last = owners
        triggers = f"{', '.join(most)} and {last} triggers" if most else f"{last} trigger"
        raise ValueError(f"is a field of the {triggers}, not of {kind}{_in_the_other_number(kind, name)}")
    return (_CALENDAR_READERS if kind == "calendarinterval" else _READERS)[name](value)


def _in_the_other_number(kind: str, name: str) -> str:
    """Return a hint where the kind has the field in the plural, or in the singular: intervals count hours."""
    here = [field for field in TRIGGER_FIELDS[kind] if field in (f"{name}s", name.removesuffix("s"))]
    return f"; did you mean {here[0]!r}?" if here else ""


def _hint(kind: object, name: object) -> str:
    fields = TRIGGER_FIELDS.get(kind) if isinstance(kind, str) else None
    return did_you_mean(name, fields or ("type", *dict.fromkeys(chain.from_iterable(TRIGGER_FIELDS.values()))))


def _missing(kind: str, values: Mapping[str, Any]) -> dict[str, str]:
    """Return the errors of missing fields, and of fields that are right alone and wrong together."""
    if kind == "date":
        return {} if "run_date" in values else {"run_date": "is missing; write YYYY-MM-DD HH:MM:SS"}
    needed = {"interval": tuple(INTERVAL_UNITS), "cron": CRON_FIELDS, "calendarinterval": tuple(CALENDAR_UNITS)}[kind]
    given = [name for name in needed if name in values]
    if "crontab" in values:
        return {"crontab": f"stands in place of {', '.join(given)}; give the one or the other"} if given else {}
    if not given:
        crontab = "a crontab, or " if kind == "cron" else ""
        return {"trigger": f"needs {crontab}at least one of {', '.join(needed)}"}
    return {} if kind == "cron" else _wrong_length(kind, {name: values[name] for name in given})


def _wrong_length(kind: str, units: Mapping[str, int]) -> dict[str, str]:
    if not any(units.values()):
        return dict.fromkeys(units, "the interval must be longer than 0")
    total = sum(number * INTERVAL_UNITS[unit] for unit, number in units.items()) if kind == "interval" else 0
    return dict.fromkeys(units, "the interval must be at most 100 years") if total > MAX_INTERVAL_SECONDS else {}


def _read_unit(unit: str, value: object) -> int:
    if not is_whole(value, low=0):
        raise ValueError(f"must be a whole number, 0 or more, not {shown(value)}")
    if value * INTERVAL_UNITS[unit] > MAX_INTERVAL_SECONDS:
        raise ValueError(f"the interval must be at most 100 years, not {shown(value)} {unit}")
    return value


def _read_calendar_unit(unit: str, value: object) -> int:
    if not is_whole(value, low=0):
        raise ValueError(f"must be a whole number, 0 or more, not {shown(value)}")
    if value > CALENDAR_UNITS[unit]:
        raise ValueError(f"the interval must be at most 100 years, not {shown(value)} {unit}")
    return value


def _read_clock(name: str, value: object) -> int:
    low, high = BOUNDS[name]
    if not is_whole(value, low, high):
        raise ValueError(f"must be a whole number of {low}-{high}, not {shown(value)}")
    return value


def _read_jitter(value: object) -> int | float:
    if not is_number(value, 0, MAX_JITTER_SECONDS):
        raise ValueError(f"must be a number of seconds from 0 to {MAX_JITTER_SECONDS}, not {shown(value)}")
    return value


def _read_text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be a text, not {shown(value)}")
    if len(value) > MAX_LENGTH:
        raise ValueError(f"must have at most {MAX_LENGTH} characters")
    return value


def _parse_date(value: object) -> date:
    try:
        return parse_time(value)
    except ValueError as error:
        raise ValueError(f"{error}, not {shown(value)}") from None


def _read_date(value: object) -> str:
    read = _parse_date(value)
    return _canonical_time(read if isinstance(read, datetime) else datetime.combine(read, time()))


def _read_end_date(value: object) -> str:
    # A date alone keeps its form: as an end it means the whole day.
    read = _parse_date(value)
    return _canonical_time(read) if isinstance(read, datetime) else read.isoformat()


def _canonical_time(value: datetime) -> str:
    return value.isoformat(sep="T" if value.tzinfo else " ")


def _read_zone(value: object) -> str:
    return time_zone(_read_text(value)).key


def _read_cron(name: str, value: object) -> int | str:
    low, high = BOUNDS[name]
    if is_whole(value):
        if not low <= value <= high:
            raise ValueError(f"must be {low}-{high}, not {shown(value)}")
        return value
    text = _read_text(value).strip(" \t")
    if advice := dialects.of_whole_crontab(text):
        raise ValueError(advice)
    parse_field(name, text)
    return text


def _read_crontab(value: object) -> str:
    if isinstance(value, str) and len(value) > MAX_LENGTH:
        # A line pasted with its command is often longer; the advice names the command.
        raise ValueError(dialects.of_line(value) or f"must have at most {MAX_LENGTH} characters")
    text = re.sub("[ \t]+", " ", _read_text(value).strip(" \t"))
    parse_crontab(text)
    return text


_READERS: dict[str, Callable[[object], Any]] = {
    **{unit: partial(_read_calendar_unit, unit) for unit in CALENDAR_UNITS},
    **{unit: partial(_read_unit, unit) for unit in INTERVAL_UNITS},
    **{name: partial(_read_cron, name) for name in CRON_FIELDS},
    "crontab": _read_crontab,
    "start_date": _read_date,
    "end_date": _read_end_date,
    "run_date": _read_date,
    "jitter": _read_jitter,
    "timezone": _read_zone,
}
_CALENDAR_READERS = _READERS | {
    **{unit: partial(_read_calendar_unit, unit) for unit in CALENDAR_UNITS},
    **{name: partial(_read_clock, name) for name in CLOCK_FIELDS},
}
