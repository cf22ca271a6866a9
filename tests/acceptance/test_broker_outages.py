"""A broker that is away, silent, gone or refuses a worker: the loop goes on, and runs start soon after its return."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable

import pytest

from tests.conftest import CI
from tests.waiting import let_pass, until

from .brokers import proxy
from .support import Process
from .worker_site import STARTED, WITHIN_A_MINUTE, WorkerSite

pytestmark = WITHIN_A_MINUTE
AWAY_SECONDS = 30 if CI else 8
"""Seconds for which a broker is away."""
OUTAGE_SECONDS = 15
"""By then Celery's own pause between two attempts has grown to 8 s."""
NOTICED_SECONDS = {"redis": 10, "rabbitmq": 30}
"""Seconds in which a worker serves a broker again that has left its connection hanging, as docs/workers.md has them."""
GONE = {"redis": "dropping stale connection", "rabbitmq": "the connection to the broker broke, and is back"}
"""The line of the worker's log, on Redis by kombu."""
LATE_SECONDS = 5
"""Seconds that it may take longer on a busy machine."""


def reasons(worker: Process) -> list[str]:
    """Return the reasons in a worker's log for which it cannot reach the broker."""
    log = worker.log.read_text()
    assert "Traceback" not in log
    assert "DeprecationWarning" not in log
    return re.findall(r"ERROR cronzimus.worker: the worker cannot reach the broker at \S+: (.*); it tries again", log)


@pytest.mark.slow
def test_runs_start_within_seconds_of_the_brokers_return(fleet: WorkerSite) -> None:
    with proxy(*fleet.broker.address) as between:
        worker = fleet.worker(slots=1, CELERY_BROKER_URL=fleet.broker.through(between.port))
        between.refuse()
        until(lambda: reasons(worker), 10, "the outage")
        fleet.add(fleet.once("due", "tests:wait", 0))
        fleet.until_published("due")
        let_pass(OUTAGE_SECONDS)
        between.restore()
        fleet.until_status("due", "succeeded", seconds=6)
    said = reasons(worker)
    assert len(said) == len(set(said)) <= 3
    assert len(re.findall(r"the worker has the broker again after \d+ s", worker.log.read_text())) == 1


@pytest.mark.slow
@pytest.mark.parametrize("how", ["refuse", "silence"])
@pytest.mark.parametrize("who", ["scheduler", "all"])
def test_a_broker_that_is_away_holds_up_neither_the_loop_nor_a_run_for_ever(
    fleet: WorkerSite, who: str, how: str
) -> None:
    fleet.add(fleet.job("remote", max_instances=40), fleet.local("local"))
    fleet.worker(slots=4, **({"CELERY_BROKER_URL": fleet.broker.through(fleet.between.port)} if who == "all" else {}))
    until(lambda: fleet.calls("remote") and fleet.calls("local"), 20, "the first runs")
    try:
        getattr(fleet.between, how)()
        before = len(fleet.calls("local"))
        let_pass(AWAY_SECONDS)
        assert len(fleet.calls("local")) >= before + 0.75 * AWAY_SECONDS, "the loop was held up"
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
    until(lambda: reasons(worker) or not worker.alive, STARTED, "the reason")
    let_pass(3)
    (said,) = reasons(worker)
    assert re.search(reason, said)
    worker.send(signal.SIGTERM)
    assert worker.wait(10) == 0
