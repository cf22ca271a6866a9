"""/api/health: whether the web answers, and the database; /live: the process alone; /ready: whether jobs run."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, InterfaceError, OperationalError, ProgrammingError, connection

from jobs import services
from jobs.core.dispatches import new_dispatch_id
from jobs.core.runs import DISPATCHED
from jobs.models import Job, Run
from jobs.selectors import metrics
from tests.fakes import NOW, after, make_job, make_run, make_scheduler, make_worker

from .api_client import Api
from .conftest import failing_database

READY = "/api/health/ready"
PROBES = ["/api/health", "/api/health/live", READY]
NOT_STUCK = {"stuck_runs": 0, "oldest_stuck": 0.0}


def test_it_is_running_for_every_client(api: Api, settings: Any) -> None:
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
        "status": "ready", "schedulers": 2, "heartbeat_age": 2.0, "overdue_jobs": 0, "oldest_overdue": 60.0,
        "stuck_runs": 0, "oldest_stuck": 0.0,
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
    assert not_ready(api) == expected | NOT_STUCK


def test_it_is_not_ready_when_jobs_are_long_overdue(api: Api) -> None:
    make_scheduler()
    make_job("a", next_run_time=after(-61))
    make_job("b", next_run_time=after(-90.5))
    make_job("c", next_run_time=after(10))
    make_job("d", paused=True)
    expected = {"schedulers": 1, "heartbeat_age": 0.0, "overdue_jobs": 2, "oldest_overdue": 90.5}
    assert not_ready(api) == expected | NOT_STUCK


def test_it_does_not_go_through_the_jobs(api: Api, statements: Any) -> None:
    Job.objects.bulk_create(Job(id=str(n), func="x", trigger={}, anchor=after(0)) for n in range(50))
    with statements() as found:
        api.call("GET", READY)
    assert len(found) == 4


def test_it_is_not_ready_when_a_run_that_somebody_asked_for_is_not_taken(api: Api) -> None:
    make_scheduler()
    make_job()
    make_run(trigger="manual", queued_at=after(-60))
    assert api.call("GET", READY).status_code == 200
    make_run(trigger="manual", queued_at=after(-60.5), attempt=2)
    answer = not_ready(api)
    assert (answer["stuck_runs"], answer["oldest_stuck"]) == (1, 60.5)


@pytest.mark.parametrize(
    "held",
    [
        {"job_id": "job"},
        {"job_id": "other", "concurrency_group": "database"},
    ],
)
def test_a_run_that_waits_behind_another_is_not_stuck(api: Api, held: dict[str, Any]) -> None:
    make_scheduler()
    make_run("job", trigger="manual", queued_at=after(-600), concurrency_group="database")
    assert not_ready(api)["stuck_runs"] == 1
    make_run(status="running", scheduler_id="s1", attempt=2, **held)
    assert api.call("GET", READY).status_code == 200


def test_a_run_whose_time_has_not_come_is_not_stuck(api: Api) -> None:
    make_scheduler()
    make_run(trigger="retry", queued_at=after(-600), available_at=after(-10))
    make_run("b", status="running", queued_at=after(-600), scheduler_id="s1")
    assert api.call("GET", READY).status_code == 200


@pytest.fixture
def broker(settings: Any) -> None:
    """Have a broker."""
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": "redis://host/0"}


def problem(api: Api) -> str:
    """Return why it is not ready."""
    return str(api.call("GET", READY).json()["error"])


@pytest.mark.usefixtures("broker")
def test_it_names_a_queue_without_a_worker_whose_jobs_are_long_overdue(api: Api) -> None:
    make_scheduler()
    make_job(executor="celery", queue="reports", next_run_time=after(-59))
    assert api.get(READY)["queues_without_worker"] == ["reports"]
    Job.objects.update(next_run_time=after(-61))
    assert problem(api) == "No worker serves the queue reports: its jobs and runs wait. Start one."
    make_worker(queues=["mail"])
    assert "No worker serves the queue reports" in problem(api)
    make_worker("w2")
    assert problem(api) == "Jobs are overdue by more than 60 s: the schedulers do not keep up."


@pytest.mark.usefixtures("broker")
def test_it_names_a_queue_without_a_worker_whose_runs_are_stuck(api: Api) -> None:
    make_scheduler()
    make_job(executor="celery", queue="reports", next_run_time=after(60))
    make_run(trigger="manual", queued_at=after(-61), executor="celery", queue="reports")
    assert "No worker serves the queue reports" in problem(api)
    make_worker()
    assert problem(api) == "Runs that could start have waited for more than 60 s: no scheduler takes them."


@pytest.mark.usefixtures("broker")
def test_it_blames_no_queue_whose_jobs_and_runs_are_on_time(api: Api) -> None:
    make_scheduler()
    make_job("here", next_run_time=after(-61))
    make_job("there", executor="celery", queue="idle", next_run_time=after(60))
    make_run(executor="celery", queue="old")
    assert problem(api) == "Jobs are overdue by more than 60 s: the schedulers do not keep up."
    make_run(scheduled_time=after(1), executor="celery", queue="older", queued_at=after(-61))
    make_run(scheduled_time=after(2), executor="celery", queue="oldest", queued_at=after(-90))
    assert problem(api).startswith("No worker serves the queues older and oldest: their jobs and runs wait. Start one")


def dispatched(seconds: float, **fields: Any) -> None:
    """Write a run that was dispatched to the queue reports so many seconds ago, and has not started."""
    defaults = {
        "executor": "celery", "queue": "reports", "scheduler_id": DISPATCHED, "dispatches": 1,
        "dispatch_id": new_dispatch_id(after(-seconds)), "queued_at": after(-seconds),
    }  # fmt: skip
    make_run(f"job-{Run.objects.count()}", **{**defaults, **fields})


def stuck(api: Api) -> list[float]:
    """Return the number of stuck runs and the wait of the oldest, by readiness, /scheduler and /metrics."""
    body = api.call("GET", READY).json()
    figures = [body["stuck_runs"], body["oldest_stuck"]]
    shown = api.get("/scheduler")["backlog"]
    assert [shown["waiting_runs"], shown["oldest_waiting_seconds"]] == figures
    lines = metrics.exposition(NOW).decode().splitlines()
    found = {name: float(value) for name, _, value in (line.partition(" ") for line in lines if line[0] != "#")}
    assert [found["cronzimus_runs_waiting"], found["cronzimus_queue_age_seconds"]] == figures
    return figures


@pytest.mark.usefixtures("broker")
def test_a_run_that_the_broker_does_not_take_is_stuck_after_a_minute(api: Api) -> None:
    make_scheduler()
    make_worker(queues=["mail", "reports"])
    dispatched(60)
    assert stuck(api) == [0, 0.0]
    dispatched(61)
    dispatched(75, queue="mail")
    assert stuck(api) == [2, 75.0]
    assert problem(api) == (
        "The broker takes no messages for the queues mail and reports. "
        "2 runs wait for it, the oldest since 2030-01-01 11:58:45 UTC."
    )


@pytest.mark.usefixtures("broker")
def test_a_run_that_waited_for_long_before_it_was_sent_does_not_wait_for_the_broker(api: Api) -> None:
    make_scheduler()
    make_worker()
    dispatched(1, queued_at=after(-3600))
    assert stuck(api) == [0, 0.0]


@pytest.mark.usefixtures("broker")
def test_a_run_that_no_free_worker_takes_is_stuck_after_a_minute(api: Api) -> None:
    make_scheduler()
    make_worker()
    dispatched(61, dispatched_at=after(-60))
    assert stuck(api) == [0, 0.0]
    dispatched(61, dispatched_at=after(-61))
    assert stuck(api) == [1, 61.0]
    assert problem(api) == (
        "1 message was sent to the queue reports, and no worker took it. 1 run waits, the oldest since 2030-01-01 "
        "11:58:59 UTC, although a worker is free: does it use the same CELERY_BROKER_URL as the schedulers?"
    )


@pytest.mark.usefixtures("broker")
def test_a_run_that_was_sent_again_stays_stuck(api: Api) -> None:
    make_scheduler()
    make_worker()
    dispatched(1, dispatches=3, dispatched_at=after(-1), queued_at=after(-122))
    dispatched(0, dispatches=3, queued_at=after(-121))
    assert stuck(api) == [2, 122.0]
    assert problem(api).startswith("5 messages were sent to the queue reports, and no worker took one. 2 runs wait")


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize(("worker", "number"), [({"slots": 1}, 0), ({"slots": 0}, 0), ({"queues": ["mail"]}, 1)])
def test_a_run_that_was_sent_waits_for_busy_workers_and_for_those_that_restart(
    api: Api, worker: dict[str, Any], number: int
) -> None:
    make_scheduler()
    make_worker(**worker)
    make_run("busy", executor="celery", queue="reports", scheduler_id="w1", status="running", started_at=NOW)
    dispatched(90, dispatched_at=after(-90))
    assert stuck(api)[0] == number
    if number:
        assert problem(api).startswith("No worker serves the queue reports")


@pytest.mark.usefixtures("broker")
def test_it_asks_as_much_whatever_is_held_up(api: Api, statements: Any) -> None:
    make_scheduler()
    make_worker()
    with statements() as few:
        api.call("GET", READY)
    assert len(few) == 7
    for number in range(5):
        dispatched(61 + number, queue=f"q{number}")
    with statements() as many:
        api.call("GET", READY)
    assert len(many) <= len(few) + 3


@pytest.mark.usefixtures("broker")
def test_it_counts_the_living_workers(api: Api) -> None:
    make_scheduler()
    make_worker()
    make_worker("dead", lease_until=after(-1))
    assert api.get(READY)["workers"] == 1


def test_it_says_that_everything_is_paused(api: Api) -> None:
    make_scheduler()
    make_job(next_run_time=after(-61))
    services.pause_all(now=NOW)
    assert "paused" in api.call("GET", READY).json()["error"]


# --- probes ----------------------------------------------------------------------------------------------------------


def test_the_process_lives_without_a_database(api: Api) -> None:
    with failing_database(OperationalError("connection refused")) as tried:
        response = api.call("GET", "/api/health/live")
    assert (response.status_code, response.json(), tried) == (200, {"status": "alive"}, [])


@pytest.mark.parametrize("path", PROBES)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_probe_is_answered_whatever_the_host_and_the_scheme(api: Api, settings: Any, path: str, method: str) -> None:
    settings.ALLOWED_HOSTS, settings.SECURE_SSL_REDIRECT, settings.DEBUG = ["cronzimus.example.com"], True, False
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}
    make_scheduler()
    for host in ("10.1.2.3:8000", "evil.example", "a b", ""):
        response = api.call(method, path, host=host)
        assert response.status_code == 200
        assert response["Content-Length"] == str(len(api.call("GET", path).content))
    response = api.client.get("/scheduler/jobs", headers={"host": "cronzimus.example.com"})
    assert response.status_code == 301


@pytest.mark.parametrize("path", PROBES)
def test_a_probe_with_wrong_credentials_is_answered(api: Api, settings: Any, path: str) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}
    make_scheduler()
    assert api.call("GET", path, authorization="Token wrong", origin="https://evil.example").status_code == 200


@pytest.mark.parametrize(
    ("path", "table"),
    [
        ("/api/health", "job"), (READY, "scheduler"), ("/scheduler/jobs", "job"), ("/scheduler/runs", "run"),
        ("/scheduler", "control"),
    ],
)  # fmt: skip
def test_it_says_that_the_migrations_are_missing(api: Api, path: str, table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE cronzimus_{table} RENAME TO gone")
    response = api.call("GET", path)
    assert (response.status_code, response.json()["code"]) == (503, "UNAVAILABLE")
    assert "manage.py migrate" in response.json()["error"]


def test_it_says_that_a_later_migration_is_missing(api: Api) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE cronzimus_job RENAME COLUMN description TO gone")
    response = api.call("GET", "/scheduler/jobs?q=x")
    assert (response.status_code, response.json()["code"]) == (503, "UNAVAILABLE")
    assert "manage.py migrate" in response.json()["error"]
