"""/api/health: whether the web answers; /api/health/ready: whether jobs run."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, InterfaceError, OperationalError, ProgrammingError

from jobs.models import Job
from tests.fakes import after, make_job, make_scheduler

from .api_client import Api

READY = "/api/health/ready"


def test_it_is_running_whoever_asks(api: Api, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}
    settings.CRONZIMUS = settings.CRONZIMUS | {"SCHEDULER_API_ENABLED": False}
    response = api.call("GET", "/api/health")
    assert response.content == b'{"status":"running"}'
    assert api.call("GET", "/api/health", authorization="Token nonsense").status_code == 200


@pytest.mark.parametrize("error", [OperationalError, InterfaceError, ProgrammingError, DatabaseError])
def test_it_is_unavailable_without_the_database(api: Api, monkeypatch: pytest.MonkeyPatch, error: Any) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise error("the password is hunter2")

    monkeypatch.setattr("django.db.models.query.QuerySet.exists", fail)
    response = api.call("GET", "/api/health")
    assert (response.status_code, response.json()["code"], response["Retry-After"]) == (503, "UNAVAILABLE", "5")
    assert b"hunter2" not in response.content


def test_it_is_ready_when_a_scheduler_is_alive_and_nothing_is_overdue(api: Api) -> None:
    make_scheduler("s1", heartbeat_at=after(-8))
    make_scheduler("s2", heartbeat_at=after(-2))
    make_scheduler("gone", heartbeat_at=after(-1), stopped_at=after(-1))
    make_job(next_run_time=after(-60))
    assert api.get(READY) == {
        "status": "ready", "schedulers": 2, "heartbeat_age": 2.0, "overdue_jobs": 0, "oldest_overdue": 60.0
    }  # fmt: skip


def not_ready(api: Api) -> Any:
    """Return the answer of what is not ready."""
    response = api.call("GET", READY)
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    answer = response.json()
    assert answer.pop("code") == "UNAVAILABLE"
    assert answer.pop("error")
    return answer


def test_it_is_not_ready_without_a_scheduler(api: Api) -> None:
    make_scheduler(lease_until=after(-1))
    expected = {"schedulers": 0, "heartbeat_age": None, "overdue_jobs": 0, "oldest_overdue": 0.0}
    assert not_ready(api) == expected


def test_it_is_not_ready_when_jobs_are_long_overdue(api: Api) -> None:
    make_scheduler()
    make_job("a", next_run_time=after(-61))
    make_job("b", next_run_time=after(-90.5))
    make_job("c", next_run_time=after(10))
    make_job("d", paused=True)
    expected = {"schedulers": 1, "heartbeat_age": 0.0, "overdue_jobs": 2, "oldest_overdue": 90.5}
    assert not_ready(api) == expected


def test_it_does_not_go_through_the_jobs(api: Api, statements: Any) -> None:
    Job.objects.bulk_create(Job(id=str(n), func="x", trigger={}, anchor=after(0)) for n in range(50))
    with statements() as found:
        api.call("GET", READY)
    assert len(found) == 2
