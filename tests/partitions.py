"""Partition the table of runs, as docs/scale.md says."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection

from benchmarks.partitions import partitioning

DAY = timedelta(days=1)


def partition_runs(now: datetime) -> None:
    """Make the partition of all days before the one before `now`, and partitions of three days."""
    first = now.replace(hour=0, minute=0, second=0, microsecond=0) - DAY
    with connection.cursor() as cursor:
        for statement in partitioning(first).values():
            cursor.execute(statement)
        for days in range(3):
            cursor.execute("SELECT cronzimus_add_run_partition(%s, %s)", [first + days * DAY, first + (days + 1) * DAY])
