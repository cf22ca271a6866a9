"""Convert a trigger's definition to the form's inputs, which are texts, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ...core.triggers import CALENDAR_UNITS, CLOCK_FIELDS, CRON_FIELDS, INTERVAL_UNITS, TRIGGER_FIELDS

CALENDAR_INPUTS = {f"calendar_{name}": name for name in (*CALENDAR_UNITS, *CLOCK_FIELDS)}
"""The field of each input of a calendar interval, whose fields share their names with other triggers' fields."""

KINDS: dict[str, tuple[str, ...]] = {
    "interval": TRIGGER_FIELDS["interval"],
    "cron": tuple(name for name in TRIGGER_FIELDS["cron"] if name != "crontab"),
    "crontab": tuple(name for name in TRIGGER_FIELDS["cron"] if name not in CRON_FIELDS),
    "date": TRIGGER_FIELDS["date"],
    "calendarinterval": (*CALENDAR_INPUTS, "start_date", "end_date", "jitter", "timezone"),
}
"""The inputs of each kind of trigger in the form. A crontab line is another way to write a cron trigger."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,18}\.[0-9]{1,18}")
_NUMBERS = (*INTERVAL_UNITS, *CRON_FIELDS, *CALENDAR_INPUTS, "jitter")


def inputs_of(definition: object) -> dict[str, str]:
    """Return the inputs that show a stored definition, even a damaged one: "trigger" is its kind, "" without one."""
    if not isinstance(definition, dict):
        return {"trigger": ""}
    kind = "crontab" if "crontab" in definition else definition.get("type")
    known = KINDS.get(kind, ()) if isinstance(kind, str) else ()
    stored = {name: definition.get(field_of(name)) for name in known}
    texts = {name: _text(value) for name, value in stored.items() if value is not None}
    return {"trigger": str(kind) if known else "", **texts}


def definition_of(inputs: Mapping[str, str]) -> dict[str, Any]:
    """Return the definition from `inputs`, without those of other kinds, and without validation."""
    kind = inputs.get("trigger") or None
    texts = {name: inputs.get(name, "") for name in KINDS.get(kind or "", ())}
    given = {field_of(name): _value(name, text) for name, text in texts.items() if text}
    if kind == "crontab":
        return {"type": "cron", "crontab": "", **given}
    return {"type": kind, **given}


def field_of(name: str) -> str:
    """Return the field of the definition for the input `name`."""
    return CALENDAR_INPUTS.get(name, name)


def input_of(kind: str, field: str) -> str:
    """Return the input for a field of a trigger of `kind`."""
    return next((name for name in KINDS.get(kind, ()) if field_of(name) == field), field)


def show(inputs: Mapping[str, str], definition: object) -> bool:
    """Tell whether `inputs` show exactly a stored definition."""
    stored = inputs_of(definition)
    counting = ("trigger", *KINDS.get(stored["trigger"], ()))
    return all(inputs.get(name, "") == stored.get(name, "") for name in counting)


def number(text: str) -> int | str:
    """Return `text` as a whole number, or else the text itself, for the validator to refuse."""
    return int(text) if _WHOLE.fullmatch(text) else text


def _value(name: str, text: str) -> int | float | str:
    if name not in _NUMBERS:
        return text
    return float(text) if name == "jitter" and _DECIMAL.fullmatch(text) else number(text)


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int | float) else json.dumps(value)
