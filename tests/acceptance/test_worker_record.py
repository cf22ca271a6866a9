"""What a worker tells beside the record of its runs, and what it needs on its own machine, with real workers."""

from __future__ import annotations

import signal
from pathlib import Path

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED

from .support import until
from .worker_site import IN_TIME, WorkerSite, stop

pytestmark = IN_TIME


def test_a_worker_logs_the_ends_of_its_runs_and_calls_the_listeners_also_after_a_process_was_told_to_end(
    fleet: WorkerSite, tmp_path: Path
) -> None:
    heard, prefix = tmp_path / "heard", fleet.prefix
    worker = fleet.worker(slots=1, LISTENERS="tests.job_functions:hear", HEARD=str(heard))
    fleet.may_be("failed", "told")
    fleet.add(fleet.once("told", "tests:signal_itself", int(signal.SIGTERM)))
    assert fleet.until_status("told", "failed")["error"] == "SystemExit: 143"
    fleet.add(fleet.once("next", "tests:wait", 0))
    fleet.until_status("next", "succeeded", "failed")
    until(lambda: worker.logged(f"cronzimus.scheduler.events: {prefix}next run [0-9]+ succeeded"), 20, "its line")
    assert worker.logged(f"WARNING cronzimus.scheduler.events: {prefix}told run [0-9]+ failed .* SystemExit: 143")
    stop(worker)
    assert worker.logged("cronzimus.worker: stopped")
    assert heard.read_text() == f"{EVENT_JOB_ERROR} {prefix}told failed\n{EVENT_JOB_EXECUTED} {prefix}next succeeded\n"


def test_a_listener_that_does_not_exist_stops_the_start_of_a_worker(fleet: WorkerSite) -> None:
    worker = fleet.start_worker(LISTENERS="nowhere:hear")
    assert worker.wait(40) == 1
    assert worker.logged("LISTENERS: nowhere:hear: there is no module 'nowhere'")


def test_a_worker_reads_secrets_itself_and_needs_no_secret_key(fleet: WorkerSite) -> None:
    """The secret is where the function leaves its mark. The scheduler does not know it."""
    fleet.may_be("failed", "failed")
    knowing = {"SECRETS": '{"env": ["MARKS"]}', "MARKS": str(fleet.site.marks_file)}
    for environment, status in ((knowing, "succeeded"), ({}, "failed")):
        worker = fleet.worker(SECRET_KEY="another", **environment)
        fleet.add(fleet.once(status, "tests:wait", 0, kwargs={"marks": {"$secret": "MARKS"}}))
        run = fleet.until_status(status, "succeeded", "failed")
        assert (run["status"], "there is no secret 'MARKS'" in run["error"]) == (status, status == "failed")
        stop(worker)
