"""Alerts: incidents, the rules that choose who is notified, and the delivery through channels."""

from .incidents import (
    End,
    acknowledge,
    forgive,
    jobs_to_pause,
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
    "forgive",
    "jobs_to_pause",
    "jobs_with_incidents",
    "keep_quiet",
    "locked_jobs",
    "observe",
    "retried",
    "scheduler_lost",
]
