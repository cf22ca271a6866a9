"""What warnings of triggers are."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class WarningCode(StrEnum):
    """What a warning is about."""

    TOO_OFTEN = "too_often"
    MISSING_MONTHS = "missing_months"
    DAY_OR_WEEKDAY = "day_or_weekday"
    LONG_STEP = "long_step"
    UNEVEN_STEP = "uneven_step"
    SKIPPED_BY_CLOCK = "skipped_by_clock"
    REPEATED_BY_CLOCK = "repeated_by_clock"
    MOVED_BY_CLOCK = "moved_by_clock"
    OVERLAP = "overlap"


class TriggerWarning(NamedTuple):
    """One warning: its code for programs, and its message for people."""

    code: WarningCode
    message: str
