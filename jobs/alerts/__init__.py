"""Alerts: one per incident, told by rules, delivered through channels."""

from .incidents import (
    End,
    acknowledge,
    failures_in_row,
    forgive,
    jobs_with_incidents,
    observe,
    retried,
    scheduler_lost,
)

__all__ = [
    "End",
    "acknowledge",
    "failures_in_row",
    "forgive",
    "jobs_with_incidents",
    "observe",
    "retried",
    "scheduler_lost",
]
