"""Jobs on the command line: list, show, run, pause and resume them, and show their next fire times."""

from __future__ import annotations

import argparse
import os
import time
from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from ... import services
from ...core.exceptions import CronzimusError
from ...core.runs import FINISHED, JobState, RunStatus
from ...core.times import parse_instant
from ...core.traces import traceparent_of
from ...definitions.triggers import trigger_of
from ...models import Job, Run, Scheduler
from ...selectors import states, upcoming
from ...transfer.export import definition_of
from .base import Subcommand, json_array, json_object, now, positive
from .output import Output

COLUMNS = ("id", "state", "schedule", "next_run_time", "last_status", "last_run_at")
"""The columns of the list of jobs."""
DROPPED = ("last_run_at", "last_status", "schedule")
"""The columns that a narrow terminal leaves out, the first one first."""
POLL_SECONDS = 0.2
"""Time between two looks at a run whose end is awaited."""
FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
"""Instants before and after all fire times."""


def _list(options: dict[str, Any], out: Output) -> int:
    at = now()
    rows = [_row(job, at) for job in Job.objects.order_by("id")]
    wanted = options["state"]
    out.table(
        COLUMNS, [row for row in rows if wanted in (None, row["state"])], wrap="schedule", drop=DROPPED,
        empty="There are no jobs." if wanted is None else f"There are no {wanted} jobs.",
    )  # fmt: skip
    return 0


def _row(job: Job, at: datetime) -> dict[str, Any]:
    state, error = states.job_state(job, at)
    return {
        "id": job.id, "state": str(state), "schedule": _schedule(job), "next_run_time": job.next_run_time,
        "last_status": job.last_status or None, "last_run_at": job.last_run_at, **({"error": error} if error else {}),
    }  # fmt: skip


def _schedule(job: Job) -> str:
    try:
        return trigger_of(job).describe()
    except CronzimusError:
        return "?"


def _show(options: dict[str, Any], out: Output) -> int:
    job = services.get_job(options["id"])
    counts = {"run_count": job.run_count, "failure_count": job.failure_count}
    out.fields({**_row(job, now()), **definition_of(job), **counts})
    return 0


def _run(options: dict[str, Any], out: Output) -> int:
    run = services.run_job(
        options["id"], now=now(), args=options["positional"], kwargs=options["named"],
        traceparent=traceparent_of(os.environ.get("TRACEPARENT")),
    )  # fmt: skip
    if not options["wait"]:
        out.json({"id": options["id"], "run_id": run.pk}) if out.as_json else out.line(f"run {run.pk} is queued")
        return 0
    if not Scheduler.objects.alive(now()).exists():
        out.note("No scheduler is alive: the run waits until one is started.")
    while run.status not in FINISHED:
        time.sleep(POLL_SECONDS)
        run.refresh_from_db()
    if out.as_json:
        out.json({"id": options["id"], "run_id": run.pk, "status": run.status, "result": run.result})
    else:
        out.write(run.output)
        out.line(f"run {run.pk} {run.status.replace('_', ' ')}{': ' + _why(run) if _why(run) else ''}")
    return 0 if run.status == RunStatus.SUCCEEDED else 1


def _why(run: Run) -> str:
    return (run.reason or run.error).partition("\n")[0]


def _pause(options: dict[str, Any], out: Output) -> int:
    with transaction.atomic():
        for job_id in options["id"]:
            zone = states.zone_of(services.get_job(job_id))
            until = None if options["until"] is None else parse_instant(options["until"], zone)
            services.pause_job(job_id, now=now(), until=until)
    return _tell(options["id"], "paused", out)


def _resume(options: dict[str, Any], out: Output) -> int:
    with transaction.atomic():
        for job_id in options["id"]:
            services.resume_job(job_id, now=now())
    return _tell(options["id"], "resumed", out)


def _tell(job_ids: list[str], done: str, out: Output) -> int:
    if out.as_json:
        out.json([{"id": job_id, "status": done} for job_id in job_ids])
    else:
        out.write("".join(f"{job_id} is {done}\n" for job_id in job_ids))
    return 0


def _next(options: dict[str, Any], out: Output) -> int:
    jobs = [services.get_job(options["id"])] if options["id"] else upcoming.jobs_to_come(LAST)
    found = upcoming.entries(jobs, FIRST, LAST, options["number"])
    rows = [{"fire_time": entry.at, "id": entry.job.pk} for entry in found]
    out.table(("fire_time", "id"), rows, empty="No fire time is to come.")
    return 0


def _time(text: str) -> str:
    try:
        parse_instant(text, UTC)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from error
    return text


def _with_id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", help="the job's id")


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", choices=[str(state) for state in JobState], help="only jobs of this state")


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    _with_id(parser)
    parser.add_argument(
        "--args", dest="positional", type=json_array, metavar="JSON", help="other positional arguments, a JSON array"
    )
    parser.add_argument(
        "--kwargs", dest="named", type=json_object, metavar="JSON", help="other named arguments, a JSON object"
    )
    parser.add_argument("--wait", action="store_true", help="wait for its end; exit with 1 unless it succeeded")


def _ids_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", nargs="+", help="the jobs' ids; all of them are changed, or none")


def _pause_arguments(parser: argparse.ArgumentParser) -> None:
    _ids_arguments(parser)
    parser.add_argument("--until", type=_time, metavar="TIME", help="resume by itself then")


def _next_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", help="the job's id; without it, the fire times of all jobs")
    parser.add_argument("-n", "--number", type=positive, default=10, metavar="N", help="how many (default: 10)")


SUBCOMMANDS = (
    Subcommand("jobs", "list the jobs", _list, _list_arguments),
    Subcommand("show", "show one job", _show, _with_id),
    Subcommand("run", "run a job now", _run, _run_arguments),
    Subcommand("pause", "pause jobs", _pause, _pause_arguments),
    Subcommand("resume", "resume jobs", _resume, _ids_arguments),
    Subcommand("next", "show the next fire times", _next, _next_arguments),
)
