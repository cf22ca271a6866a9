"""Runs on the command line: list them, and print or follow the output of one."""

from __future__ import annotations

import argparse
import time
from typing import Any

from django.core.management.base import CommandError

from ... import services
from ...core.output import position, read_from
from ...core.runs import DID_NOT_RUN, FINISHED, RunStatus
from ...models import Run
from .base import Subcommand, positive
from .output import Output

COLUMNS = ("id", "job", "status", "scheduled_time", "seconds", "attempt", "reason")
"""The columns of the list of runs."""
DROPPED = ("attempt", "seconds", "reason")
"""The columns that a narrow terminal leaves out, the first one first."""
POLL_SECONDS = 0.5
"""Time between two looks at an output that is followed."""


def _list(options: dict[str, Any], out: Output) -> int:
    runs = Run.objects.all()
    if options["job"]:
        runs = runs.filter(job_id=options["job"])
        if not runs.exists():
            services.get_job(options["job"])  # runs outlive their job
    if options["status"]:
        runs = runs.of_status(options["status"])
    # In the order of an index: `run_once` of a job, `run_newest` of all.
    runs = runs.order_by("-scheduled_time", "-attempt" if options["job"] else "-id")
    rows = [_row(run) for run in runs.defer("output", "output_marks", "traceback")[: options["number"]]]
    out.table(COLUMNS, rows, wrap="reason", drop=DROPPED, empty="There are no such runs.")
    return 0


def _row(run: Run) -> dict[str, Any]:
    return {
        "id": run.pk, "job": run.job_id, "status": run.status, "scheduled_time": run.scheduled_time,
        "seconds": None if run.duration is None else round(run.duration.total_seconds(), 3), "attempt": run.attempt,
        "reason": (run.reason or run.error).partition("\n")[0] or None,
    }  # fmt: skip


def _logs(options: dict[str, Any], out: Output) -> int:
    run = _chosen(options["run"])
    shown = 0
    while True:
        omitted = run.output_omitted or 0
        if not out.as_json:
            text, shown = read_from(shown, run.output[position(shown, omitted) :], omitted)
            out.write(text)
            out.flush()
        if run.status in FINISHED or not options["follow"]:
            break
        time.sleep(POLL_SECONDS)
        run.refresh_from_db(fields=["output", "output_omitted", "status", "reason", "error", "traceback"])
    if out.as_json:
        out.json({**_row(run), "output": run.output, "traceback": run.traceback})
    else:
        if run.traceback:
            out.note(run.traceback.rstrip())
        out.note(f"run {run.pk} of {run.job_id}: {run.status.replace('_', ' ')}")
    return 0 if run.status == RunStatus.SUCCEEDED or run.status not in FINISHED else 1


def _chosen(text: str) -> Run:
    """Return the run with this number, or the newest run of the job with this id. Raises `CommandError`.

    Fire times that did not run have no output, and one that was skipped by request may lie days ahead: they are chosen
    only for a job that has nothing else.
    """
    if text.isascii() and text.isdigit() and len(text) < 19:
        run = Run.objects.filter(pk=int(text)).first()
        if run is not None:
            return run
    runs = Run.objects.filter(job_id=text).order_by("-scheduled_time", "-attempt")
    newest = runs.exclude(status__in=DID_NOT_RUN).first() or runs.first()
    if newest is None:
        raise CommandError(f"there is no run {text!r}, and no job of this id that has run")
    return newest


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--job", metavar="ID", help="only runs of this job")
    parser.add_argument("--status", choices=[str(status) for status in RunStatus], help="only runs of this status")
    parser.add_argument("-n", "--number", type=positive, default=20, metavar="N", help="how many (default: 20)")


def _logs_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="a run's number, or else a job's id for its newest run")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the run ends")


SUBCOMMANDS = (
    Subcommand("runs", "list the newest runs", _list, _list_arguments),
    Subcommand("logs", "print the output of a run; exit with 1 if it did not succeed", _logs, _logs_arguments),
)
