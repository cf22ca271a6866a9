"""A project's jobs on Celery workers, as docs/workers.md says: with the extra `celery` of the wheel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.brokers import Broker, reached
from tests.waiting import until

from .shop import EMAIL, Client, Shop

pytestmark = [pytest.mark.timeout(600), pytest.mark.postgresql]
JOBS = "/ops/scheduler/jobs"


@pytest.fixture
def queue() -> Iterator[Broker]:
    """A queue of the test's own on Redis."""
    made = Broker(reached("redis"))
    yield made
    made.drop()


def test_a_job_runs_on_a_worker_of_the_project(
    python: Path, make_shop: Callable[[Path, str], Shop], queue: Broker
) -> None:
    shop = make_shop(python, "postgresql")
    shop.environment["SHOP_BROKER"] = queue.url
    shop.set_up()
    shop.serve()
    shop.start("runscheduler")
    shop.start_worker("-Q", queue.queue, "-c", "2")
    client = Client(shop, shop.manage("createtoken", EMAIL, "--name=tests").split()[-1])
    body = {"id": "count", "func": "jobs.job_functions:count_customers", "trigger": "interval", "hours": 9}
    added = client.ask("POST", JOBS, {**body, "executor": "celery", "queue": queue.queue})
    assert added.status == 200, added.text
    assert client.ask("POST", f"{JOBS}/count/run").status == 200

    def newest() -> dict[str, object]:
        runs = client.ask("GET", f"{JOBS}/count/runs").json()["results"]
        return runs[0] if runs and runs[0]["status"] not in ("queued", "running") else {}

    run = until(newest, 120, "its run")
    (worker,) = client.ask("GET", "/ops/scheduler").json()["workers"]
    assert (run["status"], run["worker"]) == ("succeeded", worker["id"]), shop.log("worker")
    assert client.ask("GET", f"/ops/scheduler/runs/{run['id']}/log").json()["output"].startswith("counted 1")
