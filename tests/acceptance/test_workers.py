"""Jobs on Celery workers, with real brokers: whoever dies, freezes or is cut off, no run starts twice or is stuck."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .brokers import URLS, broker
from .checker import problems
from .conftest import MakeSite
from .process_runs import have_ended, pids
from .support import let_pass, until
from .worker_site import LOST_SECONDS, WorkerSite, proxy, stop

MakeWorkerSite = Callable[..., WorkerSite]
BOTH = pytest.mark.parametrize("name", list(URLS))
"""The test is about what goes over the broker."""
POISON = (
    ("", {}), ("not json {", {"task": "cronzimus.run"}), ([], {"task": "cronzimus.run", "id": "1"}),
    ([[], {}, {}], {"task": "cronzimus.run"}), ({"task": "cronzimus.run"}, {}), ([1, 2], {"id": "x"}),
    ([[], {"v": 1, "run": 1, "dispatch": "no uuid"}, {}], {"task": "cronzimus.run", "id": "2"}),
    ([[], {"v": 1, "run": "1; DROP TABLE", "dispatch": "0" * 32}, {}], {"task": "cronzimus.run", "id": "3"}),
    ([[], {"v": 2, "run": 1, "dispatch": "0" * 32}, {}], {"task": "cronzimus.run", "id": "4"}),
    ([[], {}, {}], {"task": "os.system", "id": "5"}), ([["rm"], {}, {}], {"task": ["a", "list"], "id": "6"}),
    ([[], {"v": 1, "run": 2**70, "dispatch": "0" * 32}, {}], {"task": "cronzimus.run", "id": "7", "eta": "never"}),
)  # fmt: skip
"""Bodies and headers of messages that ask for nothing."""


@pytest.fixture
def make_worker_site(make_site: MakeSite) -> Iterator[MakeWorkerSite]:
    """Return a function that makes a site with a queue of its own."""
    made: list[WorkerSite] = []

    def make(name: str = "redis", vendor: str = "postgresql") -> WorkerSite:
        made.append(WorkerSite(make_site(vendor), broker(name)))
        return made[-1]

    yield make
    for one in made:
        one.end()


def assert_good(fleet: WorkerSite) -> None:
    """Check that each fire time is accounted for once, and that each call is one that its row allows."""
    assert problems(fleet.site.rows(), fleet.site.marks()) == []


# --- what works ------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("vendor", ["sqlite", "postgresql"])
def test_workers_run_each_fire_time_once(make_worker_site: MakeWorkerSite, name: str, vendor: str) -> None:
    fleet = make_worker_site(name, vendor)
    job_ids = [f"job-{number}" for number in range(20)]
    fleet.site.jobs = [fleet.job(job_id) for job_id in job_ids]
    worker = fleet.worker(slots=2)
    scheduler = fleet.site.scheduler()
    until(lambda: len(fleet.site.calls("job-19")) >= 4, 30, "the runs")
    stop(scheduler)
    until(lambda: not any(row.status in ("queued", "running") for row in fleet.site.rows()), 10, "their ends")
    stop(worker)

    assert_good(fleet)
    rows = fleet.site.rows()
    assert {row.status for row in rows} == {"succeeded"}
    assert len({mark.pid for mark in fleet.site.marks()}) == 2
    assert fleet.site.query("SELECT stopped_at IS NULL FROM cronzimus_worker") == [(False,)]


def test_a_run_shows_its_output_and_its_progress_while_it_runs(make_worker_site: MakeWorkerSite) -> None:
    fleet = make_worker_site()
    fleet.site.variables["JOB_MODULES"] = "tests.job_functions,tests.process_functions"
    fleet.site.jobs = [fleet.once("noisy", "tests:talk", 14)]
    fleet.worker()
    fleet.site.scheduler()
    fleet.until_status("noisy", "running")
    until(lambda: "said 1" in fleet.run("noisy")["output"], 5, "its output")
    shown = fleet.run("noisy")
    assert shown["status"] == "running"
    assert shown["progress_done"]
    ended = fleet.until_status("noisy", "succeeded", seconds=15)
    assert "said 14" in ended["output"]
    (worker_id,) = fleet.site.query("SELECT id FROM cronzimus_worker")[0]
    assert ended["scheduler_id"] == worker_id


@BOTH
def test_an_idle_worker_takes_what_a_busy_one_has_no_slot_for(make_worker_site: MakeWorkerSite, name: str) -> None:
    fleet = make_worker_site(name)
    fleet.site.jobs = [fleet.once("long", "tests:wait", 20)]
    fleet.workers(2, slots=1)
    fleet.site.scheduler()
    fleet.until_status("long", "running")
    for number in range(6):
        fleet.site.jobs.append(fleet.once(f"short-{number}", "tests:wait", 0.1))
    fleet.site.scheduler()
    for number in range(6):
        fleet.until_status(f"short-{number}", "succeeded", seconds=8)
    assert fleet.run("long")["status"] == "running"


def test_jobs_of_a_queue_without_a_worker_stay_due(make_worker_site: MakeWorkerSite) -> None:
    fleet = make_worker_site()
    fleet.site.jobs = [fleet.once("remote", "tests:wait", 0), fleet.site.job("local")]
    fleet.site.scheduler()
    until(lambda: len(fleet.site.calls("local")) >= 3, 20, "the local runs")
    assert fleet.run("remote") == {}
    fleet.worker()
    fleet.until_status("remote", "succeeded")


def test_two_workers_of_one_name_are_two(make_worker_site: MakeWorkerSite) -> None:
    fleet = make_worker_site()
    fleet.site.jobs = [fleet.job("twins", seconds=0.2, max_instances=2, overlap="queue")]
    fleet.workers(2, slots=1, name="twin")
    fleet.site.scheduler()
    until(lambda: len(fleet.site.calls("twins")) >= 4, 20, "the runs")
    assert len(fleet.site.query("SELECT id FROM cronzimus_worker WHERE stopped_at IS NULL")) == 2
    assert problems(fleet.site.rows(), fleet.site.marks()) == []


# --- what dies -------------------------------------------------------------------------------------------------------


@BOTH
def test_a_worker_that_is_killed_leaves_its_runs_lost_and_its_processes_dead(
    make_worker_site: MakeWorkerSite, name: str, tmp_path: Path
) -> None:
    fleet = make_worker_site(name)
    fleet.site.variables["JOB_MODULES"] = "tests.job_functions,tests.process_functions"
    fleet.site.jobs = [
        fleet.once("victim", "tests:stubborn", str(tmp_path / "pids")), fleet.job("other", max_instances=3),
    ]  # fmt: skip
    first = fleet.worker()
    fleet.site.scheduler()
    (child,) = pids(tmp_path / "pids")
    first.popen.kill()
    first.wait(10)
    until(lambda: have_ended(child), 5, "the end of its process")
    fleet.worker()
    lost = fleet.until_status("victim", "lost", seconds=LOST_SECONDS)
    assert "lease ended" in lost["reason"]
    before = len(fleet.site.calls("other"))
    until(lambda: len(fleet.site.calls("other")) >= before + 2, 20, "runs on the new worker")
    assert_good(fleet)


def test_a_worker_that_froze_has_its_late_outcome_refused(make_worker_site: MakeWorkerSite) -> None:
    fleet = make_worker_site()
    fleet.site.jobs = [fleet.once("frozen", "tests:wait", 10)]
    worker = fleet.worker()
    fleet.site.scheduler()
    fleet.until_status("frozen", "running")
    worker.send(signal.SIGSTOP)
    fleet.until_status("frozen", "lost", seconds=LOST_SECONDS)
    worker.send(signal.SIGCONT)
    until(lambda: worker.logged("lease of .* was over"), 15, "the worker's notice")
    until(lambda: len(fleet.site.query("SELECT id FROM cronzimus_worker WHERE stopped_at IS NULL")) == 1, 15)
    assert fleet.run("frozen")["status"] == "lost"
    fleet.do("services.run_job('frozen', now=now, args=[0])")
    fleet.until_status("frozen", "succeeded")


def test_a_run_whose_process_is_killed_fails_and_the_next_one_runs(
    make_worker_site: MakeWorkerSite, tmp_path: Path
) -> None:
    fleet = make_worker_site()
    fleet.site.variables["JOB_MODULES"] = "tests.job_functions,tests.process_functions"
    fleet.site.jobs = [fleet.once("victim", "tests:stubborn", str(tmp_path / "pids"))]
    fleet.worker(slots=1)
    fleet.site.scheduler()
    (child,) = pids(tmp_path / "pids")
    os.kill(child, signal.SIGKILL)
    failed = fleet.until_status("victim", "failed")
    assert "SIGKILL" in failed["error"]
    fleet.site.jobs = [fleet.once("next", "tests:wait", 0)]
    fleet.site.scheduler()
    fleet.until_status("next", "succeeded")


@BOTH
def test_a_worker_that_is_told_to_stop_lets_runs_end_and_takes_no_more(
    make_worker_site: MakeWorkerSite, name: str
) -> None:
    fleet = make_worker_site(name)
    fleet.site.jobs = [fleet.once("short", "tests:wait", 3)]
    first = fleet.worker()
    fleet.site.scheduler()
    fleet.until_status("short", "running")
    stop(first)
    assert fleet.run("short")["status"] == "succeeded"


def test_what_does_not_end_in_time_is_lost_when_its_worker_stops(
    make_worker_site: MakeWorkerSite, tmp_path: Path
) -> None:
    fleet = make_worker_site()
    fleet.site.variables["JOB_MODULES"] = "tests.job_functions,tests.process_functions"
    fleet.site.jobs = [fleet.once("long", "tests:stubborn", str(tmp_path / "pids"))]
    worker = fleet.worker()
    fleet.site.scheduler()
    (child,) = pids(tmp_path / "pids")
    worker.send(signal.SIGTERM)
    until(lambda: worker.logged("draining"), 5, "the first signal")
    worker.send(signal.SIGQUIT)  # at once
    worker.wait(10)
    lost = fleet.run("long")
    assert (lost["status"], "its worker was" in lost["reason"]) == ("lost", True)
    assert have_ended(child)


# --- cancelling ------------------------------------------------------------------------------------------------------


@BOTH
def test_a_run_is_cancelled_on_its_way_at_once_and_never_starts(make_worker_site: MakeWorkerSite, name: str) -> None:
    fleet = make_worker_site(name)
    fleet.site.jobs = [{**fleet.job("waiting"), "max_runs": 1}]
    worker = fleet.worker(slots=1)
    worker.send(signal.SIGSTOP)
    fleet.site.scheduler()
    until(lambda: fleet.run("waiting").get("dispatched_at"), 12, "its message")
    fleet.do(f"services.cancel_run({fleet.run('waiting')['id']}, now=now, actor='anna')")
    assert fleet.run("waiting")["status"] == "cancelled"
    worker.send(signal.SIGCONT)
    fleet.site.jobs = [fleet.once("next", "tests:wait", 0)]
    fleet.site.scheduler()
    fleet.until_status("next", "succeeded")
    assert fleet.site.calls("waiting") == []
    assert fleet.run("waiting")["status"] == "cancelled"


def test_a_running_run_that_ignores_sigterm_is_cancelled_within_seven_seconds(
    make_worker_site: MakeWorkerSite, tmp_path: Path
) -> None:
    fleet = make_worker_site()
    fleet.site.variables["JOB_MODULES"] = "tests.job_functions,tests.process_functions"
    fleet.site.jobs = [fleet.once("stubborn", "tests:stubborn", str(tmp_path / "pids"))]
    fleet.worker()
    fleet.site.scheduler()
    (child,) = pids(tmp_path / "pids")
    fleet.do(f"services.cancel_run({fleet.run('stubborn')['id']}, now=now, actor='anna')")
    cancelled = fleet.until_status("stubborn", "cancelled", seconds=9)
    assert cancelled["reason"] == "cancelled by anna"
    assert have_ended(child)


def test_a_run_that_takes_longer_than_its_timeout_is_stopped(make_worker_site: MakeWorkerSite) -> None:
    fleet = make_worker_site()
    fleet.site.jobs = [fleet.once("slow", "tests:wait", 30, timeout=1)]
    fleet.worker()
    fleet.site.scheduler()
    stopped = fleet.until_status("slow", "timed_out")
    assert stopped["scheduler_id"] == fleet.site.query("SELECT id FROM cronzimus_worker")[0][0]


# --- messages --------------------------------------------------------------------------------------------------------


@BOTH
def test_a_message_that_comes_six_times_starts_one_run(make_worker_site: MakeWorkerSite, name: str) -> None:
    fleet = make_worker_site(name)
    fleet.site.jobs = [{**fleet.job("once", seconds=2), "max_runs": 1}]
    fleet.workers(2, slots=3)
    fleet.site.scheduler()
    run = fleet.until_status("once", "running")
    fleet.broker.ask_for(run["id"], run["dispatch_id"], times=5)
    fleet.until_status("once", "succeeded")
    fleet.broker.ask_for(run["id"], run["dispatch_id"], times=5)
    let_pass(1.5)
    assert len(fleet.site.calls("once")) == 1
    assert_good(fleet)


@BOTH
def test_no_message_of_any_shape_ends_a_worker(make_worker_site: MakeWorkerSite, name: str) -> None:
    fleet = make_worker_site(name)
    fleet.site.jobs = [fleet.once("after", "tests:wait", 0)]
    worker = fleet.worker()
    for body, headers in POISON:
        fleet.broker.send(body, headers)
    fleet.broker.send(b"\x80\x04pickle", {"task": "cronzimus.run"}, content_type="application/x-python-serialize")
    fleet.site.scheduler()
    fleet.until_status("after", "succeeded")
    assert worker.alive
    assert worker.logged("dropped a message")


@BOTH
def test_a_run_whose_message_is_lost_is_sent_again(make_worker_site: MakeWorkerSite, name: str) -> None:
    fleet = make_worker_site(name)
    fleet.site.jobs = [{**fleet.job("purged"), "max_runs": 1}]
    fleet.do("from datetime import timedelta; from jobs.models import Worker; "
             f"Worker.objects.create(id='gone', name='gone', hostname='gone', pid=1, version='', slots=1, "
             f"queues=['{fleet.broker.queue}'], started_at=now, heartbeat_at=now, "
             "lease_until=now + timedelta(seconds=25))")  # fmt: skip
    fleet.site.scheduler()
    until(lambda: fleet.run("purged").get("dispatched_at"), 15, "the message")
    old = fleet.run("purged")["dispatch_id"]
    assert fleet.broker.purge() == 1
    fleet.do("from datetime import timedelta; from jobs.models import Run; "
             "Run.objects.update(dispatched_at=now - timedelta(seconds=61))")  # fmt: skip
    fleet.worker()
    run = fleet.until_status("purged", "succeeded", seconds=20)
    assert run["dispatches"] >= 2
    assert run["dispatch_id"] != old
    fleet.broker.ask_for(run["id"], old)
    let_pass(1)
    assert_good(fleet)


def test_a_worker_without_the_function_says_so(make_worker_site: MakeWorkerSite) -> None:
    fleet = make_worker_site()
    fleet.site.jobs = [fleet.once("unknown", "tests:wait", 0)]
    fleet.worker(name="reports", JOB_MODULES="")
    fleet.site.scheduler()
    failed = fleet.until_status("unknown", "failed")
    assert failed["error"].startswith("worker reports@")
    assert failed["error"].endswith("does not have tests:wait")


# --- what is cut off -------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("how", ["refuse", "silence"])
def test_a_broker_that_is_away_holds_up_neither_the_loop_nor_a_run_for_ever(
    make_worker_site: MakeWorkerSite, name: str, how: str
) -> None:
    fleet = make_worker_site(name)
    fleet.site.jobs = [fleet.job("remote", max_instances=20), fleet.site.job("local")]
    with proxy(*fleet.broker.address) as between:
        fleet.worker(slots=4)
        fleet.site.scheduler(CELERY_BROKER_URL=fleet.broker.through(between.port))
        until(lambda: fleet.site.calls("remote") and fleet.site.calls("local"), 20, "the first runs")
        getattr(between, how)()
        began, before = time.monotonic(), len(fleet.site.calls("local"))
        let_pass(8)
        assert len(fleet.site.calls("local")) >= before + 6, "the loop was held up"
        assert time.monotonic() - began < 12
        between.restore()
        until(lambda: fleet.run("remote")["status"] == "succeeded", 20, "the runs that waited")
        until(lambda: not fleet.site.query("SELECT 1 FROM cronzimus_run WHERE dispatched_at IS NULL AND "
                                           "status = 'queued'"), 15, "the messages that waited")  # fmt: skip
    assert_good(fleet)


def test_a_scheduler_that_dies_before_it_publishes_leaves_that_to_the_next(make_worker_site: MakeWorkerSite) -> None:
    fleet = make_worker_site()
    fleet.site.jobs = [{**fleet.job("left"), "max_runs": 1}]
    fleet.worker()
    with proxy(*fleet.broker.address) as between:
        between.refuse()
        first = fleet.site.scheduler(CELERY_BROKER_URL=fleet.broker.through(between.port))
        until(lambda: fleet.run("left").get("status") == "queued", 15, "the claim")
        first.popen.kill()
        first.wait(10)
    let_pass(1)
    assert fleet.run("left")["dispatched_at"] is None
    fleet.site.scheduler()
    fleet.until_status("left", "succeeded", seconds=15)
    assert_good(fleet)


def test_a_worker_without_its_database_ends_its_runs_and_joins_again(
    make_worker_site: MakeWorkerSite, tmp_path: Path
) -> None:
    fleet = make_worker_site()
    fleet.site.variables["JOB_MODULES"] = "tests.job_functions,tests.process_functions"
    fleet.site.jobs = [fleet.once("cut-off", "tests:stubborn", str(tmp_path / "pids"))]
    url = fleet.site.url
    host, port = url.rsplit("@", 1)[1].split("/")[0].split(":")
    with proxy(host, int(port)) as between:
        worker = fleet.worker(DATABASE_URL=url.replace(f"{host}:{port}", f"127.0.0.1:{between.port}"))
        fleet.site.scheduler()
        (child,) = pids(tmp_path / "pids")
        between.refuse()
        fleet.until_status("cut-off", "lost", seconds=LOST_SECONDS)
        until(lambda: have_ended(child), 5, "the end of its process")
        between.restore()
        until(lambda: len(fleet.site.query("SELECT id FROM cronzimus_worker WHERE stopped_at IS NULL")) == 1, 15)
        assert worker.alive
        fleet.site.jobs = [fleet.once("after", "tests:wait", 0)]
        fleet.site.scheduler()
        fleet.until_status("after", "succeeded")


@BOTH
def test_runs_survive_restarts_of_their_workers(make_worker_site: MakeWorkerSite, name: str) -> None:
    fleet = make_worker_site(name)
    job_ids = [f"job-{number}" for number in range(60)]
    fleet.site.jobs = [fleet.job(job_id, seconds=0.05, max_instances=20) for job_id in job_ids]
    fleet.worker(slots=4)
    fleet.site.scheduler()
    for how in (signal.SIGTERM, signal.SIGKILL, signal.SIGQUIT):
        old = [process for process in fleet.site.processes if process.alive and "ready." in process.log.read_text()]
        fleet.worker(slots=4)
        for process in old:
            process.send(how)
    scheduler = next(process for process in fleet.site.processes if process.logged("ready; its id") and
                     not process.logged("@.* ready"))  # fmt: skip
    let_pass(5)
    fleet.do("services.pause_all(now=now)")
    let_pass(12)
    # What a killed worker had taken off the queue is sent again after a minute, which is made to have passed.
    fleet.do("from datetime import timedelta; from jobs.models import Run; "
             "Run.objects.filter(status='queued').update(dispatched_at=now - timedelta(seconds=61))")  # fmt: skip
    active = "SELECT count(*) FROM cronzimus_run WHERE status IN ('queued', 'running')"
    until(lambda: fleet.site.query(active) == [(0,)], 25, "all ends")
    stop(scheduler)
    assert len(fleet.site.marks()) >= 100
    assert_good(fleet)
