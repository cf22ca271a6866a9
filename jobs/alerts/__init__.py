"""Alerts: incidents, the rules that choose who is notified, and the delivery through channels."""

from .incidents import (
    End,
    acknowledge,
    failures_in_row,
    forgive,
    jobs_with_incidents,
    keep_quiet,
    locked_jobs,
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
    "keep_quiet",
    "locked_jobs",
    "observe",
    "retried",
    "scheduler_lost",
]
