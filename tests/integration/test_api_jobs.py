"""/scheduler/jobs beyond the contract: states, filters, pages, partial updates, manual runs."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from django.db import connection

from jobs.core.runs import JobState, RunStatus
from jobs.models import Job, Run
from jobs.selectors.job_list import in_states
from jobs.selectors.states import job_state
from tests.fakes import NOW, FakeClock, after, make_job, make_jobs, make_run

from .api_client import Api

JOB = "/scheduler/jobs/job"
TRIGGERS: dict[str, dict[str, Any]] = {
    "interval": {"type": "interval", "minutes": 5, "start_date": "2030-01-01 00:01:00", "jitter": 3},
    "cron": {"type": "cron", "day_of_week": "mon-fri", "hour": 2, "minute": "*/15", "timezone": "Europe/Berlin"},
    "crontab": {"type": "cron", "crontab": "30 2 * * 1-5", "end_date": "2035-01-01 00:00:00"},
    "date": {"type": "date", "run_date": "2030-01-01 12:00:01"},
}


@pytest.mark.parametrize("trigger", TRIGGERS.values(), ids=TRIGGERS.keys())
def test_what_a_get_shows_is_valid_to_put_back_and_changes_nothing(
    api: Api, clock: FakeClock, trigger: dict[str, Any]
) -> None:
    api.done("POST", "/scheduler/jobs", {"id": "job", "func": "tests:select", "tags": ["a"], "trigger": trigger})
    shown = api.get(JOB)
    assert shown["trigger"] == trigger
    clock.advance(3600)
    api.done("PUT", JOB, shown)
    assert api.get(JOB) == shown


def test_a_get_of_a_paused_job_is_valid_to_put_back(api: Api) -> None:
    make_job(paused=True)
    shown = api.get(JOB)
    api.done("PUT", JOB, {**shown, "name": "new"})
    assert api.get(JOB) == {**shown, "name": "new", "updated_at": "2030-01-01T12:00:00Z", "version": 2}


@pytest.mark.parametrize(
    "changed", [{"name": "new"}, {"args": [1]}, {"func": "tests:echo"}, {"max_instances": 3}, {"seconds": 10}, {}]
)
def test_an_update_leaves_the_schedule_alone_unless_the_trigger_changes(
    api: Api, clock: FakeClock, changed: dict[str, Any]
) -> None:
    job = make_job()
    clock.advance(3.5)
    api.done("PATCH", JOB, changed)
    job.refresh_from_db()
    assert (job.anchor, job.next_run_time) == (after(-10), NOW)


def test_an_update_of_one_field_of_the_trigger_keeps_the_others(api: Api) -> None:
    make_job(trigger={"type": "cron", "hour": 2, "minute": 30})
    api.done("PATCH", JOB, {"hour": 3})
    assert api.get(JOB)["trigger"] == {"type": "cron", "hour": 3, "minute": 30}


def test_an_update_of_a_paused_job_leaves_it_paused(api: Api) -> None:
    make_job(paused=True)
    api.done("PUT", JOB, {"seconds": 7})
    assert (api.get(JOB)["state"], api.get(JOB)["next_run_time"]) == ("paused", None)


def test_the_detail_has_everything(api: Api) -> None:
    body = {
        "id": "job", "name": "Report", "func": "tests:inspect", "kwargs": {"value": 1}, "trigger": "cron", "hour": 9,
        "description": "What it is for.", "owner": "ann", "tags": ["mail", "daily"], "misfire_grace_time": 60,
        "coalesce": False, "max_instances": 2,
    }  # fmt: skip
    api.done("POST", "/scheduler/jobs", body)
    assert api.get(JOB) == {
        "id": "job", "name": "Report", "trigger": {"type": "cron", "hour": 9}, "next_run_time": "2030-01-02 09:00:00",
        "next_run_time_iso": "2030-01-02T09:00:00+00:00", "state": "pending", "args": [],
        "kwargs": {"value": 1, "database": "<Database instance>", "context": "<RunContext instance>"},
        "func": "tests:inspect", "description": "What it is for.", "owner": "ann", "paused": False, "version": 1,
        "tags": ["mail", "daily"], "executor": "thread", "queue": "cronzimus",
        "misfire_grace_time": 60, "coalesce": False, "max_instances": 2, "overlap": "skip", "queue_limit": 10,
        "timeout": None, "retries": None, "priority": 0, "concurrency_group": "", "concurrency_limit": 1,
        "max_runs": None, "pause_after": None, "keep_runs": None, "keep_days": 90, "keep_failed_days": None,
        "paused_at": None, "paused_by": "", "paused_until": None, "pause_reason": "",
        "trigger_description": api.get(JOB)["trigger_description"], "warnings": [], "error": "",
        "run_count": 0, "failure_count": 0, "last_status": "", "last_run_at": None,
        "created_at": "2030-01-01T12:00:00Z", "updated_at": "2030-01-01T12:00:00Z",
    }  # fmt: skip
    assert "9" in api.get(JOB)["trigger_description"]


def some_of_each_state() -> None:
    """Write a job of each state."""
    make_job("pending")
    make_job("running", last_run_at=NOW)
    make_job("paused", paused=True)
    make_job("completed", next_run_time=None, last_run_at=NOW)
    make_job("broken", func="nobody:knows", paused=True)


@pytest.mark.parametrize("state", ["pending", "running", "paused", "completed", "broken"])
def test_jobs_are_found_by_their_state(api: Api, state: str) -> None:
    some_of_each_state()
    assert [(job["id"], job["state"]) for job in api.get(f"/scheduler/jobs?state={state}")] == [(state, state)]
    assert api.get(f"/scheduler/jobs/{state}")["state"] == state


@pytest.mark.parametrize("error", ["", "it broke"])
@pytest.mark.parametrize(("next_run_time", "paused"), [(NOW, False), (None, False), (None, True)])
@pytest.mark.parametrize("last_run_at", [NOW, None])
@pytest.mark.parametrize("paused_until", [after(0.001), NOW, None])
def test_the_state_is_the_same_in_python_and_in_sql(
    db: None, error: str, next_run_time: Any, paused: bool, last_run_at: Any, paused_until: Any
) -> None:
    job = make_job(
        error=error, next_run_time=next_run_time, paused=paused, last_run_at=last_run_at, paused_until=paused_until
    )
    state, _ = job_state(job, NOW)
    assert Job.objects.with_state(NOW).get().state == state
    assert [found for found in JobState if in_states(Job.objects.all(), [found], NOW)] == [state]


BROKEN: dict[str, dict[str, Any]] = {
    "an unknown function": {"func": "nobody:knows"},
    "a damaged trigger": {"trigger": {"type": "interval", "seconds": 0}},
    "arguments that do not fit": {"func": "tests:echo", "args": [1, 2, 3]},
    "an error of the scheduler's": {"error": "it broke", "next_run_time": None},
}


@pytest.mark.parametrize("damage", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("paused", [False, True])
def test_a_broken_job_is_in_no_other_state(db: None, damage: dict[str, Any], paused: bool) -> None:
    make_job("sound")
    job = make_job(**{"paused": paused, "next_run_time": None if paused else NOW} | damage)
    assert job_state(job, NOW)[0] is JobState.BROKEN
    found = {state: in_states(Job.objects.all(), [state], NOW).values_list("pk", flat=True) for state in JobState}
    assert [state for state in JobState if "job" in found[state]] == [JobState.BROKEN]
    assert [state for state in JobState if "sound" in found[state]] == [JobState.PENDING]


@pytest.mark.slow
def test_any_number_of_jobs_may_be_broken(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    make_jobs(40_000, func="tests:echo", args=[1, 2, 3])
    make_job("sound")
    assert in_states(Job.objects.all(), [JobState.BROKEN], NOW).count() == 40_000
    assert in_states(Job.objects.all(), [JobState.PENDING], NOW).get().pk == "sound"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=MAIL", ["a-mail", "b", "c"]), ("q=report", ["b"]), ("q=%25", []), ("q=", ["a-mail", "b", "c", "d"]),
        ("q=tests:fail", ["c", "d"]), ("tag=daily", ["b", "d"]), ("tag=dai", []), ("tag=d%C3%A9j%C3%A0", ["d"]),
        ("tag=daily&q=report", ["b"]), ("tag=daily&state=paused", ["d"]), ("tag=daily&limit=1&offset=1", ["d"]),
    ],
)  # fmt: skip
def test_jobs_are_found_by_text_and_tag(api: Api, query: str, found: list[str]) -> None:
    make_job("a-mail")
    make_job("b", name="Mail report", tags=["daily", "mail"])
    make_job("c", description="sends mail", func="tests:fail")
    make_job("d", func="tests:fail", tags=["daily", "déjà"], paused=True)
    assert [job["id"] for job in api.get(f"/scheduler/jobs?{query}")] == found


def links(response: Any) -> dict[str, str]:
    """Return the addresses of the header Link, by their relation."""
    return {name: url for url, name in re.findall(r'<http://testserver([^>]+)>; rel="(\w+)"', response["Link"])}


def test_pages_are_linked_both_ways(api: Api) -> None:
    make_jobs(5)
    url, seen = "/scheduler/jobs?limit=2", []
    while url:
        response = api.call("GET", url)
        assert response["X-Total-Count"] == "5"
        seen.append([job["id"] for job in response.json()])
        url = links(response).get("next", "")
    assert seen == [["job-0", "job-1"], ["job-2", "job-3"], ["job-4"]]
    found = links(response)
    assert found["first"] == "/scheduler/jobs?limit=2"
    assert found["prev"] == "/scheduler/jobs?limit=2&offset=2"
    assert found["last"] == "/scheduler/jobs?limit=2&offset=4"


def test_a_page_of_a_state_counts_that_state(api: Api) -> None:
    some_of_each_state()
    response = api.call("GET", "/scheduler/jobs?state=pending&limit=1&offset=0")
    assert response["X-Total-Count"] == "1"
    assert links(response).keys() == {"first", "last"}
    assert "state=pending" in links(response)["last"]


def test_a_page_behind_the_end_is_empty_and_leads_back(api: Api) -> None:
    make_jobs(3)
    response = api.call("GET", "/scheduler/jobs?limit=2&offset=100")
    assert (response.json(), response["X-Total-Count"]) == ([], "3")
    assert links(response)["prev"] == "/scheduler/jobs?limit=2&offset=2"


def test_without_a_limit_all_jobs_are_listed_and_nothing_is_counted(api: Api, statements: Any) -> None:
    make_jobs(60)
    with statements() as found:
        response = api.call("GET", "/scheduler/jobs")
    assert len(response.json()) == 60
    assert "Link" not in response
    assert len(found) == 1


@pytest.mark.parametrize(("query", "number"), [("limit=10", 2), ("state=pending", 1), ("q=job&tag=x&limit=5", 2)])
def test_the_number_of_queries_does_not_grow_with_the_jobs(api: Api, statements: Any, query: str, number: int) -> None:
    make_jobs(60)
    with statements() as found:
        api.get(f"/scheduler/jobs?{query}")
    assert len(found) == number


def test_one_job_is_one_query(api: Api, statements: Any) -> None:
    make_job()
    with statements() as found:
        api.get(JOB)
    assert len(found) == 1


@pytest.mark.parametrize("text", ['"; x', "\\", "<b>", "é😀", "\u2028", "a\tb\n"])
def test_any_text_survives_the_list(api: Api, text: str) -> None:
    make_job(name=text, trigger={"type": text})
    (job,) = api.get("/scheduler/jobs")
    assert (job["name"], job["trigger"]) == (text, text)


def test_a_job_is_run_at_once_with_its_own_arguments(api: Api) -> None:
    make_job(paused=True, args=[1])
    answer = api.done("POST", f"{JOB}/run")
    run = Run.objects.get()
    assert answer == {"id": "job", "status": "queued", "run_id": run.id}
    assert (run.status, run.trigger, run.args, run.scheduled_time) == (RunStatus.QUEUED, "manual", [1], NOW)


@pytest.mark.parametrize(
    ("body", "args", "kwargs"),
    [({"args": [2]}, [2], {}), ({"args": [], "kwargs": {"value": 3}}, [], {"value": 3}), ({}, [1], {})],
)
def test_a_job_is_run_with_other_arguments(api: Api, body: Any, args: Any, kwargs: Any) -> None:
    make_job(func="tests:echo", args=[1])
    api.done("POST", f"{JOB}/run", body)
    assert Run.objects.values_list("args", "kwargs").get() == (args, kwargs)


def test_two_runs_of_the_same_instant_are_two(api: Api) -> None:
    make_job()
    assert api.done("POST", f"{JOB}/run")["run_id"] != api.done("POST", f"{JOB}/run")["run_id"]


def test_the_runs_of_a_removed_job_stay(api: Api) -> None:
    make_job()
    run = make_run(status="succeeded")
    api.done("DELETE", JOB)
    assert [row["id"] for row in api.get(f"{JOB}/runs")["results"]] == [run.id]


def test_a_job_is_changed_while_the_list_answers_from_memory(api: Api) -> None:
    make_job(trigger={"type": "interval", "seconds": 5}, name="a")
    assert [job["trigger"] for job in api.get("/scheduler/jobs")] == ["interval[0:00:05]"]
    with connection.cursor() as cursor:
        cursor.execute('UPDATE cronzimus_job SET name = \'b\', trigger = \'{"type": "interval", "seconds": 6}\'')
    assert [(job["name"], job["trigger"]) for job in api.get("/scheduler/jobs")] == [("b", "interval[0:00:06]")]


def test_a_head_request_has_no_body(api: Api) -> None:
    make_job()
    for path in ("/scheduler/jobs", JOB, "/api/health"):
        response = api.call("HEAD", path)
        assert (response.status_code, response.content) == (200, b"")


def test_each_combination_of_limit_and_offset_is_a_slice(api: Api) -> None:
    make_jobs(4)
    ids = [job["id"] for job in api.get("/scheduler/jobs")]
    for limit, offset in itertools.product((1, 3, 1000), range(5)):
        page = api.get(f"/scheduler/jobs?limit={limit}&offset={offset}")
        assert [job["id"] for job in page] == ids[offset : offset + limit]
    assert [job["id"] for job in api.get("/scheduler/jobs?offset=3")] == ids[3:]
