"""The functions that come with Cronzimus."""

from __future__ import annotations

from jobs.registry import Database, register


@register("cronzimus.controller.task:task")
def task(database: Database) -> str:
    """Ask the database for its time: the sample of a job."""
    ((now,),) = database.execute("SELECT CURRENT_TIMESTAMP")
    print(f"The database's time is {now}.")  # noqa: T201 (what a job prints is its output)
    return str(now)
