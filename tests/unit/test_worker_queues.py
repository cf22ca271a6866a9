"""The queues that a worker serves: their names are those that jobs can have."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.scheduler.broker import make_app
from jobs.worker import app as worker_app


def serve(option: str, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], Any]:
    """Return the problems of a worker with `-Q option`, and the queues that it serves."""
    app = make_app("redis://host/0")
    monkeypatch.setattr(worker_app, "app", app)
    app.amqp.queues.select(option.split(","))  # as Celery does
    worker_app._strip_queue_names()
    return worker_app._queue_problems(), sorted(app.amqp.queues.consume_from)


@pytest.mark.parametrize(
    ("option", "names"), [("reports", ["reports"]), ("a, b", ["a", "b"]), (" Db-1:x.y_z ,a", ["Db-1:x.y_z", "a"])]
)
def test_blanks_around_the_names_of_queues_do_not_count(
    option: str, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert serve(option, monkeypatch) == ([], names)


@pytest.mark.parametrize("option", ["a b", "", "a,,b", "a,", "ünïcode", "x" * 300])
def test_a_worker_refuses_queues_that_no_job_can_have(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,), _ = serve(option, monkeypatch)
    assert problem.endswith("must be 1 to 64 ASCII letters, digits and _ . : -.")
    assert len(problem) < 150


@pytest.mark.parametrize("name", ["celery", "amq.x"])
def test_a_worker_refuses_queues_of_others(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,), _ = serve(f"reports,{name}", monkeypatch)
    assert problem.startswith(f"The queue '{name}' must ")


def test_a_worker_without_a_queue_serves_that_of_jobs_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app("redis://host/0")
    monkeypatch.setattr(worker_app, "app", app)
    assert worker_app._queue_problems() == []
    assert list(app.amqp.queues.consume_from) == ["cronzimus"]
