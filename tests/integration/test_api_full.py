"""The list with whole definitions, and with chosen fields."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobs.api import full_list
from jobs.api.representations import JOB_FIELDS
from jobs.models import Job
from tests.fakes import NOW, after, make_job, make_jobs, make_run, make_token

from .api_client import Api

JOBS, JOB = "/scheduler/jobs", "/scheduler/jobs/job"
FULL = f"{JOBS}?full=1"


def listed(api: Api, query: str = "full=1", **headers: str) -> Any:
    """Return what the list shows, streamed or not."""
    response = api.call("GET", f"{JOBS}?{query}", **headers)
    assert response.status_code == 200, response.content
    return json.loads(response.getvalue())


def test_the_full_list_shows_each_job_as_it_is_shown_alone(api: Api) -> None:
    make_job("a", tags=["x"], owner="ann", args=[1])
    make_job("b", paused=True)
    make_job("c", func="nobody:knows")
    make_job("d", trigger="damaged", tags="x")
    assert listed(api) == [api.get(f"{JOBS}/{job_id}") for job_id in "abcd"]


def test_the_full_list_can_be_put_back_as_it_is(api: Api) -> None:
    make_jobs(3, owner="ann")
    shown = listed(api)
    Job.objects.all().delete()
    for job in shown:
        api.done("PUT", f"{JOBS}/{job['id']}?upsert=1", job)
    assert [job["owner"] for job in listed(api)] == ["ann"] * 3


def test_the_full_list_is_read_in_parts(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full_list, "PART", 2)
    make_jobs(5)
    names = [f"job-{number}" for number in range(5)]
    assert [job["id"] for job in listed(api)] == names
    assert [job["id"] for job in listed(api, "full=1&offset=1")] == names[1:]
    assert [job["id"] for job in listed(api, "full=1&limit=3&offset=1")] == names[1:4]
    assert listed(api, "full=1&offset=9") == []


def test_the_full_list_asks_as_much_for_many_jobs_as_for_one(api: Api, statements: Any) -> None:
    asked = []
    for number in (1, 30):
        Job.objects.all().delete()
        make_jobs(number, run_count=1)
        for job in Job.objects.all():
            make_run(job.pk, scheduled_time=after(number), status="succeeded", started_at=NOW, finished_at=after(90))
        with statements() as found:
            listed(api)
        asked.append(len(found))
    assert asked[0] == asked[1] <= 6


def test_the_full_list_has_the_warnings_of_each_job(api: Api) -> None:
    for name, took in (("long", 900), ("short", 2), ("new", 0)):
        make_job(name, trigger={"type": "interval", "minutes": 10}, run_count=took and 1)
        if took:
            make_run(name, status="succeeded", started_at=NOW, finished_at=after(took))
    codes = {job["id"]: [warning["code"] for warning in job["warnings"]] for job in listed(api)}
    assert codes == {"long": ["overlap"], "short": [], "new": []}


def test_a_page_of_the_full_list_says_how_many_there_are_and_has_a_tag(api: Api) -> None:
    make_jobs(5)
    response = api.call("GET", f"{FULL}&limit=2")
    assert response["X-Total-Count"] == "5"
    assert 'rel="next"' in response["Link"]
    again = api.client.get(f"{FULL}&limit=2", headers={"If-None-Match": response["ETag"]})
    assert again.status_code == 304


def test_a_streamed_list_is_kept_by_no_cache(api: Api) -> None:
    response = api.call("GET", FULL)
    assert "ETag" not in response
    assert response["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state=paused", ["paused"]), ("state=broken", ["broken"]), ("state=pending", ["pending", "tagged"]),
        ("tag=x", ["tagged"]), ("q=tag", ["tagged"]),
    ],
)  # fmt: skip
def test_the_full_list_is_narrowed_as_the_list_is(api: Api, query: str, found: list[str]) -> None:
    make_job("broken", func="nobody:knows")
    make_job("paused", paused=True)
    make_job("pending")
    make_job("tagged", tags=["x"])
    assert [job["id"] for job in listed(api, f"full=1&{query}")] == found
    assert [job["id"] for job in listed(api, query)] == found


def test_the_full_list_leaves_out_what_a_token_does_not_reach(api: Api, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}
    make_job("a", tags=["mine"])
    make_job("b")
    assert [job["id"] for job in listed(api, authorization=make_token(tags=["mine"]))] == ["a"]


def test_a_client_may_ask_for_some_fields(api: Api) -> None:
    make_job(owner="ann", trigger={"type": "interval", "seconds": 3600})
    assert listed(api, "fields=id,owner,state") == [{"id": "job", "owner": "ann", "state": "pending"}]
    assert listed(api, "fields=warnings") == [{"warnings": []}]
    assert api.get(f"{JOB}?fields=next_run_time,id") == {"next_run_time": "2030-01-01 12:00:00", "id": "job"}


def test_all_fields_may_be_asked_for_by_name(api: Api) -> None:
    make_job()
    assert api.get(f"{JOB}?fields={','.join(JOB_FIELDS)}") == api.get(JOB)


def test_the_tag_of_some_fields_changes_with_them_alone(api: Api) -> None:
    make_job()
    first = api.call("GET", f"{JOB}?fields=owner")["ETag"]
    Job.objects.update(next_run_time=after(10))
    assert api.call("GET", f"{JOB}?fields=owner")["ETag"] == first
    assert api.call("PATCH", JOB, {"owner": "ann"}, **{"If-Match": first}).status_code == 200


@pytest.mark.parametrize("path", [f"{JOBS}?", f"{JOB}?", "/scheduler/runs?", "/scheduler/runs/1?", f"{JOB}/runs?"])
@pytest.mark.parametrize("fields", ["ownr", "", "id,,func", "id;func"])
def test_an_unknown_field_is_refused(api: Api, path: str, fields: str) -> None:
    make_run(make_job(), id=1)
    assert api.refused("GET", f"{path}fields={fields}") == (400, "INVALID_REQUEST", {"fields"})


def test_a_client_may_ask_for_some_fields_of_runs(api: Api) -> None:
    make_run(make_job(), id=1)
    assert api.get("/scheduler/runs?fields=id,job_id")["results"] == [{"id": 1, "job_id": "job"}]
    assert api.get(f"{JOB}/runs?fields=status")["results"] == [{"status": "queued"}]
    assert api.get("/scheduler/runs/1?fields=traceback,scheduled_time") == {
        "traceback": "", "scheduled_time": NOW.isoformat().replace("+00:00", "Z"),
    }  # fmt: skip
