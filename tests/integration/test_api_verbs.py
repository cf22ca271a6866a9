"""Actions on one job or one run: cancel, retry, skip, pause until, and the policies in between."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.core.runs import FINISHED, RunStatus
from jobs.definitions.validation import POLICY_FIELDS
from jobs.models import Job, Run
from tests.fakes import NOW, FakeClock, after, make_job, make_run, make_token, make_user

from .api_client import Api

JOB = "/scheduler/jobs/job"
POLICIES = {
    "overlap": "queue", "queue_limit": 5, "timeout": 30, "priority": -3, "concurrency_group": "db",
    "concurrency_limit": 2, "max_runs": 7, "pause_after": 3, "keep_runs": 100, "keep_days": 30, "keep_failed_days": 90,
    "executor": "process", "queue": "reports", "misfire_grace_time": 60, "coalesce": False, "max_instances": 2,
    "retries": {"max": 3, "delay": 1.5, "backoff": 3, "max_delay": 60, "jitter": 2},
}  # fmt: skip
BODY = {"id": "job", "func": "tests:echo", "trigger": "interval", "seconds": 5}
BAD_POLICIES = {
    "overlap": ("", "drop", None, 1, ["skip"]),
    "queue_limit": (0, -1, None, 1.5, "3", True, 10**6),
    "timeout": (0, -1, 1.5, "30", True, 10**9),
    "retries": (
        3, [], "x", {}, {"max": -1}, {"max": "3"}, {"max": True}, {"max": 101}, {"max": 1, "delay": -1},
        {"max": 1, "delay": "1"}, {"max": 1, "backoff": 0}, {"max": 1, "jitter": None}, {"max": 1, "tries": 2},
        {"max": 1, "max_delay": 1e300}, {"delay": 3},
    ),
    "priority": (None, 1.5, "1", 10**6, -(10**6), True),
    "concurrency_group": (None, 1, "a b", "é", "x" * 65, ["a"], "a\n"),
    "concurrency_limit": (0, -1, None, "1", 10**6),
    "max_runs": (0, -1, 1.5, "5", 2**31, True),
    "pause_after": (0, -1, 1.5, "5", 1001, True),
    "keep_runs": (0, -1, 1.5, "5", 2**31),
    "keep_days": (0, -1, 1.5, "5", 10**6),
    "keep_failed_days": (0, -1, 1.5, "5", 10**6),
}  # fmt: skip


def test_each_policy_is_taken_and_shown(api: Api) -> None:
    assert POLICIES.keys() == set(POLICY_FIELDS)
    api.done("POST", "/scheduler/jobs", {**BODY, **POLICIES})
    assert api.get(JOB).items() >= POLICIES.items()


@pytest.mark.parametrize("given", [{}, POLICIES, {"retries": {"max": 2}}, {"retries": {"max": 0}}])
def test_what_is_shown_can_be_put_back_and_changes_nothing(api: Api, clock: FakeClock, given: dict[str, Any]) -> None:
    api.done("POST", "/scheduler/jobs", {**BODY, **given})
    before, shown = Job.objects.values().get(), api.get(JOB)
    clock.advance(60)
    api.done("PUT", JOB, shown)
    assert (Job.objects.values().get(), api.get(JOB)) == (before, shown)


def test_retries_get_the_defaults_of_what_they_leave_out(api: Api) -> None:
    api.done("POST", "/scheduler/jobs", {**BODY, "retries": {"max": 2}})
    assert api.get(JOB)["retries"] == {"max": 2, "delay": 10, "backoff": 2, "max_delay": 3600, "jitter": 0}
    api.done("PATCH", JOB, {"retries": None})
    assert api.get(JOB)["retries"] is None


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, bad in BAD_POLICIES.items() for value in bad])
def test_a_bad_policy(api: Api, name: str, value: Any) -> None:
    assert api.refused("POST", "/scheduler/jobs", {**BODY, name: value}) == (400, "INVALID_REQUEST", {name})
    make_job()
    before = Job.objects.values().get()
    for method in ("PUT", "PATCH"):
        assert api.refused(method, JOB, {"name": "new", name: value}) == (400, "INVALID_REQUEST", {name})
    assert Job.objects.values().get() == before


def test_all_bad_policies_are_named_at_once(api: Api) -> None:
    bad = {name: values[0] for name, values in BAD_POLICIES.items()}
    assert api.refused("POST", "/scheduler/jobs", {**BODY, **bad}) == (400, "INVALID_REQUEST", set(bad))
    make_job()
    assert api.refused("PUT", JOB, bad) == (400, "INVALID_REQUEST", set(bad))


# --- pause until --------------------------------------------------------------------------------------------------


def test_a_paused_job_shows_since_when_and_who_paused_it(api: Api, settings: Any) -> None:
    make_job()
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}
    token = make_token(make_user("anna", "operator"))
    assert api.call("POST", f"{JOB}/pause", authorization=token).status_code == 200
    shown = api.get(JOB, authorization=token)
    assert (shown["paused_at"], shown["paused_by"]) == ("2030-01-01T12:00:00Z", "anna")
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "none"}
    api.done("POST", f"{JOB}/resume")
    assert (api.get(JOB)["paused_at"], api.get(JOB)["paused_by"]) == (None, "")


def test_a_job_is_paused_until_an_instant(api: Api, clock: FakeClock) -> None:
    make_job(last_run_at=NOW)
    answer = api.done("POST", f"{JOB}/pause", {"until": "2030-01-01T13:00:05+01:00"})
    assert answer == {"id": "job", "status": "paused", "paused_until": "2030-01-01T12:00:05Z"}
    shown = api.get(JOB)
    assert (shown["state"], shown["paused_until"]) == ("paused", "2030-01-01T12:00:05Z")
    assert shown["next_run_time"] == "2030-01-01 12:00:10"
    assert [job["id"] for job in api.get("/scheduler/jobs?state=paused")] == ["job"]
    clock.advance(5)
    shown = api.get(JOB)
    assert (shown["state"], shown["paused_until"]) == ("running", None)
    assert api.get("/scheduler/jobs?state=paused") == []


def test_a_local_time_is_one_of_the_jobs_zone(api: Api) -> None:
    make_job(trigger={"type": "cron", "hour": 9, "timezone": "Europe/Berlin"})
    assert api.done("POST", f"{JOB}/pause", {"until": "2030-06-01 10:00"})["paused_until"] == "2030-06-01T08:00:00Z"


def test_the_last_pause_holds_and_resume_ends_it(api: Api) -> None:
    make_job()
    for body in ({"until": "2031-01-01"}, None, {"until": "2032-01-01"}, {"until": None}):
        api.done("POST", f"{JOB}/pause", body)
        assert api.get(JOB)["state"] == "paused"
    assert api.get(JOB)["paused_until"] is None
    api.done("POST", f"{JOB}/resume")
    assert (api.get(JOB)["state"], api.get(JOB)["next_run_time"]) == ("pending", "2030-01-01 12:00:10")


def test_a_job_that_is_paused_until_an_instant_can_be_put_back(api: Api) -> None:
    make_job()
    api.done("POST", f"{JOB}/pause", {"until": "2031-01-01"})
    before = Job.objects.values().get()
    api.done("PUT", JOB, api.get(JOB))
    assert Job.objects.values().get() == before
    assert api.refused("PATCH", JOB, {"paused_until": "2032-01-01"}) == (400, "INVALID_REQUEST", {"paused_until"})


@pytest.mark.parametrize(
    "until", ["", "soon", "2029-12-31", "2030-01-01T12:00:00Z", 5, True, [], "2031-02-30", "0001-01-01", "2031\x00"]
)
def test_a_bad_until(api: Api, until: Any) -> None:
    make_job()
    before = Job.objects.values().get()
    assert api.refused("POST", f"{JOB}/pause", {"until": until}) == (400, "INVALID_REQUEST", {"until"})
    assert Job.objects.values().get() == before
    assert api.refused("POST", "/scheduler/jobs/nope/pause", {"until": "2031-01-01"})[:2] == (404, "JOB_NOT_FOUND")


def test_the_last_instant_that_there_is(api: Api) -> None:
    make_job()
    api.done("POST", f"{JOB}/pause", {"until": "9999-12-31T23:59:59Z"})
    assert (api.get(JOB)["state"], api.get(JOB)["next_run_time"]) == ("paused", None)


# --- skip ---------------------------------------------------------------------------------------------------------


def test_the_next_fire_time_is_left_out(api: Api) -> None:
    make_job(next_run_time=after(10))
    assert api.done("POST", f"{JOB}/skip") == {
        "id": "job", "status": "skipped", "next_run_time": "2030-01-01 12:00:20",
        "next_run_time_iso": "2030-01-01T12:00:20+00:00",
    }  # fmt: skip
    (run,) = api.get("/scheduler/runs")["results"]
    assert (run["status"], run["scheduled_time"], run["trigger"]) == ("skipped", "2030-01-01T12:00:10Z", "schedule")


def test_the_last_fire_time_is_left_out(api: Api) -> None:
    make_job(trigger={"type": "date", "run_date": "2030-01-01 12:00:10"}, next_run_time=after(10))
    answer = api.done("POST", f"{JOB}/skip")
    assert (answer["next_run_time"], answer["next_run_time_iso"]) == (None, None)
    assert api.get(JOB)["state"] == "completed"


def test_what_has_no_fire_time_to_come_has_none_to_leave_out(api: Api) -> None:
    make_job(paused=True)
    assert api.refused("POST", f"{JOB}/skip") == (400, "INVALID_REQUEST", set())
    assert api.refused("POST", f"{JOB}/skip", {"x": 1}) == (400, "INVALID_REQUEST", {"x"})
    assert api.refused("POST", "/scheduler/jobs/nope/skip")[:2] == (404, "JOB_NOT_FOUND")
    assert not Run.objects.exists()


# --- cancel -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "status", "how"),
    [
        ({}, "cancelled", "had not started"),
        ({"available_at": after(60)}, "cancelled", "had not started"),
        ({"scheduler_id": "s1"}, "cancelling", "asked"),
        ({"status": "running", "scheduler_id": "s1"}, "cancelling", "asked"),
        ({"status": "running", "scheduler_id": "s1", "executor": "process"}, "cancelling", "process is stopped"),
    ],
)
def test_a_run_is_cancelled(api: Api, fields: dict[str, Any], status: str, how: str) -> None:
    run = make_run(**fields)
    answer = api.done("POST", f"/scheduler/runs/{run.id}/cancel")
    assert (answer.keys(), answer["id"], answer["status"]) == ({"id", "status", "how"}, run.id, status)
    assert how in answer["how"]
    run.refresh_from_db()
    assert (run.status == RunStatus.CANCELLED) is (status == "cancelled")
    assert (run.cancel_requested_at == NOW) is (status == "cancelling")


def test_a_run_that_is_being_cancelled_may_be_cancelled_again(api: Api) -> None:
    run = make_run(status="running", scheduler_id="s1")
    for _ in range(2):
        assert api.done("POST", f"/scheduler/runs/{run.id}/cancel")["status"] == "cancelling"


@pytest.mark.parametrize("status", FINISHED)
def test_a_run_that_has_ended_can_not_be_cancelled(api: Api, status: str) -> None:
    run = make_run(status=status)
    assert api.refused("POST", f"/scheduler/runs/{run.id}/cancel") == (409, "RUN_FINISHED", set())


# --- retry --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", FINISHED)
def test_a_run_that_has_ended_is_tried_again(api: Api, status: str) -> None:
    first = make_run(status=status, args=[1], executor="process", timeout=5)
    answer = api.done("POST", f"/scheduler/runs/{first.id}/retry")
    again = Run.objects.get(attempt=2)
    assert answer == {"id": first.id, "status": "queued", "run_id": again.id, "attempt": 2}
    assert (again.status, again.trigger, again.args) == ("queued", "retry", [1])
    assert (again.executor, again.timeout, again.scheduled_time) == ("process", 5, NOW)


@pytest.mark.parametrize("status", ["queued", "running"])
def test_a_run_that_is_active_is_not_tried_again(api: Api, status: str) -> None:
    run = make_run(status=status)
    assert api.refused("POST", f"/scheduler/runs/{run.id}/retry") == (409, "RUN_ACTIVE", set())
    first = make_run(status="failed", attempt=2)
    assert api.refused("POST", f"/scheduler/runs/{first.id}/retry") == (409, "RUN_ACTIVE", set())
    assert Run.objects.count() == 2


@pytest.mark.parametrize("verb", ["cancel", "retry"])
@pytest.mark.parametrize("run_id", ["1", "0", "-1", "x", "%00", "9" * 18, "9" * 40, "1.0", "%F0%9F%98%80", "01"])
def test_an_unknown_run(api: Api, verb: str, run_id: str) -> None:
    assert api.refused("POST", f"/scheduler/runs/{run_id}/{verb}")[:2] == (404, "RUN_NOT_FOUND")


@pytest.mark.parametrize("verb", ["cancel", "retry"])
def test_a_verb_of_a_run_takes_no_field(api: Api, verb: str) -> None:
    run = make_run(status="failed" if verb == "retry" else "queued")
    assert api.refused("POST", f"/scheduler/runs/{run.id}/{verb}", {"x": 1}) == (400, "INVALID_REQUEST", {"x"})


def test_who_asked_is_on_record(api: Api, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}
    token = make_token()
    make_job(next_run_time=after(10))
    failed, waiting = make_run(status="failed"), make_run(scheduled_time=after(-5))
    for path in (
        f"{JOB}/run",
        f"{JOB}/skip",
        f"/scheduler/runs/{failed.id}/retry",
        f"/scheduler/runs/{waiting.id}/cancel",
    ):
        assert api.call("POST", path, authorization=token).status_code == 200
    made = Run.objects.exclude(id__in=[failed.id, waiting.id])
    assert set(made.values_list("actor", "trigger")) == {
        ("anna", "manual"),
        ("anna", "schedule"),
        ("anna", "retry"),
    }
    waiting.refresh_from_db()
    assert waiting.reason == "cancelled by anna"
