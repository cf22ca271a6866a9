"""/scheduler: the schedulers, the backlog, and the pause of all."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.core.zone_data import used_data
from jobs.models import Control, Run
from tests.fakes import NOW, FakeClock, after, make_job, make_run, make_scheduler, make_token, make_worker

from .api_client import Api

NOTHING = {"due_jobs": 0, "oldest_due_seconds": 0.0, "waiting_runs": 0, "oldest_waiting_seconds": 0.0}


@pytest.fixture
def broker(settings: Any) -> None:
    """Have a broker."""
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": "redis://host/0"}


def test_with_nothing_there_is_nothing_to_show(api: Api) -> None:
    assert api.get("/scheduler") == {
        "paused": False, "paused_at": None, "actor": "", "reason": "", "schedulers": [], "backlog": NOTHING
    }  # fmt: skip


def test_it_shows_the_schedulers_that_have_not_signed_off(api: Api) -> None:
    make_scheduler("s1", processes=2, heartbeat_at=after(-3), queued_runs=5, running_runs=4, started_at=after(-60))
    make_scheduler("dead", lease_until=after(0), started_at=after(-90))
    make_scheduler("gone", stopped_at=after(-1))
    first, second = api.get("/scheduler")["schedulers"]
    assert first == {
        "id": "s1", "hostname": "host", "pid": 1, "version": "0", "started_at": "2030-01-01T11:59:00Z",
        "heartbeat_at": "2030-01-01T11:59:57Z", "alive": True, "threads": 4, "processes": 2, "queued": 5, "running": 4,
        "zone_data": used_data().version, "broker": "", "drained_at": None, "clock_skew": 0.0, "memory": None,
    }  # fmt: skip
    assert (second["id"], second["alive"]) == ("dead", False)


def test_with_a_broker_it_shows_the_workers_and_the_queues_that_none_serves(api: Api, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": "redis://host/0"}
    make_job("served", executor="celery", queue="reports")
    make_job("unserved", executor="celery", queue="mail")
    make_worker("w1", name="reports@host", running_runs=1)
    make_worker("stopped", queues=["mail"], stopped_at=after(-1), lease_until=NOW)
    shown = api.get("/scheduler")
    assert shown["queues_without_worker"] == ["mail"]
    assert shown["workers"] == [
        {
            "id": "w1", "name": "reports@host", "hostname": "host", "pid": 1, "version": "0", "broker": "",
            "started_at": "2030-01-01T12:00:00Z", "heartbeat_at": "2030-01-01T12:00:00Z", "alive": True,
            "draining": False, "queues": ["reports"], "slots": 2, "running": 1,
        }
    ]  # fmt: skip


@pytest.mark.usefixtures("broker")
def test_a_worker_that_was_told_to_stop_is_alive_and_draining(api: Api) -> None:
    make_worker("w1", slots=0, running_runs=1)
    make_worker("w2", lease_until=NOW)
    make_worker("w3", slots=0, queues=[])  # no process of it starts
    shown = [(one["id"], one["alive"], one["draining"], one["running"]) for one in api.get("/scheduler")["workers"]]
    assert sorted(shown) == [("w1", True, True, 1), ("w2", False, False, 0), ("w3", True, False, 0)]


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize(
    ("worker", "unserved"),
    [
        ({"slots": 0}, []), ({"slots": 0, "stopped_at": after(-9), "lease_until": after(3)}, []),
        ({"slots": 0, "stopped_at": after(-9), "lease_until": NOW}, ["reports"]), ({"lease_until": NOW}, ["reports"]),
    ],
    ids=["draining", "restarting", "stopped", "dead"],
)  # fmt: skip
def test_a_queue_has_no_worker_once_the_lease_of_its_last_one_would_have_ended(
    api: Api, worker: dict[str, Any], unserved: list[str]
) -> None:
    make_job(executor="celery", queue="reports")
    make_worker(**worker)
    assert api.get("/scheduler")["queues_without_worker"] == unserved


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize("fields", [{}, {"scheduler_id": "celery"}, {"scheduler_id": "celery", "dispatched_at": NOW}])
def test_a_queue_without_a_worker_is_named_while_a_run_waits_in_it(api: Api, fields: dict[str, Any]) -> None:
    make_job(executor="celery", queue="new")
    make_worker(queues=["new"])
    run = make_run(executor="celery", queue="old", **fields)
    assert api.get("/scheduler")["queues_without_worker"] == ["old"]
    Run.objects.filter(pk=run.pk).update(status="running", scheduler_id="w1", started_at=NOW)
    assert api.get("/scheduler")["queues_without_worker"] == []


def test_the_backlog_is_what_could_start_and_has_not(api: Api) -> None:
    make_job("due", next_run_time=after(-2.5))
    make_job("due-now")
    make_job("later", next_run_time=after(1))
    make_job("paused", paused=True)
    make_run(scheduled_time=after(1), queued_at=after(-4))
    make_run(scheduled_time=after(2), queued_at=after(-9), available_at=after(-7))
    make_run(scheduled_time=after(3), queued_at=after(-9), available_at=after(1))
    make_run(scheduled_time=after(4), queued_at=after(-90), scheduler_id="s1")
    make_run(scheduled_time=after(5), queued_at=after(-90), status="succeeded")
    assert api.get("/scheduler")["backlog"] == {
        "due_jobs": 2, "oldest_due_seconds": 2.5, "waiting_runs": 2, "oldest_waiting_seconds": 7.0
    }  # fmt: skip


def test_the_number_of_queries_does_not_grow(api: Api, statements: Any) -> None:
    for number in range(20):
        make_scheduler(f"s{number}")
        make_job(f"j{number}")
        make_run(f"j{number}")
    with statements() as found:
        api.get("/scheduler")
    assert len(found) == 5


def test_a_pause_of_all_may_be_repeated_and_keeps_who_was_first(api: Api, clock: FakeClock) -> None:
    assert api.done("POST", "/scheduler/pause", {"reason": "the database moves"}) == {"status": "paused"}
    clock.advance(60)
    assert api.done("POST", "/scheduler/pause", {"reason": "again"}) == {"status": "paused"}
    shown = api.get("/scheduler")
    assert (shown["paused"], shown["paused_at"]) == (True, "2030-01-01T12:00:00Z")
    assert (shown["actor"], shown["reason"]) == ("", "the database moves")
    for _ in range(2):
        assert api.done("POST", "/scheduler/resume") == {"status": "resumed"}
    assert (api.get("/scheduler")["paused"], api.get("/scheduler")["paused_at"]) == (False, None)


def test_who_paused_is_on_record(api: Api, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}
    token = make_token()
    assert api.call("POST", "/scheduler/pause", authorization=token).status_code == 200
    assert api.get("/scheduler", authorization=token)["actor"] == "anna"


@pytest.mark.parametrize("reason", [None, 5, True, [], {}, "x" * 501, "a\x00b", "\ud800"])
def test_a_bad_reason(api: Api, reason: Any) -> None:
    assert api.refused("POST", "/scheduler/pause", {"reason": reason}) == (400, "INVALID_REQUEST", {"reason"})
    assert not Control.objects.filter(paused=True).exists()


@pytest.mark.parametrize("path", ["/scheduler/pause", "/scheduler/resume"])
def test_an_unknown_field(api: Api, path: str) -> None:
    assert api.refused("POST", path, {"raeson": "x"}) == (400, "INVALID_REQUEST", {"raeson"})


def test_the_longest_reason_is_kept(api: Api) -> None:
    api.done("POST", "/scheduler/pause", {"reason": "é" * 500})
    assert Control.objects.values_list("paused_at", "reason").get() == (NOW, "é" * 500)
