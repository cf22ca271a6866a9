"""`manage.py runscheduler`: one scheduler; several may run on one database."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import pkgutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.db.utils import DatabaseError

from ... import __version__, migrations, services
from ...checks import check_encoding
from ...conf import conf
from ...core.exceptions import CronzimusError
from ...models import Job
from ...scheduler.executors import local_executors
from ...scheduler.scheduler import Scheduler
from ...worker.init_process import leave_process_1
from ...worker.output import capturing, open_missing_descriptors
from ...worker.signals import handling

logger = logging.getLogger("cronzimus.runscheduler")

FORWARDED = 1.0
"""Seconds within which a SIGTERM after a Ctrl-C is the same wish, passed on."""
FORCED = 1
"""Exit status where the scheduler was told to stop at once, or what was running did not end in time."""


class Command(BaseCommand):
    """Run a scheduler in the foreground."""

    help = (
        "Run a scheduler. SIGTERM, SIGHUP or Ctrl-C: claim nothing more, let what is running end (30 s), exit 0. "
        "A second one: end at once, what is running is lost, exit 1."
    )

    # They would load all that the web consists of; `manage.py check` runs them, and `jobs.apps` those that matter here.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--once", action="store_true", help="run what is due now, then exit")
        parser.add_argument(
            "--threads", type=_number(1000), default=conf.SCHEDULER_THREADS, metavar="N",
            help="functions that run at once in this process (default: SCHEDULER_THREADS, %(default)s)",
        )  # fmt: skip
        parser.add_argument(
            "--processes", type=_number(100), default=conf.SCHEDULER_PROCESSES, metavar="N",
            help="functions that run at once in processes of their own (default: SCHEDULER_PROCESSES, %(default)s)",
        )  # fmt: skip

    def handle(self, *args: Any, once: bool, threads: int, processes: int, **options: Any) -> None:
        """Run until a signal ends it, or, with `once`, until nothing is due. Exits with 1 where a run was given up."""
        open_missing_descriptors()
        leave_process_1()
        _require_migrations()
        _warn_of_encoding()
        scheduler = Scheduler(local_executors(threads, processes))
        try:
            services.sync_declared_jobs(conf.JOBS, now=scheduler.clock.now())
        except CronzimusError as error:
            raise CommandError(str(error)) from error
        _banner(threads)
        gc.collect()  # what loading left behind makes room for what runs need
        gc.freeze()  # what is loaded by now stays: the collector need not go through it again and again
        with _signals(scheduler), capturing():
            scheduler.run_once() if once else scheduler.start()
        if scheduler.unfinished:
            _end_now()
        logger.info("stopped", extra={"action": "scheduler_stopped"})


def _banner(threads: int) -> None:
    logger.info(
        "Cronzimus %s scheduler, pid %d: %s, %d threads, zone %s, %d jobs",
        __version__, os.getpid(), connection.vendor, threads, settings.TIME_ZONE, Job.objects.count(),
        extra={"action": "scheduler_started"},
    )  # fmt: skip


def _require_migrations() -> None:
    # By their names: Django's own check loads every migration of every app, which this process has no other use for.
    wanted = {module.name for module in pkgutil.iter_modules(migrations.__path__)}
    try:
        missing = wanted - _applied()
    except DatabaseError as error:
        raise CommandError(f"the database of DATABASE_URL does not answer: {error}") from error
    if missing:
        raise CommandError("the database is not up to date; run: manage.py migrate")


def _warn_of_encoding() -> None:
    for warning in check_encoding(None, databases=[connection.alias]):
        logger.warning("%s %s", warning.msg, warning.hint, extra={"action": "encoding_not_utf8"})


def _applied() -> set[str]:
    if "django_migrations" not in connection.introspection.table_names():
        return set()
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM django_migrations WHERE app = 'cronzimus'")
        return {name for (name,) in cursor.fetchall()}


@contextmanager
def _signals(scheduler: Scheduler) -> Iterator[None]:
    """Have SIGTERM, SIGINT and SIGHUP drain `scheduler`, a second one force it; restore the handlers afterwards."""
    seen: list[tuple[int, float]] = []

    def handle(number: int, frame: Any) -> None:
        seen.append((number, time.monotonic()))
        scheduler.force() if len(seen) > 1 and not _forwarded(*seen[-2:]) else scheduler.drain()

    wanted = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
        wanted.append(signal.SIGHUP)
    with handling(wanted, handle):
        yield


def _forwarded(before: tuple[int, float], last: tuple[int, float]) -> bool:
    # A terminal's Ctrl-C, and its end, reach the whole group, and whoever started us may pass it on as a SIGTERM: that
    # is one wish.
    forwarded = before[0] in (signal.SIGINT, signal.SIGHUP) and last[0] == signal.SIGTERM
    return forwarded and last[1] - before[1] < FORWARDED


def _end_now() -> None:
    # Threads that did not end would keep the interpreter, or die with it half done and noisily.
    logger.warning("ended with runs unfinished", extra={"action": "scheduler_forced"})
    logging.shutdown()
    sys.stdout.flush()
    os._exit(FORCED)


def _number(most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {most}")
        return int(text)

    return read
