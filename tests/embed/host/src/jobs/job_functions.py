"""The functions of the shop that Cronzimus runs."""

import os
import threading

from cronzimus import Database, RunContext, register


@register
def count_customers(database: Database, context: RunContext, least: int = 0) -> dict:
    """Count the customers, and say where that happens."""
    ((count,),) = database.execute("SELECT count(*) FROM accounts_customer")
    print("counted", count)
    context.logger.info("counted by the logger")
    assert count >= least
    return {"customers": count, "pid": os.getpid(), "thread": threading.current_thread().name}


@register
def hold_a_connection(database: Database, seconds: int = 20) -> None:
    """Keep a connection to the database busy, or with SQLite time alone."""
    from time import sleep

    database.execute("SELECT 1")
    sleep(seconds)
