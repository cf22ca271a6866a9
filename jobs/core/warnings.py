"""Warnings about jobs: their codes and messages. `triggers.warnings` and `jobs.selectors.warnings` find them."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class WarningCode(StrEnum):
    """The subject of a warning."""

    TOO_OFTEN = "too_often"
    MISSING_MONTHS = "missing_months"
    DAY_OR_WEEKDAY = "day_or_weekday"
    LONG_STEP = "long_step"
    UNEVEN_STEP = "uneven_step"
    SKIPPED_BY_CLOCK = "skipped_by_clock"
    REPEATED_BY_CLOCK = "repeated_by_clock"
    MOVED_BY_CLOCK = "moved_by_clock"
    OVERLAP = "overlap"
    UNKNOWN_SECRET = "unknown_secret"  # noqa: S105 (a name)
    PLAIN_SECRET = "plain_secret"  # noqa: S105 (a name)
    NO_WORKER = "no_worker"


class JobWarning(NamedTuple):
    """One warning: its code for programs, and its message for people."""

    code: WarningCode
    message: str
