"""Functions of the tests' jobs, each registered as "tests:<name>": they succeed, fail, wait, or leave marks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from typing import Any

from django.db import connections

from jobs import Database, RunContext, register
from tests.marks import leave_mark

called: list[tuple[Any, ...]] = []
"""The arguments of each call of `record`; the fixture `calls` empties it."""


@register("tests:record")
def record(*args: Any, **kwargs: Any) -> None:
    """Note the call."""
    called.append((*args, *kwargs.values()))


@register("tests:echo")
def echo(value: Any = None) -> Any:
    """Return the argument."""
    return value


@register("tests:fail")
def fail(message: str = "it went wrong") -> None:
    """Raise."""
    raise RuntimeError(message)


@register("tests:returns_an_object")
def returns_an_object() -> Exception:
    """Return a value that JSON does not have."""
    return ValueError("an object")


@register("tests:speak")
def speak(text: str = "hello") -> None:
    """Print."""
    print(text)


@register("tests:speak_everywhere")
def speak_everywhere() -> None:
    """Print on both streams, in a thread and in a child."""
    print("printed", flush=True)
    print("printed as an error", file=sys.stderr, flush=True)
    thread = threading.Thread(target=print, args=("printed by a thread",))
    thread.start()
    thread.join()
    subprocess.run(["echo", "printed by a child"], check=True)


@register("tests:euro")
def euro(how: str) -> str:
    """Print, return or raise a text with a character that LATIN1 lacks."""
    text = "5 \N{EURO SIGN}"
    if how == "raise":
        raise RuntimeError(text)
    if how == "print":
        print(text)
        time.sleep(0.8)  # so that it is shown while it runs, too
    return text if how == "return" else ""


@register("tests:orphan")
def orphan() -> None:
    """Start a process whose parent ends before it, and wait."""
    subprocess.run(["sh", "-c", "sleep 300 & exit 0"], check=True)
    time.sleep(300)


@register("tests:inspect")
def inspect(value: int, database: Database, context: RunContext) -> list[Any]:
    """Return the injected arguments."""
    return [value, type(database).__name__, context.job_id, context.attempt, str(context.scheduled_time)]


@register("tests:select")
def select(database: Database) -> int:
    """Ask the database for a number."""
    return database.execute("SELECT 1")[0][0]


@register("tests:mark")
def mark(path: str, context: RunContext, seconds: float = 0, payload: str = "") -> None:
    """Leave a mark outside the database, then take `seconds`. `payload` makes its rows as large as a test wants."""
    leave_mark(path, context)
    if seconds:
        time.sleep(seconds)


def hear(event: Any) -> None:
    """Leave a line of an event of APScheduler in the file HEARD, as a listener."""
    with open(os.environ["HEARD"], "a") as heard:
        heard.write(f"{event.code} {event.job_id} {event.status}\n")


@register("tests:signal_itself")
def signal_itself(number: int, context: RunContext, marks: str) -> None:
    """Leave a mark in `marks`, and send its own process a signal."""
    leave_mark(marks, context)
    os.kill(os.getpid(), number)


@register("tests:make_up_an_end")
def make_up_an_end(end: str) -> None:
    """Write an end of its own to the descriptor on which its process answers."""
    os.write(int(sys.argv[2]), f'{{"end": {end}}}\n'.encode())


@register("tests:report_beside")
def report_beside(context: RunContext, result: str) -> str:
    """Have another process report progress for a second, and return `result` meanwhile."""
    if os.fork() == 0:
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            context.progress(1)
        os._exit(0)
    time.sleep(0.1)
    return result


@register("tests:wait")
def wait(seconds: float, context: RunContext, marks: str = "") -> str:
    """Take a while, after a mark in `marks`."""
    if marks:
        leave_mark(marks, context)
    threading.Event().wait(seconds)
    return "waited"


going: Counter[str] = Counter()
peaks: Counter[str] = Counter()
"""The most calls of `meet` that went on at once, by name."""
_meeting = threading.Lock()


@register("tests:meet")
def meet(name: str, seconds: float = 0.01) -> None:
    """Take a while, and note how many calls with this name go on meanwhile."""
    with _meeting:
        going[name] += 1
        peaks[name] = max(peaks[name], going[name])
    threading.Event().wait(seconds)
    with _meeting:
        going[name] -= 1


@register("tests:leave_open")
def leave_open(database: Database) -> None:
    """Begin a transaction, write in it, and never end it."""
    database.atomic().__enter__()
    database.execute("UPDATE cronzimus_job SET name = 'written by leave_open'")


@register("tests:begin")
def begin(database: Database) -> None:
    """Begin a transaction behind Django's back, write in it, and never end it."""
    database.execute("BEGIN")
    database.execute("UPDATE cronzimus_job SET name = 'written by begin'")


@register("tests:close_connection")
def close_connection(database: Database) -> None:
    """Close the connection behind Django's back."""
    connection = connections[database.alias]
    connection.ensure_connection()
    connection.connection.close()


@register("tests:no_autocommit")
def no_autocommit(database: Database) -> None:
    """Turn autocommit off, and leave it so."""
    connections[database.alias].set_autocommit(False)
    database.execute("SELECT 1")
