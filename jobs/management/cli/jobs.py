"""Jobs on the command line: list and show them, run, pause and resume them, and see when they fire."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from ... import services
from ...core.exceptions import CronzimusError
from ...core.runs import FINISHED, JobState, RunStatus
from ...core.times import parse_instant
from ...core.traces import traceparent_of
from ...definitions.triggers import trigger_of
from ...models import Job, Run
from ...selectors import states
from ...transfer.export import definition_of
from .base import Subcommand, actor, json_array, json_object, now, positive
from .output import Output

COLUMNS = ("id", "state", "schedule", "next_run_time", "last_status", "last_run_at")
WAIT_SECONDS = 0.2


def _list(options: dict[str, Any], out: Output) -> int:
    at = now()
    rows = [_row(job, at) for job in Job.objects.order_by("id")]
    wanted = options["state"]
    out.table(COLUMNS, [row for row in rows if wanted in (None, row["state"])], empty="There are no such jobs.")
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
    shown = {**_row(job, now()), **definition_of(job), "run_count": job.run_count, "failure_count": job.failure_count}
    if out.as_json:
        out.json(shown)
    else:
        for name, value in shown.items():
            out.line(f"{name.replace('_', ' ')}: {'-' if value is None else value}")
    return 0


def _run(options: dict[str, Any], out: Output) -> int:
    run = services.run_job(
        options["id"], now=now(), actor=actor(), args=options["positional"], kwargs=options["named"],
        traceparent=traceparent_of(os.environ.get("TRACEPARENT")),
    )  # fmt: skip
    if not options["wait"]:
        out.json({"id": options["id"], "run_id": run.pk}) if out.as_json else out.line(f"run {run.pk} is queued")
        return 0
    while run.status not in FINISHED:
        time.sleep(WAIT_SECONDS)
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
    for job_id in options["id"]:
        zone = states.zone_of(services.get_job(job_id))
        until = None if options["until"] is None else parse_instant(options["until"], zone)
        services.pause_job(job_id, now=now(), until=until)
        out.line(f"{job_id} is paused")
    return 0


def _resume(options: dict[str, Any], out: Output) -> int:
    for job_id in options["id"]:
        services.resume_job(job_id, now=now())
        out.line(f"{job_id} is resumed")
    return 0


def _next(options: dict[str, Any], out: Output) -> int:
    jobs = [services.get_job(options["id"])] if options["id"] else list(Job.objects.exclude(next_run_time=None))
    found = sorted((at, job.id) for job in jobs for at in islice(_fire_times(job), options["number"]))
    rows = [{"fire_time": at, "id": job_id} for at, job_id in found[: options["number"]]]
    out.table(("fire_time", "id"), rows, empty="No fire time is to come.")
    return 0


def _fire_times(job: Job) -> Iterator[datetime]:
    at = job.next_run_time
    try:
        trigger = trigger_of(job)
    except CronzimusError:
        return
    while at is not None:
        yield at
        at = trigger.next_after(at)


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
    parser.add_argument("id", nargs="+", help="the jobs' ids")


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
