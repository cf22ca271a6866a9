"""Our Celery application: `celery -A cronzimus.worker.app worker -Q reports -c 8`.

It is for workers alone: it loads Django, and its workers have slots of our own.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import Any

import click
import django
from celery import bootsteps, signals
from celery.concurrency.thread import TaskPool
from celery.exceptions import WorkerShutdown
from celery.platforms import EX_FAILURE
from celery.worker import state
from click.core import ParameterSource
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

if not apps.ready:
    try:
        django.setup()
    except ImproperlyConfigured as error:
        sys.exit(f"cronzimus: {error}")  # Celery would show where, in a hundred lines

from .. import checks
from ..calls.console import log_from, log_to_console, log_to_file
from ..calls.init_process import leave_process_1
from ..conf import conf
from ..core.queues import queue_problem
from ..db import readiness
from ..db.connections import use_own_connections
from ..scheduler import listeners
from ..scheduler.broker import PINNED, TASK, broker_settings, make_app
from ..scheduler.listeners import Listener
from .slots import Slots

logger = logging.getLogger("cronzimus.worker")

CONSUMER = f"{__package__}.consumer:GatedConsumer"
HAS_SLOTS = "A worker of Cronzimus has slots of its own"
HAS_PROCESSES = f"{HAS_SLOTS}, whose processes it replaces itself"
REFUSED_OPTIONS = {
    "autoscale": "A worker of Cronzimus has a fixed number of slots",
    "beat": "The schedulers of Cronzimus start jobs",
    "time_limit": "The timeout of a job ends its runs",
    "soft_time_limit": "The timeout of a job ends its runs",
    "max_tasks_per_child": HAS_PROCESSES,
    "max_memory_per_child": HAS_PROCESSES,
    "pool_start_method": HAS_PROCESSES,
    "prefetch_multiplier": "A worker of Cronzimus takes as many messages as it has free slots",
    "statedb": "The database of Cronzimus has the requests to cancel",
    "task_events": "The database of Cronzimus has the runs: there are no events of tasks",
    "purge": "The runs whose messages it removes would wait for a minute",
}
"""Options of `celery worker` that this worker refuses, each with the reason. To ignore one would mislead the person who
gave it."""

app = make_app(conf.CELERY_BROKER_URL)
app.conf.update(worker_consumer=CONSUMER)


@app.task(name=TASK, max_retries=0)
def run(**message: Any) -> None:
    """Register the task's name with Celery. It is never called: the consumer hands its messages to the slots."""
    raise NotImplementedError("run it with a worker of this application")


@signals.celeryd_init.connect
def _leave_process_1(**kwargs: Any) -> None:
    leave_process_1()  # before the worker has threads and connections


@signals.setup_logging.connect
def _set_up_logging(loglevel: int, logfile: str | None, **kwargs: Any) -> None:
    # A receiver keeps Celery from setting up logging itself: the project has done so, or gets the console.
    log_to_console()
    command = click.get_current_context(silent=True)
    if command is not None and command.get_parameter_source("loglevel") not in (None, ParameterSource.DEFAULT):
        log_from(loglevel)
    if logfile:
        try:
            log_to_file(logfile)
        except OSError as error:
            sys.exit(f"The log file cannot be opened: {error}.")


class SlotsStep(bootsteps.StartStopStep):
    """Starts a worker's slots before its consumer, and stops them after it."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        """End a worker whose settings would break the guarantees, and say why."""
        super().__init__(worker, **options)
        _import_from_current_folder()
        self._listeners: list[Listener] = []
        _strip_queue_names()
        problems = [*_problems(worker), *_queue_problems(), *(error.msg for error in checks.errors())]
        try:
            self._listeners = listeners.load(conf.LISTENERS)
        except ValueError as error:
            problems.append(f"LISTENERS: {error}")
        if problems:
            if worker.logfile:  # a worker in the background has no console
                for problem in problems:
                    logger.critical("%s", problem, extra={"action": "worker_refused"})
            sys.exit("\n".join(problems))

    def create(self, worker: Any) -> Any:
        """Return the slots."""
        use_own_connections()
        queues = sorted(worker.app.amqp.queues.consume_from)
        worker.cronzimus_slots = Slots(
            worker.hostname, queues, worker.concurrency, self._listeners, on_failure=_stop_with_failure
        )
        return worker.cronzimus_slots

    def start(self, worker: Any) -> None:
        """Start the slots, with a row of their own, once the database has its tables. Raises `WorkerShutdown`."""
        try:
            readiness.wait(readiness.require_tables, logger, state.maybe_shutdown)
            readiness.require_sessions()
        except readiness.Unusable as error:
            logger.critical("%s", error, extra={"action": "worker_refused"})
            raise WorkerShutdown(EX_FAILURE) from error
        finally:
            connection.close()  # the slots have connections of their own
        worker.cronzimus_slots.start(_is_told_to_stop)

    def stop(self, worker: Any) -> None:
        """Warm shutdown: running runs get their time, and then end as lost."""
        worker.cronzimus_slots.stop(_is_told_to_end)

    def terminate(self, worker: Any) -> None:
        """Cold shutdown."""
        worker.cronzimus_slots.end_at_once()


app.steps["worker"].add(SlotsStep)


def _import_from_current_folder() -> None:
    # Celery keeps the current folder on sys.path only until it has found its application. Functions are imported later,
    # also by the child processes.
    folder = os.getcwd()
    if folder not in (os.path.abspath(entry) for entry in sys.path):
        sys.path.append(folder)


def _problems(worker: Any) -> list[str]:
    if not conf.CELERY_BROKER_URL:
        return ["CELERY_BROKER_URL is not set: a worker needs the address of a broker."]
    needed = {**PINNED, "worker_consumer": CONSUMER, **broker_settings(conf.CELERY_BROKER_URL)}
    problems = [
        f"The setting {name} is {app.conf[name]!r}, and has to be {value!r}."
        for name, value in needed.items()
        if app.conf[name] != value
    ]
    if worker.pool_cls is not TaskPool:
        problems.append(f"{HAS_SLOTS}: leave out the option --pool.")
    given = {name: value for name, value in worker.options.items() if value and value != PINNED.get(f"worker_{name}")}
    problems += [
        f"{reason}: leave out the option --{name.replace('_', '-')}."
        for name, reason in REFUSED_OPTIONS.items()
        if name in given
    ]
    return problems


def _strip_queue_names() -> None:
    """Take the blanks off the names of the queues, as in `-Q "reports, mail"`."""
    queues = app.amqp.queues
    queues.select([name.strip() for name in queues.consume_from])


def _queue_problems() -> list[str]:
    """Return what is wrong with the names of the queues: no job has such a queue."""
    names = app.amqp.queues.consume_from
    return [f"The queue {name[:70]!r} {problem}." for name in names if (problem := queue_problem(name))]


def _stop_with_failure() -> None:
    state.should_stop = EX_FAILURE


def _is_told_to_stop() -> bool:
    return state.should_stop is not None or _is_told_to_end()


def _is_told_to_end() -> bool:
    return state.should_terminate is not None


importlib.import_module(f"{__package__}.consumer")  # a mistake in it shows at the start
