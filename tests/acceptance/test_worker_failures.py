"""Workers, brokers and databases die, freeze or are cut off: no run starts twice, and none is stuck.

Each test runs on Redis and RabbitMQ with CI=true, and its history is judged by `checker.py` in the end (`fleet`).
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobs.worker.refused_queues import QUEUE_RECHECK_SECONDS
from tests.conftest import CI

from .brokers import Broker, Proxy, proxy
from .process_runs import have_ended, pids
from .support import Process, let_pass, until
from .worker_site import IN_TIME, WorkerSite, stop

pytestmark = IN_TIME
MANY = 2000 if CI else 400
"""Runs during which workers are restarted."""


# --- what dies -------------------------------------------------------------------------------------------------------


def test_a_worker_that_is_killed_leaves_its_runs_lost_and_its_processes_dead(fleet: WorkerSite, tmp_path: Path) -> None:
    fleet.may_be("lost", "victim", "retried", "other")
    fleet.messages_may_be_lost()  # those that it had not acted on yet
    fleet.add(fleet.once("victim", "tests:stubborn", str(tmp_path / "pids")), fleet.job("other", max_instances=3))
    fleet.add(fleet.once("retried", "tests:wait", 6, retries={"max": 1, "delay": 1}))
    first = fleet.worker(slots=3)
    (child,) = pids(tmp_path / "pids")
    first_attempt = fleet.until_status("retried", "running")
    first.popen.kill()
    killed = time.monotonic()
    first.wait(20)
    until(lambda: have_ended(child), 20, "the end of its process")
    fleet.worker()
    lost = fleet.until_lost("victim", since=killed)
    assert "lease ended" in lost["reason"]
    before = len(fleet.calls("other"))
    until(lambda: len(fleet.calls("other")) >= before + 2, 20, "runs on the new worker")
    second_attempt = fleet.until_status("retried", "succeeded")
    assert (first_attempt["attempt"], second_attempt["attempt"]) == (1, 2)
    assert first_attempt["scheduler_id"] != second_attempt["scheduler_id"]


@pytest.mark.slow
def test_a_worker_that_froze_has_its_late_outcomes_refused(fleet: WorkerSite) -> None:
    """It is frozen for so long that RabbitMQ ends its connection, after two to three heartbeats of 10 s."""
    names = [f"frozen-{number}" for number in range(3)]
    fleet.may_be("lost", *names)
    fleet.add(*(fleet.once(name, "tests:wait", 6) for name in names))
    with database_proxy(fleet) as (between, variables):
        worker = fleet.worker(slots=3, **variables)
        for name in names:
            fleet.until_status(name, "running")
        assert not fleet.url.startswith("amqp") or fleet.broker.consumers() == 1
        worker.send(signal.SIGSTOP)
        frozen = time.monotonic()
        given_up = [fleet.until_lost(name, since=frozen) for name in names]  # their functions have ended by then
        if fleet.url.startswith("amqp"):
            until(lambda: not fleet.broker.consumers(), 40, "the end of its connection")
        between.silence()  # for a moment, in which the outcomes reach the thread that writes
        worker.send(signal.SIGCONT)
        let_pass(1)
        between.restore()
        until(lambda: worker.logged("lease of .* was over"), 15, "the worker's notice")
        until(lambda: len(fleet.living()) == 1, 15, "its return")
        fleet.add(fleet.once("next", "tests:wait", 0))
        fleet.until_status("next", "succeeded")
        assert [fleet.run(name) for name in names] == given_up


@contextmanager
def database_proxy(fleet: WorkerSite) -> Iterator[tuple[Proxy, dict[str, str]]]:
    """Yield a proxy in front of the database, and the variables of a worker that uses it."""
    url = fleet.site.url
    host, port = url.rsplit("@", 1)[1].split("/")[0].split(":")
    with proxy(host, int(port)) as between:
        yield between, {"DATABASE_URL": url.replace(f"{host}:{port}", f"127.0.0.1:{between.port}")}


@pytest.mark.slow
def test_a_start_that_a_silent_database_gets_after_the_lease_starts_nothing(fleet: WorkerSite) -> None:
    with database_proxy(fleet) as (between, variables):
        worker = fleet.worker(slots=1, **variables)
        fleet.messages_may_be_lost()  # that of the start
        between.silence()
        fleet.add(fleet.once("late", "tests:wait", 0))
        fleet.until_published("late")
        until(lambda: worker.logged("lease of .* is over: its last heartbeat was"), 30, "the end of its lease")
        let_pass(5)
        between.restore()
        until(lambda: worker.logged("lease of .* was over"), 15, "the worker's notice")
        until(lambda: len(fleet.living()) == 1, 15, "its return")
        run = fleet.run("late")
        assert (run["status"], run["started_at"]) == ("queued", None)
        assert not worker.logged("the clock jumped")
        fleet.make_old()
        fleet.until_status("late", "succeeded")


@pytest.mark.slow
def test_a_run_whose_process_is_killed_fails_and_the_next_one_runs(fleet: WorkerSite, tmp_path: Path) -> None:
    fleet.may_be("failed", "victim")
    fleet.add(fleet.once("victim", "tests:stubborn", str(tmp_path / "pids")))
    fleet.worker(slots=1)
    (child,) = pids(tmp_path / "pids")
    os.kill(child, signal.SIGKILL)
    failed = fleet.until_status("victim", "failed")
    assert "SIGKILL" in failed["error"]
    fleet.add(fleet.once("next", "tests:wait", 0))
    fleet.until_status("next", "succeeded")


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_scheduler_that_dies_before_or_after_it_publishes_leaves_no_run_behind(
    make_fleet: Callable[..., WorkerSite], when: str
) -> None:
    fleet = make_fleet()
    fleet.do("pass")  # its Django starts now: a worker that is frozen has a lease of 15 s
    worker = fleet.worker(slots=1)
    with proxy(*fleet.broker.address) as between:
        if when == "before":
            between.refuse()
        first = fleet.site.scheduler(CELERY_BROKER_URL=fleet.broker.through(between.port))
        if when == "after":
            worker.send(signal.SIGSTOP)
        fleet.add({**fleet.job("left"), "max_runs": 1})
        fleet.until_status("left", "queued") if when == "before" else fleet.until_published("left")
        first.popen.kill()
        first.wait(20)
    if when == "before":
        assert fleet.run("left")["dispatched_at"] is None
        fleet.site.scheduler()
    else:
        worker.send(signal.SIGCONT)
    assert fleet.until_status("left", "succeeded", seconds=30)["dispatches"] == 1


# --- what stops ------------------------------------------------------------------------------------------------------


def test_a_worker_that_is_told_to_stop_lets_runs_end_and_takes_no_more(fleet: WorkerSite) -> None:
    fleet.add(fleet.once("short", "tests:wait", 6))
    first = fleet.worker()
    fleet.until_status("short", "running")
    first.send(signal.SIGTERM)
    until(lambda: first.logged("draining"), 20, "the signal")
    slots = f"SELECT slots FROM cronzimus_worker WHERE pid = {first.pid}"  # noqa: S608
    until(lambda: fleet.site.query(slots) == [(0,)], 20, "its row")
    assert fleet.run("short")["status"] == "running"
    fleet.add(fleet.once("next", "tests:wait", 0))
    assert first.wait(40) == 0
    assert fleet.run("short")["status"] == "succeeded"
    assert fleet.run("next") == {}
    fleet.worker()
    fleet.until_status("next", "succeeded")


@pytest.mark.slow
def test_what_does_not_end_in_thirty_seconds_is_lost_when_its_worker_stops(fleet: WorkerSite, tmp_path: Path) -> None:
    fleet.may_be("lost", "long")
    fleet.add(fleet.once("long", "tests:stubborn", str(tmp_path / "pids")))
    worker = fleet.worker(slots=1)
    (child,) = pids(tmp_path / "pids")
    began = time.monotonic()
    worker.send(signal.SIGTERM)
    assert worker.wait(45) == 0
    assert time.monotonic() - began >= 30
    lost = fleet.run("long")
    assert (lost["status"], "did not end within 30 s" in lost["reason"]) == ("lost", True)
    assert have_ended(child)


@pytest.mark.slow
def test_a_second_signal_ends_the_runs_of_a_worker_at_once_as_lost(fleet: WorkerSite, tmp_path: Path) -> None:
    fleet.may_be("lost", "long")
    fleet.add(fleet.once("long", "tests:stubborn", str(tmp_path / "pids")))
    worker = fleet.worker(slots=1)
    (child,) = pids(tmp_path / "pids")
    worker.send(signal.SIGTERM)
    until(lambda: worker.logged("draining"), 20, "the first signal")
    worker.send(signal.SIGQUIT)
    worker.wait(20)
    lost = fleet.run("long")
    assert (lost["status"], "its worker was" in lost["reason"]) == ("lost", True)
    assert have_ended(child)


@pytest.mark.slow
def test_what_a_worker_had_no_slot_for_survives_its_reconnects_and_its_end(fleet: WorkerSite) -> None:
    fleet.pretend_worker(slots=12)
    fleet.add(*(fleet.job(f"job-{number}", seconds=0.5, max_runs=1) for number in range(12)))
    for number in range(12):
        fleet.until_published(f"job-{number}")
    with proxy(*fleet.broker.address) as between:
        first = fleet.worker(slots=1, CELERY_BROKER_URL=fleet.broker.through(between.port))
        for calls in (1, 2, 3):
            until(lambda n=calls: len(fleet.marks()) >= n, 15, "a run")
            between.refuse()
            let_pass(0.3)
            between.restore()
            until(lambda n=calls: len(fleet.marks()) > n, 30, "the run after it")
        stop(first)
    losable = 0 if fleet.url.startswith("amqp") else 3  # Redis may lose one with each connection that broke
    until(lambda: fleet.broker.waiting() + len(fleet.marks()) >= 12 - losable, 20, "each message back in its queue")
    lost = 12 - fleet.broker.waiting() - len(fleet.marks())
    fleet.worker(slots=4)
    until(lambda: len(fleet.marks()) >= 12 - lost, 20, "the runs whose messages were left")
    if lost:
        fleet.messages_may_be_lost()
    fleet.settle()
    assert {row.status for row in fleet.rows()} == {"succeeded"}


@pytest.mark.slow
def test_runs_survive_warm_and_cold_restarts_of_their_workers(fleet: WorkerSite) -> None:
    many = fleet.job("many", max_instances=1000) | {"trigger": "date", "run_date": "2999-01-01"}
    del many["seconds"]
    fleet.may_be("lost", "many", *(f"job-{number}" for number in range(5)))
    fleet.messages_may_be_lost()
    fleet.add(many, *(fleet.job(f"job-{number}", max_instances=20) for number in range(5)))
    running = [fleet.worker()]  # the fewer slots, the fewer processes to start: half of the time of this test
    fleet.do(
        f"job = Job.objects.get(pk='{fleet.prefix}many'); day = timedelta(days=1); "
        "Run.objects.bulk_create(Run(job_id=job.pk, func=job.func, args=job.args, kwargs=job.kwargs, status='queued', "
        "trigger='manual', scheduled_time=now - day + timedelta(seconds=number), queued_at=now, version=1, "
        f"executor='celery', queue=job.queue) for number in range({MANY})); "
        "services.update_job(job.pk, {'name': 'announced'}, now=now)"
    )
    left = f"SELECT count(*) FROM cronzimus_run WHERE job_id = '{fleet.prefix}many' AND started_at IS NULL"  # noqa: S608
    for restart, how in enumerate((signal.SIGTERM, signal.SIGKILL, signal.SIGQUIT), start=1):
        share = MANY - restart * MANY // 5
        following = fleet.start_worker()  # it starts while the one before is at work
        until(lambda most=share: fleet.site.query(left)[0][0] <= most, 90, "a share of the runs", pause=0.05)
        running[-1].send(how)
        running.append(fleet.until_ready(following))
    until(lambda: fleet.site.query(left) == [(0,)] or resend(fleet), 90, "all starts", pause=1)
    # The two workers that got no time lose the messages and the runs in their slots, and outcomes not written yet.
    assert sum(row.dispatches > 1 for row in fleet.rows()) <= MANY // 50
    fleet.settle()
    rows = [row for row in fleet.rows() if row.job_id.endswith("many")]
    assert len(rows) >= MANY
    assert {row.status for row in rows} <= {"succeeded", "lost"}
    assert sum(row.status == "lost" for row in rows) <= MANY // 50
    assert running[0].wait(20) == 0
    assert lost_runs(fleet, running[0]) == 0, "it got its time"


def resend(fleet: WorkerSite) -> None:
    """Have runs sent again at once whose messages are lost: they are old, and the queue is empty."""
    if not fleet.broker.waiting():
        fleet.make_old(after=3)


def lost_runs(fleet: WorkerSite, worker: Process) -> int:
    """Return the number of runs that were lost on a worker."""
    ids = f"SELECT id FROM cronzimus_worker WHERE pid = {worker.pid}"  # noqa: S608
    sql = f"SELECT count(*) FROM cronzimus_run WHERE status = 'lost' AND scheduler_id IN ({ids})"  # noqa: S608
    ((number,),) = fleet.site.query(sql)
    return int(number)


# --- what is cut off -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("when", ["start", "work"])
def test_a_queue_that_the_broker_refuses_is_left_out_until_it_is_mended(fleet: WorkerSite, when: str) -> None:
    broken = Broker(fleet.url)
    try:
        if when == "start":
            broken.refuse()
        worker = fleet.worker(slots=1, queues=f"{fleet.broker.queue},{broken.queue}")
        if when == "work":
            fleet.add(fleet.once("before", "tests:wait", 0, queue=broken.queue))
            fleet.until_status("before", "succeeded")
            worker.send(signal.SIGSTOP)  # else it makes the queue of RabbitMQ again at once
            broken.refuse()
            worker.send(signal.SIGCONT)
        until(lambda: worker.logged(f"queue {broken.queue} is not served, because the broker refuses it"), 20, "a word")
        until(lambda: served(fleet, worker) == [fleet.broker.queue], 10, "its row")
        fleet.add(fleet.once("refused", "tests:wait", 0, queue=broken.queue))
        for number in range(3):
            fleet.add(fleet.once(f"other-{number}", "tests:wait", 0))
            fleet.until_status(f"other-{number}", "succeeded")
        let_pass(QUEUE_RECHECK_SECONDS + 1)
        assert worker.alive
        assert worker.log.read_text().count("is not served") == 1
        assert fleet.run("refused") == {}
        broken.drop()
        fleet.until_status("refused", "succeeded", seconds=30)
        assert worker.logged(f"queue {broken.queue} is served again")
        stop(worker)
    finally:
        broken.drop()


def served(fleet: WorkerSite, worker: Process) -> list[str]:
    """Return the queues of a worker's row."""
    ((queues,),) = fleet.site.query(f"SELECT queues FROM cronzimus_worker WHERE pid = {worker.pid}")  # noqa: S608
    return json.loads(queues) if isinstance(queues, str) else queues


@pytest.mark.slow
@pytest.mark.parametrize("how", ["refuse", "silence"])
def test_a_worker_without_its_database_ends_its_runs_and_its_late_outcomes_are_refused(
    fleet: WorkerSite, tmp_path: Path, how: str
) -> None:
    fleet.may_be("lost", "cut-off", "ends")
    fleet.add(fleet.once("cut-off", "tests:stubborn", str(tmp_path / "pids")), fleet.once("ends", "tests:wait", 10))
    with database_proxy(fleet) as (between, variables):
        worker = fleet.worker(**variables)
        (child,) = pids(tmp_path / "pids")
        fleet.until_status("ends", "running")
        getattr(between, how)()
        cut_off = time.monotonic()
        given_up = [fleet.until_lost(name, since=cut_off) for name in ("cut-off", "ends")]
        until(lambda: have_ended(child), 20, "the end of its process")
        between.restore()
        until(lambda: len(fleet.living()) == 1, 20, "its return")
        assert worker.alive
        fleet.add(fleet.once("after", "tests:wait", 0))
        fleet.until_status("after", "succeeded")
        assert [fleet.run(name) for name in ("cut-off", "ends")] == given_up
