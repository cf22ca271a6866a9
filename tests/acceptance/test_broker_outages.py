"""A broker that is away, silent, gone or refuses a worker: the loop goes on, and runs start soon after its return."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable

import pytest

from jobs.worker.reconnecting import RETRY_SECONDS
from tests.conftest import CI
from tests.waiting import let_pass, until

from .brokers import proxy
from .support import Process
from .worker_site import IN_TIME, STARTED, WorkerSite

pytestmark = IN_TIME
AWAY_SECONDS = 30 if CI else 8
"""Seconds for which a broker is away."""
OUTAGE_SECONDS = 15
"""By then Celery's own pause between two attempts has grown to 8 s."""
NOTICED_SECONDS = {"redis": 10, "rabbitmq": 30}
"""Seconds in which a worker serves a broker again that has left its connection hanging, as docs/workers.md has them."""
GONE = {"redis": "dropping stale connection", "rabbitmq": "the connection to the broker broke, and is back"}
"""The line of the worker's log, on Redis by kombu."""
DEBUG_RECORD = re.compile(r"^[\d-]+ \S+ DEBUG .*\n(?:(?!\d{4}-).*(?:\n|\Z))*", re.MULTILINE)
"""A record of the level DEBUG: in one of its own, Celery has the traceback of a lost connection."""
LATE_SECONDS = 5
"""Seconds that it may take longer on a busy machine."""


def reasons(worker: Process) -> list[str]:
    """Return the reasons in a worker's log for which it cannot reach the broker."""
    log = DEBUG_RECORD.sub("", worker.log.read_text())
    assert "Traceback" not in log
    assert "DeprecationWarning" not in log
    return re.findall(r"ERROR cronzimus.worker: the worker cannot reach the broker at \S+: (.*); it tries again", log)


def stated(worker: Process) -> list[str]:
    """Return the reasons without those of a busy machine: that the broker did not answer in time."""
    return [reason for reason in reasons(worker) if not re.search("(?i)timed out|timeout", reason)]


@pytest.mark.slow
def test_runs_start_within_seconds_of_the_brokers_return(fleet: WorkerSite) -> None:
    with proxy(*fleet.broker.address) as between:
        url = fleet.broker.through(between.port)
        worker = fleet.worker(slots=1, CELERY_BROKER_URL=url, LOG_LEVEL="DEBUG")
        between.refuse()
        until(lambda: reasons(worker), 20, "the outage")
        fleet.add(fleet.once("due", "tests:wait", 0))
        fleet.until_published("due")
        lost = let_pass(OUTAGE_SECONDS)
        tries = worker.log.read_text().count("the worker cannot reach the broker")
        assert tries >= (OUTAGE_SECONDS - lost) / RETRY_SECONDS * 0.7, "the pauses between its tries grow"
        between.restore()
        fleet.until_status("due", "succeeded", seconds=20)
    said = reasons(worker)
    assert len(said) == len(set(said)) <= 3
    assert len(re.findall(r"the worker has the broker again after \d+ s", worker.log.read_text())) == 1


@pytest.mark.slow
@pytest.mark.parametrize("how", ["refuse", "silence"])
@pytest.mark.parametrize("who", ["scheduler", "all"])
def test_a_broker_that_is_away_holds_up_neither_the_loop_nor_a_run_for_ever(
    fleet: WorkerSite, who: str, how: str
) -> None:
    fleet.add(fleet.job("remote", max_instances=100), {**fleet.local("local"), "max_instances": 100})
    fleet.worker(slots=4, **({"CELERY_BROKER_URL": fleet.broker.through(fleet.between.port)} if who == "all" else {}))
    until(lambda: fleet.calls("remote") and fleet.calls("local"), 20, "the first runs")
    try:
        getattr(fleet.between, how)()
        before = len(fleet.calls("local"))
        lost = let_pass(AWAY_SECONDS)
        # Fire times of a stall run as one, and a moment later.
        expected = 0.75 * (AWAY_SECONDS - 1.5 * lost) - 1
        assert len(fleet.calls("local")) >= before + expected, "the loop was held up"
    finally:
        fleet.between.restore()
    until(lambda: fleet.run("remote")["status"] == "succeeded", 20, "the runs that waited")
    fleet.settle()
    assert {row.status for row in fleet.rows()} == {"succeeded"}


@pytest.mark.slow
def test_a_worker_serves_a_broker_again_that_is_gone_without_a_word(fleet: WorkerSite, broker_name: str) -> None:
    with proxy(*fleet.broker.address) as between:
        worker = fleet.worker(slots=1, CELERY_BROKER_URL=fleet.broker.through(between.port))
        fleet.add(fleet.once("before", "tests:wait", 0))
        fleet.until_status("before", "succeeded")
        between.abandon()
        let_pass(1.5)  # the last question of the old connection to Redis, which may take a message, is void by then
        fleet.add(fleet.once("due", "tests:wait", 0))
        fleet.until_status("due", "succeeded", seconds=NOTICED_SECONDS[broker_name] + LATE_SECONDS)
    assert worker.logged(GONE[broker_name])


@pytest.mark.parametrize(
    ("broker_name", "wrong", "reason"),
    [
        ("rabbitmq", ("guest:guest@", "guest:wrong@"), "ACCESS_REFUSED"),
        ("rabbitmq", (None, "no-such-vhost"), "vhost no-such-vhost not found"),
        ("redis", (None, "9999"), "DB index is out of range"),
        ("redis", ("://", "://nobody:wrong@"), "invalid username-password pair"),
    ],
    indirect=["broker_name"],
)
def test_a_worker_that_the_broker_refuses_says_why_once_and_tries_on(
    make_fleet: Callable[..., WorkerSite], wrong: tuple[str | None, str], reason: str
) -> None:
    fleet = make_fleet("sqlite")
    old, new = wrong
    url = fleet.url.replace(old, new, 1) if old else re.sub(r"(//[^/]+)/.*", rf"\1/{new}", fleet.url)
    worker = fleet.start_worker(slots=1, CELERY_BROKER_URL=url)
    until(lambda: stated(worker) or not worker.alive, STARTED, "the reason")
    let_pass(3)
    (said,) = stated(worker)
    assert re.search(reason, said)
    assert len(reasons(worker)) == len(set(reasons(worker)))
    worker.send(signal.SIGTERM)
    assert worker.wait(20) == 0
