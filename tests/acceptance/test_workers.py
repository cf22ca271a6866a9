"""Jobs on Celery workers, with real brokers: runs start once, show their output, and can be cancelled.

Each test runs on Redis and RabbitMQ with CI=true, and its history is judged by `checker.py` in the end (`fleet`).
"""

from __future__ import annotations

import os
import signal
import statistics
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs import __version__

from .process_runs import have_ended, pids
from .support import ROOT, Process, let_pass, until
from .worker_site import IN_TIME, WorkerSite, stop

pytestmark = IN_TIME
REDIS = pytest.mark.parametrize("broker_name", ["redis"], indirect=True)
"""The test is about something that only Redis has."""
SHOWN_SECONDS = 2.0
"""Seconds in which a line of a run's output is shown."""
POISON = (
    ("", {}), ("not json {", {"task": "cronzimus.run"}), ([], {"task": "cronzimus.run", "id": "1"}),
    ([[], {}, {}], {"task": "cronzimus.run"}), ({"task": "cronzimus.run"}, {}), ([1, 2], {"id": "x"}),
    ([[], {"v": 1, "run": 1, "dispatch": "no uuid"}, {}], {"task": "cronzimus.run", "id": "2"}),
    ([[], {"v": 1, "run": "1; DROP TABLE", "dispatch": "0" * 32}, {}], {"task": "cronzimus.run", "id": "3"}),
    ([[], {"v": 2, "run": 1, "dispatch": "0" * 32}, {}], {"task": "cronzimus.run", "id": "4"}),
    ([[], {}, {}], {"task": "os.system", "id": "5"}), ([["rm"], {}, {}], {"task": ["a", "list"], "id": "6"}),
    ([[], {"v": 1, "run": 2**70, "dispatch": "0" * 32}, {}], {"task": "cronzimus.run", "id": "7", "eta": "never"}),
    ([[], {"v": 1, "run": 1, "dispatch": "0" * 32}, {}], {"task": "cronzimus.run", "id": "8", "traceparent": [1]}),
    (None, {}), (7, {"task": "cronzimus.run", "id": "9"}), ([None, None, None], {"task": "cronzimus.run", "id": None}),
    ([[[[[]]]]], {"task": "cronzimus.run", "id": "10", "retries": "x", "timelimit": "x", "expires": "x"}),
)  # fmt: skip
"""Bodies and headers of messages that ask for nothing."""
TASK = {"task": "cronzimus.run"}
RAW_POISON = (
    (b"\x80\x04pickle", "application/x-python-serialize", "binary"), (b"\xff\xfe{", "application/json", "utf-8"),
    (b"[[], {}, {}]", "application/json", "no-such-encoding"), (b"[[], {}, {}]", "text/no-such-type", "utf-8"),
    (b"", "application/json", "utf-8"), (b"[" * 20_000, "application/json", "utf-8"),
    (b"x" * 2_000_000, "application/json", "punycode"), (b"[" + b" " * 2_000_000 + b"]", "application/json", "utf-8"),
    (b"[[], {}, {}]", "application/json", "rot13"), (b"[[], {}, {}]", "application/json", "undefined"),
)  # fmt: skip
"""Bodies that are not what their content type and encoding say, or too large."""
COMPRESSED = (
    ("application/x-gzip", zlib.compress(b" " * 50_000_000)),
    ("bzip2", b"BZ"),
    ("no-such", b"x"),
    ([1], b"x"),
)
"""Values of the header `compression`, and bodies."""


def table(content: bytes) -> bytes:
    """Return `content` with its length, as AMQP encodes tables and texts."""
    return struct.pack(">I", len(content)) + content


def header(kind: bytes, content: bytes = b"") -> bytes:
    """Return the properties of a message with the headers `task` and `x`, whose value is of a kind."""
    return struct.pack(">H", 1 << 13) + table(b"\x04taskS" + table(b"cronzimus.run") + b"\x01x" + kind + content)


def nested(levels: int) -> bytes:
    """Return the content of a table in a table, so many times."""
    content = b""
    for _ in range(levels):
        content = b"\x01kF" + table(content)
    return content


PROPERTIES = (
    header(b"T", b"\xff" * 8), header(b"S", table(b"\xff\xfe")), header(b"D", b"\xc8" + bytes(4)), b"\x00\x00",
    *(header(b"F", table(nested(levels))) for levels in (100, *range(300, 1000, 50), 3000)),
    *(struct.pack(">H", 1 << bit) + b"\x02\xff\xfe" for bit in (15, 14, 10, 9, 7, 5, 3)),
)  # fmt: skip
"""Properties of messages that RabbitMQ takes, and py-amqp cannot decode, or that say nothing."""
ITEMS = (
    b"no json", b"[]", b"{}", b"null", b'{"body": 1}', b'{"properties": {}, "body": "", "headers": 1}', b"\xff",
    b"[" * 50_000, b'{"properties": {"delivery_tag": 1, "body_encoding": "no-such"}, "body": "x"}',
    b'{"properties": {"delivery_tag": 1}, "body": 7, "headers": 1}', b'"' + b"x" * 2_000_000 + b'"',
)  # fmt: skip
"""Items of a list of Redis that are not messages."""


# --- what works ------------------------------------------------------------------------------------------------------


def assert_each_runs_once(fleet: WorkerSite) -> None:
    """Run twenty jobs on a worker every second for a while, and check their fire times."""
    fleet.add(*(fleet.job(f"job-{number}", max_instances=100) for number in range(20)))
    worker = fleet.worker(slots=2)
    until(lambda: len(fleet.calls("job-19")) >= 4, 30, "the runs")
    fleet.settle()
    assert {row.status for row in fleet.rows()} == {"succeeded"}
    assert len({mark.pid for mark in fleet.marks()}) == 2
    stop(worker)
    assert fleet.site.query(f"SELECT stopped_at IS NULL FROM cronzimus_worker WHERE pid = {worker.pid}") == [(False,)]  # noqa: S608


def test_workers_run_each_fire_time_once(fleet: WorkerSite) -> None:
    assert_each_runs_once(fleet)


@pytest.mark.slow
def test_workers_on_the_machine_of_a_sqlite_file_do_so_too(make_fleet: Callable[..., WorkerSite]) -> None:
    fleet = make_fleet("sqlite")
    scheduler = fleet.site.scheduler()
    assert_each_runs_once(fleet)
    stop(scheduler)


def test_a_run_shows_its_output_and_its_progress_while_it_runs(fleet: WorkerSite) -> None:
    fleet.use_shared_worker()
    fleet.add(fleet.once("noisy", "tests:talk", 20))
    fleet.until_status("noisy", "running")
    lags = list(shown_late(fleet, "noisy"))
    assert len(lags) >= 8, "it is shown while it runs"
    assert statistics.median(lags) <= SHOWN_SECONDS, "a stall holds up only some"
    ended = fleet.until_status("noisy", "succeeded", seconds=30)
    assert "said 20 " in ended["output"]
    assert ended["scheduler_id"] in fleet.living()


def shown_late(fleet: WorkerSite, job_id: str) -> Iterator[float]:
    """Yield for each line of "tests:talk" after how many seconds it was shown, while the run goes on."""
    seen = 0
    while (run := fleet.run(job_id))["status"] == "running":
        now, lines = time.time(), run["output"].splitlines()
        for line in lines[seen:]:
            yield now - float(line.rpartition(" at ")[2])
            assert run["progress_done"] >= seen
        seen = len(lines)
        let_pass(0.02)


def test_an_idle_worker_takes_what_a_busy_one_has_no_slot_for(fleet: WorkerSite) -> None:
    fleet.add(fleet.once("long", "tests:wait", 300))
    fleet.workers(2, slots=1)
    fleet.until_status("long", "running")
    fleet.add(*(fleet.once(f"short-{number}", "tests:wait", 0.1) for number in range(6)))
    for number in range(6):
        fleet.until_status(f"short-{number}", "succeeded", seconds=30)
    assert fleet.run("long")["status"] == "running"
    fleet.cancel("long")


def test_jobs_of_a_queue_without_a_worker_stay_due(fleet: WorkerSite) -> None:
    fleet.add(fleet.once("remote", "tests:wait", 0), fleet.local("local"))
    until(lambda: len(fleet.calls("local")) >= 3, 20, "the local runs")
    assert fleet.run("remote") == {}
    fleet.worker()
    fleet.until_status("remote", "succeeded")


def test_two_workers_of_one_name_are_two(fleet: WorkerSite) -> None:
    fleet.add(fleet.job("twins", seconds=1.5, max_instances=2, overlap="queue"))
    fleet.workers(2, slots=1, name="twin")
    until(lambda: set(fleet.living()) == fleet.workers_of("twins"), 20, "runs on both")
    assert len(fleet.living()) == 2


def test_a_worker_of_another_version_runs_runs_too(fleet: WorkerSite, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import jobs\njobs.__version__ = '0.1.99'\n")
    fleet.start_worker(slots=1, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    fleet.add(fleet.job("any", seconds=1.5, max_instances=2, overlap="queue"))
    fleet.worker(slots=1)
    until(lambda: len(fleet.workers_of("any")) == 2, 30, "runs on both")
    sql = "SELECT version FROM cronzimus_worker WHERE id IN ('{}', '{}')".format(*fleet.workers_of("any"))  # noqa: S608
    assert sorted(fleet.site.query(sql)) == [("0.1.99",), (__version__,)]


def test_a_worker_without_the_function_says_so(fleet: WorkerSite) -> None:
    fleet.may_be("failed", "unknown")
    fleet.add(fleet.once("unknown", "tests:wait", 0))
    fleet.worker(name="reports", JOB_MODULES="")
    failed = fleet.until_status("unknown", "failed")
    assert failed["error"].startswith("worker reports@")
    assert failed["error"].endswith("does not have tests:wait")


# --- cancelling ------------------------------------------------------------------------------------------------------


def test_a_run_that_is_not_published_yet_is_cancelled_at_once_and_never_starts(fleet: WorkerSite) -> None:
    fleet.worker()
    fleet.between.refuse()
    try:
        fleet.add({**fleet.job("waiting"), "max_runs": 1})
        waiting = fleet.until_status("waiting", "queued")
        assert (waiting["dispatches"], waiting["dispatched_at"]) == (1, None)
        fleet.cancel("waiting")
        assert fleet.run("waiting")["status"] == "cancelled"
    finally:
        fleet.between.restore()
    fleet.add(fleet.once("next", "tests:wait", 0))
    fleet.until_status("next", "succeeded")
    assert fleet.calls("waiting") == []
    assert fleet.run("waiting")["status"] == "cancelled"


def test_a_run_is_cancelled_on_its_way_at_once_and_never_starts(fleet: WorkerSite) -> None:
    worker = fleet.worker(slots=1)
    worker.send(signal.SIGSTOP)
    fleet.add({**fleet.job("waiting"), "max_runs": 1})
    fleet.until_published("waiting")
    fleet.cancel("waiting")
    assert fleet.run("waiting")["status"] == "cancelled"
    worker.send(signal.SIGCONT)
    fleet.add(fleet.once("next", "tests:wait", 0))
    fleet.until_status("next", "succeeded")
    assert fleet.calls("waiting") == []
    assert fleet.run("waiting")["status"] == "cancelled"


def test_a_run_that_has_just_started_is_cancelled(fleet: WorkerSite) -> None:
    fleet.use_shared_worker()
    fleet.add(*(fleet.once(f"young-{number}", "tests:wait", 300) for number in range(3)))
    for number in range(3):
        until(lambda n=number: fleet.run(f"young-{n}").get("status") == "running", 20, "a start", pause=0.001)
        fleet.cancel(f"young-{number}")
    for number in range(3):
        assert fleet.until_status(f"young-{number}", "cancelled", seconds=30)["reason"] == "cancelled by anna"


def test_a_running_run_that_ignores_sigterm_is_cancelled_all_the_same(fleet: WorkerSite, tmp_path: Path) -> None:
    fleet.use_shared_worker()
    fleet.add(fleet.once("stubborn", "tests:stubborn", str(tmp_path / "pids")))
    (child,) = pids(tmp_path / "pids")
    fleet.cancel("stubborn")
    cancelled = fleet.until_status("stubborn", "cancelled", seconds=20)  # seven on a machine that does nothing else
    assert cancelled["reason"] == "cancelled by anna"
    assert have_ended(child)


def test_a_run_that_takes_longer_than_its_timeout_is_stopped(fleet: WorkerSite) -> None:
    fleet.use_shared_worker()
    fleet.may_be("timed_out", "slow")
    fleet.add(fleet.once("slow", "tests:wait", 30, timeout=1))
    stopped = fleet.until_status("slow", "timed_out")
    assert stopped["scheduler_id"] in fleet.living()


# --- messages --------------------------------------------------------------------------------------------------------


def test_a_message_that_comes_six_times_starts_one_run(fleet: WorkerSite) -> None:
    workers = fleet.workers(2, slots=3, LOG_LEVEL="DEBUG")
    fleet.add({**fleet.job("once", seconds=2), "max_runs": 1})
    run = fleet.until_status("once", "running", "succeeded")
    fleet.broker.ask_for(run["id"], run["dispatch_id"], times=5)
    fleet.until_status("once", "succeeded")
    until(lambda: refusals(*workers) == 5, 10, "five void messages")
    fleet.broker.ask_for(run["id"], run["dispatch_id"], times=5)
    until(lambda: refusals(*workers) == 10, 10, "five more")
    assert len(fleet.calls("once")) == 1


def refusals(*workers: Process) -> int:
    """Return the number of messages that started nothing on workers; their logs have the level DEBUG."""
    return sum(worker.log.read_text().count(" does not start here") for worker in workers)


@REDIS
def test_a_message_that_comes_again_after_the_visibility_timeout_starts_nothing(fleet: WorkerSite) -> None:
    fleet.messages_may_be_lost()
    fleet.pretend_worker(slots=1)
    fleet.add({**fleet.job("slow-way"), "max_runs": 1})
    fleet.until_published("slow-way")
    with fleet.broker.held() as redeliver:
        fleet.make_old()
        worker = fleet.worker(slots=1, LOG_LEVEL="DEBUG")
        assert fleet.until_status("slow-way", "succeeded")["dispatches"] == 2
        redeliver()
        until(lambda: refusals(worker) == 1, 10, "the void message")
    assert len(fleet.calls("slow-way")) == 1


def test_no_message_of_any_shape_ends_a_worker(fleet: WorkerSite) -> None:
    worker = fleet.worker()
    for body, headers in POISON:
        fleet.broker.send(body, headers)
    for content, content_type, encoding in RAW_POISON:
        fleet.broker.send(content, TASK, content_type=content_type, content_encoding=encoding)
    for compression, content in COMPRESSED:
        headers = {**TASK, "compression": compression}
        fleet.broker.send(content, headers, content_type="application/json", content_encoding="utf-8")
    sent = len(POISON) + len(RAW_POISON) + len(COMPRESSED)
    if fleet.url.startswith("amqp"):
        fleet.broker.send_properties(*PROPERTIES)
        fleet.broker.send_by_routing_key(b"\xff\xfe")
        sent += len(PROPERTIES) + 1
    fleet.add(fleet.once("after", "tests:wait", 0))
    fleet.until_status("after", "succeeded")
    assert worker.alive
    log = worker.log.read_text()
    assert log.count("dropped a message:") == sent - 1, "all but the one that names a run that is not there"
    assert log.count("Connected to") == 1
    assert max(map(len, log.splitlines())) < 2_000
    assert fleet.broker.waiting() == 0


@REDIS
def test_what_is_no_message_at_all_ends_no_worker(fleet: WorkerSite) -> None:
    worker = fleet.worker()
    fleet.broker.push(*ITEMS * 30, *ITEMS)
    fleet.add(fleet.once("after", "tests:wait", 0))
    fleet.until_status("after", "succeeded")
    assert worker.alive
    log = worker.log.read_text()
    assert log.count("dropped a message:") == 31 * len(ITEMS)
    assert log.count("Connected to") == 1


def test_a_message_of_a_newer_version_is_dropped_and_its_run_is_sent_again(fleet: WorkerSite) -> None:
    fleet.messages_may_be_lost()
    fleet.pretend_worker(slots=1)
    fleet.add({**fleet.job("newer"), "max_runs": 1})
    run = fleet.until_published("newer")
    assert fleet.broker.purge() == 1
    message = {"v": 2, "run": run["id"], "dispatch": run["dispatch_id"], "more": True}
    fleet.broker.send([[], message, {}], {"task": "cronzimus.run", "id": run["dispatch_id"]})
    worker = fleet.worker(slots=1)
    until(lambda: worker.logged("has version 2, and this worker knows version 1"), 10, "the refusal")
    assert fleet.run("newer")["status"] == "queued"
    fleet.make_old()
    fleet.until_status("newer", "succeeded")


def test_a_run_whose_message_is_lost_is_sent_again(fleet: WorkerSite) -> None:
    fleet.messages_may_be_lost()
    fleet.pretend_worker(slots=1)
    fleet.add({**fleet.job("purged"), "max_runs": 1})
    old = fleet.until_published("purged")["dispatch_id"]
    assert fleet.broker.purge() == 1
    fleet.make_old()
    worker = fleet.worker(LOG_LEVEL="DEBUG")
    run = fleet.until_status("purged", "succeeded")
    assert run["dispatches"] == 2
    assert run["dispatch_id"] != old
    fleet.broker.ask_for(run["id"], old)
    until(lambda: refusals(worker) == 1, 10, "the void message")
    assert len(fleet.calls("purged")) == 1


def test_a_queue_that_somebody_removed_is_made_again(fleet: WorkerSite) -> None:
    fleet.messages_may_be_lost()
    fleet.pretend_worker(slots=2)
    fleet.add({**fleet.job("first"), "max_runs": 1})
    fleet.until_published("first")
    fleet.broker.drop()
    fleet.add({**fleet.job("second"), "max_runs": 1})
    fleet.until_published("second")
    assert fleet.broker.waiting() == 1
    fleet.worker()
    fleet.until_status("second", "succeeded")
    fleet.make_old()
    assert fleet.until_status("first", "succeeded")["dispatches"] == 2


def test_a_message_that_a_frozen_worker_has_is_replaced_and_starts_nothing_when_it_wakes(fleet: WorkerSite) -> None:
    fleet.messages_may_be_lost()
    frozen = fleet.worker(slots=1, LOG_LEVEL="DEBUG")
    held = freeze_with_a_message(fleet, frozen)
    fleet.make_old()
    # Before the next worker is there: RabbitMQ takes the message back from one that has been frozen for long.
    until(lambda: fleet.run(held)["dispatches"] == 2, 15, "a second message")
    fleet.worker(slots=1)
    assert fleet.until_status(held, "succeeded")["dispatches"] == 2
    frozen.send(signal.SIGCONT)
    until(lambda: refusals(frozen) == 1, 10, "the void message")
    assert len(fleet.calls(held)) == 1


def freeze_with_a_message(fleet: WorkerSite, worker: Process) -> str:
    """Freeze a worker, and return a job whose message has reached it since.

    On Redis a message reaches it only within a second: its last question is void then. A busy machine may be slower.
    """
    for job_id in (f"held-{number}" for number in range(10)):
        worker.send(signal.SIGSTOP)
        fleet.add({**fleet.job(job_id), "max_runs": 1})
        fleet.until_published(job_id)
        if not fleet.broker.waiting():
            return job_id
        worker.send(signal.SIGCONT)
        fleet.until_status(job_id, "succeeded")
    raise AssertionError("no message reached the frozen worker")
