"""The checks of alert rules that the admin's form and files share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from ..core.alerts import AlertEvent


def rule_problems(rule: Mapping[str, Any]) -> dict[str, str]:
    """Return the errors in the fields of a rule that depend on each other, by field. Fields may be missing."""
    problems: dict[str, str] = {}
    events = rule.get("events") or ()
    if rule.get("job") and rule.get("tag"):
        problems["tag"] = "a rule is about one job, or about the jobs with a tag: leave one of them out"
    if AlertEvent.DEADLINE in events and not rule.get("deadline"):
        problems["deadline"] = "is needed for the event of the deadline"
    limits = (rule.get("too_long_seconds"), rule.get("too_long_factor"))
    if AlertEvent.TOO_LONG in events and limits == (None, None):
        problems["too_long_seconds"] = "give seconds, or a factor of the usual duration"
    if (rule.get("quiet_from") is None) != (rule.get("quiet_until") is None):
        problems["quiet_until"] = "quiet hours need a start and an end"
    return problems


def zone_problem(name: str) -> str:
    """Return the error in the name of a time zone, "" if there is none. An empty name stands for the site's zone."""
    if name:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            return "is not a time zone, such as Europe/Berlin"
    return ""
