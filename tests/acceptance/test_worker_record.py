"""What a worker tells of its runs beside their record, with a real worker: its log and the listeners."""

from __future__ import annotations

import signal
from pathlib import Path

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED

from .support import until
from .worker_site import WorkerSite, stop


def test_a_worker_logs_the_ends_of_its_runs_and_calls_the_listeners_also_after_a_process_was_told_to_end(
    fleet: WorkerSite, tmp_path: Path
) -> None:
    heard, prefix = tmp_path / "heard", fleet.prefix
    worker = fleet.worker(slots=1, LISTENERS="tests.job_functions:hear", HEARD=str(heard))
    fleet.add(fleet.once("told", "tests:signal_itself", str(tmp_path / "marks"), int(signal.SIGTERM)))
    assert fleet.until_status("told", "failed")["error"] == "SystemExit: 143"
    fleet.add(fleet.once("next", "tests:echo", "called"))
    fleet.until_status("next", "succeeded", "failed")
    until(lambda: worker.logged(f"cronzimus.scheduler.events: {prefix}next run [0-9]+ succeeded"), 5, "its line")
    assert worker.logged(f"WARNING cronzimus.scheduler.events: {prefix}told run [0-9]+ failed .* SystemExit: 143")
    stop(worker)
    assert worker.logged("cronzimus.worker: stopped")
    assert heard.read_text() == f"{EVENT_JOB_ERROR} {prefix}told failed\n{EVENT_JOB_EXECUTED} {prefix}next succeeded\n"


def test_a_listener_that_does_not_exist_stops_the_start_of_a_worker(fleet: WorkerSite) -> None:
    worker = fleet.start_worker(LISTENERS="nowhere:hear")
    assert worker.wait(40) == 1
    assert worker.logged("LISTENERS: nowhere:hear: there is no module 'nowhere'")
