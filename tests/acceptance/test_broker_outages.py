"""A worker whose broker is away, or refuses it: one line in its log, and it goes on soon after the broker is back."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable

import pytest

from tests.waiting import let_pass, until

from .brokers import proxy
from .support import Process
from .worker_site import STARTED, WorkerSite

OUTAGE_SECONDS = 15
"""By then Celery's own pause between two attempts has grown to 8 s."""


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
