"""`manage.py runscheduler`: one scheduler; several may run on one database."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from ... import __version__
from ...calls.console import log_to_console
from ...calls.init_process import leave_process_1
from ...calls.output import capture_installed, open_missing_descriptors
from ...conf import conf
from ...core.zone_data import used_data
from ...db.connections import use_own_connections
from ...models import Job
from .. import startup
from ..stopping import Signals, ToldToStop

logger = logging.getLogger("cronzimus.runscheduler")

FORCED = 1
"""Exit status if the scheduler was told to stop at once, or a run did not end in time."""


class Command(BaseCommand):
    """Run a scheduler in the foreground."""

    help = (
        "Run a scheduler. SIGTERM, Ctrl-C or a closed terminal: claim nothing more, let what is running end (30 s), "
        "exit 0. A second one: end at once, what is running is lost, exit 1. SIGHUP: reopen the log files."
    )

    # They would load the whole web application. `manage.py check` runs them all, and `startup` the necessary ones.
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
        """Run until a signal ends it, or, with `once`, until nothing is due. Exits with 1 if a run was given up."""
        open_missing_descriptors()
        leave_process_1()
        log_to_console()
        use_own_connections()
        startup.require_settings()
        signals = Signals()
        try:
            with signals.heard():
                unfinished = _run(signals, once, threads, processes)
        except ToldToStop:
            unfinished = 0
        if unfinished:
            _end_now()
        logger.info("stopped", extra={"action": "scheduler_stopped"})


def _run(signals: Signals, once: bool, threads: int, processes: int) -> int:
    """Run a scheduler; return the number of unfinished runs."""
    # Imported here, because these modules need the apps for which `require_settings` checks.
    from ...scheduler.executors import executors
    from ...scheduler.listeners import listening
    from ...scheduler.scheduler import Scheduler
    from ...scheduler.store.connection import DatabaseReplaced, loop_connection
    from ...scheduler.threads import TooFewThreads

    listeners = startup.load_listeners()
    startup.require_tables() if once else startup.wait_for_tables()
    startup.require_sessions()
    with loop_connection():
        startup.make_declared_jobs()
        startup.follow_time_zones()
        startup.warn_of_connections(threads, processes)
        startup.warn_of_encoding()
        startup.warn_of_later_migrations()
        _banner(threads)
    scheduler = Scheduler(executors(threads, processes, conf.CELERY_BROKER_URL))
    signals.stop(scheduler)
    gc.collect()  # frees the memory that loading needed and runs do not
    gc.freeze()  # objects that are loaded by now stay, so the collector need not look at them again
    try:
        with capture_installed(), listening(scheduler, listeners):
            scheduler.run_once() if once else scheduler.start()
    except (DatabaseReplaced, TooFewThreads) as error:
        raise CommandError(str(error)) from error
    return scheduler.unfinished


def _banner(threads: int) -> None:
    logger.info(
        "Cronzimus %s scheduler, pid %d: %s, %d threads, zone %s, zone data %s, %d jobs",
        __version__, os.getpid(), connection.vendor, threads, settings.TIME_ZONE, used_data(), Job.objects.count(),
        extra={"action": "scheduler_started"},
    )  # fmt: skip


def _end_now() -> None:
    # Threads that did not end would keep the interpreter alive, or die noisily with it.
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
