"""Validate definitions of triggers, and build triggers from them.

The scheduler, the preview, the API and the admin all get their triggers here, so their fire times agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from ..exceptions import InvalidTrigger
from .base import Trigger, Window, local_words
from .calendar_dates import CalendarPattern, dates_from, interval_of
from .cron import Schedule
from .crontab import parse_crontab
from .fields import CALENDAR_UNITS, CRON_FIELDS, INTERVAL_UNITS, canonical, instant_of, shown, time_zone
from .grammar import parse_fields
from .pattern import FIRST_YEAR
from .types import CalendarIntervalTrigger, CronTrigger, DateTrigger, IntervalTrigger, JitteredTrigger

Recipe = Callable[[datetime, str], Trigger]
"""Makes the trigger of one definition from an anchor and a key."""

_BEGINNING = datetime(FIRST_YEAR - 1, 1, 1, tzinfo=UTC)
_TOLERANCE = 1.0  # seconds that a request may take: a run_date of "now" is accepted


def clean_trigger(
    definition: Mapping[str, object],
    *,
    now: datetime,
    default_timezone: str,
    grace: float | None = None,
    anchor: datetime | None = None,
) -> dict[str, Any]:
    """Validate a definition and return its canonical form.

    Args:
        definition: {"type": "interval", …} with fields of `TRIGGER_FIELDS`; a field of None is as if not given.
        now: aware; the trigger must fire after it.
        default_timezone: IANA name of the zone for a definition without one.
        grace: seconds by which a run_date may lie in the past; None means 0. One second is always allowed.
        anchor: aware instant from which a trigger without start_date counts; None means `now`.

    Returns:
        The given fields as JSON values: {"type": "interval", "seconds": 5}. Local times of the trigger's zone have
        the form "2027-06-01 10:00:00", instants with an offset "2027-06-01T10:00:00+05:30", and an end_date that is a
        date alone "2027-06-01".

    Raises:
        InvalidTrigger: the definition is not valid, or never fires; `fields` has every bad field.
    """
    clean = canonical(definition)
    trigger = build_trigger(clean, anchor=anchor or now, default_timezone=default_timezone)
    if isinstance(trigger, DateTrigger):
        wrong = _past_run_date(trigger, now, grace)
    else:
        wrong = _wrong_window(clean, now, default_timezone) or _never_fires(clean, trigger, now, default_timezone)
    if wrong:
        raise InvalidTrigger(fields=wrong)
    return clean


def build_trigger(definition: Mapping[str, Any], *, anchor: datetime, default_timezone: str, key: str = "") -> Trigger:
    """Build the trigger of a definition that `clean_trigger` has returned.

    Args:
        definition: the canonical form.
        anchor: aware instant from which a trigger without start_date counts; an interval first fires one later.
        default_timezone: IANA name of the zone for a definition without one.
        key: the job's id: jitter differs from key to key.

    Raises:
        InvalidTrigger: the definition is damaged, in any way, or the anchor is not an aware datetime.
    """
    if not isinstance(anchor, datetime) or anchor.tzinfo is None:
        raise InvalidTrigger("The trigger's anchor is not an aware datetime.")
    return recipe_of(definition, default_timezone=default_timezone)(anchor, key)


def recipe_of(definition: object, *, default_timezone: str) -> Recipe:
    """Return the recipe of a definition that `clean_trigger` has returned. Call it with an aware anchor and a key.

    Raises `InvalidTrigger` if the definition is damaged, in any way. The recipe raises it if the anchor does not fit.
    """
    if not isinstance(definition, Mapping):
        raise InvalidTrigger(fields={"trigger": f"must be an object with a type, not {shown(definition)}"})
    if definition.get("type") == "date":
        # A date is used once or twice. In the cache it would only push out triggers that are used often.
        return _make_recipe(default_timezone, *definition, *definition.values())
    try:
        hash(tuple(definition.values()))
    except TypeError:
        canonical(definition)  # raises with the name of the bad field
        raise InvalidTrigger(fields={"trigger": "has a value of a wrong type"}) from None
    return _cached_recipe(default_timezone, *definition, *definition.values())


def _make_recipe(default_timezone: str, *names_and_values: Any) -> Recipe:
    # Flat arguments: the cache tells only these apart by type, and 1 is valid where True is not.
    half = len(names_and_values) // 2
    clean = canonical(dict(zip(names_and_values[:half], names_and_values[half:], strict=True)))
    window = _window(clean, default_timezone)
    recipe = _RECIPES[clean["type"]](clean, window)
    jitter = timedelta(seconds=clean.get("jitter", 0))
    if not jitter:
        return recipe
    return lambda anchor, key: JitteredTrigger(recipe(anchor, key), jitter, key, window.end)


_cached_recipe = lru_cache(maxsize=4096, typed=True)(_make_recipe)


def _window(clean: Mapping[str, Any], default_timezone: str) -> Window:
    try:
        zone = time_zone(clean.get("timezone", default_timezone))
    except ValueError as error:
        raise InvalidTrigger(fields={"timezone": str(error)}) from None
    start, end = (instant_of(name, clean[name], zone) if name in clean else None for name in ("start_date", "end_date"))
    last_day = clean["end_date"] if len(clean.get("end_date", "")) == len("YYYY-MM-DD") else ""
    return Window(zone, "timezone" in clean, start, end, last_day)


def _interval(clean: Mapping[str, Any], window: Window) -> Recipe:
    interval = timedelta(seconds=sum(clean.get(unit, 0) * seconds for unit, seconds in INTERVAL_UNITS.items()))

    def build(anchor: datetime, key: str) -> Trigger:
        try:
            return IntervalTrigger(interval, window.start or anchor.astimezone(UTC) + interval, window)
        except OverflowError:
            raise InvalidTrigger("The trigger's anchor is too late for its interval.") from None

    return build


def _cron(clean: Mapping[str, Any], window: Window) -> Recipe:
    expressions = {name: str(clean[name]) for name in (*CRON_FIELDS, "crontab") if name in clean}
    crontab = expressions.get("crontab")
    pattern, fixed = parse_fields(expressions) if crontab is None else parse_crontab(crontab)
    trigger = CronTrigger(Schedule(pattern, fixed, window.zone), expressions, window)
    return lambda anchor, key: trigger


def _date(clean: Mapping[str, Any], window: Window) -> Recipe:
    written = datetime.fromisoformat(clean["run_date"])
    local = None if written.tzinfo else written.replace(tzinfo=UTC)
    trigger = DateTrigger(instant_of("run_date", clean["run_date"], window.zone), local, window)
    return lambda anchor, key: trigger


def _calendar_interval(clean: Mapping[str, Any], window: Window) -> Recipe:
    parts = {unit: clean[unit] for unit in CALENDAR_UNITS if clean.get(unit)}
    second = 3600 * clean.get("hour", 0) + 60 * clean.get("minute", 0) + clean.get("second", 0)

    def build(anchor: datetime, key: str) -> Trigger:
        try:
            start = (window.start or anchor).astimezone(window.zone).date()
        except OverflowError:
            raise InvalidTrigger(fields={"start_date": "lies too late for its time zone"}) from None
        pattern = CalendarPattern(dates_from(start, interval_of(parts)), second)
        return CalendarIntervalTrigger(Schedule(pattern, fixed=True, zone=window.zone), parts, start, window)

    return build


_RECIPES: dict[str, Callable[[Mapping[str, Any], Window], Recipe]] = {
    "interval": _interval,
    "cron": _cron,
    "date": _date,
    "calendarinterval": _calendar_interval,
}


def _past_run_date(trigger: DateTrigger, now: datetime, grace: float | None) -> dict[str, str]:
    if (now - trigger.run_date).total_seconds() <= max(grace or 0.0, _TOLERANCE):
        return {}
    run_date, present = (local_words(time, trigger.timezone) for time in (trigger.run_date, now.replace(microsecond=0)))
    return {"run_date": f"{run_date} lies in the past; give a time after {present}"}


def _wrong_window(clean: Mapping[str, Any], now: datetime, default_timezone: str) -> dict[str, str]:
    window = _window(clean, default_timezone)
    if window.end is None:
        return {}
    if window.start is not None and window.end < window.start:
        return {"end_date": "lies before start_date"}
    return {"end_date": f"{local_words(window.end, window.zone)} lies in the past"} if window.end < now else {}


def _never_fires(clean: Mapping[str, Any], trigger: Trigger, now: datetime, default_timezone: str) -> dict[str, str]:
    """Return the field that keeps the trigger from firing after `now`, or else "trigger"; {} if it does fire."""
    if trigger.next_after(now) is not None:
        return {}
    blamed = "crontab" if "crontab" in clean else "trigger"
    for name in ("end_date", "year", "day", "week", "day_of_week", "month"):
        eased = {**clean, name: "*"} if name in CRON_FIELDS else {key: clean[key] for key in clean if key != name}
        if name in clean and _fires(eased, now, default_timezone):
            blamed = name
            break
    if trigger.next_after(_BEGINNING) is None:
        return {blamed: "never fires: there is no such time"}
    present = local_words(now.replace(microsecond=0), trigger.timezone)
    return {blamed: f"never fires: no such time comes after {present}"}


def _fires(clean: Mapping[str, Any], now: datetime, default_timezone: str) -> bool:
    return build_trigger(clean, anchor=now, default_timezone=default_timezone).next_after(now) is not None
