"""Safe editing: If-Match and If-None-Match on writes, PUT that adds, the pause and the owner as fields."""

from __future__ import annotations

from typing import Any

import pytest

from jobs import services
from jobs.models import Incident, Job, Run
from tests.fakes import NOW, FakeClock, after, make_job, make_token, make_user

from .api_client import Api

JOBS, JOB = "/scheduler/jobs", "/scheduler/jobs/job"
NEW = {"func": "tests:echo", "trigger": "interval", "seconds": 5}
FAILED = (412, "PRECONDITION_FAILED", set())
WRITES: list[tuple[str, Any]] = [("PUT", {"name": "new"}), ("PATCH", {"name": "new"}), ("DELETE", None)]
every_write = pytest.mark.parametrize(("method", "body"), WRITES, ids=["PUT", "PATCH", "DELETE"])


def tag(api: Api) -> str:
    """Return the entity tag of the job."""
    return str(api.call("GET", JOB)["ETag"])


def status(api: Api, method: str, body: Any, **headers: str) -> int:
    """Return the status of a write with `headers`."""
    return int(
        api.call(method, JOB, body, **{name.replace("_", "-"): value for name, value in headers.items()}).status_code
    )


# --- If-Match ---------------------------------------------------------------------------------------------------------


def test_the_tag_of_a_job_begins_with_its_version(api: Api) -> None:
    make_job(version=7)
    assert tag(api).startswith('"7-')
    assert api.get(JOB)["version"] == 7


@every_write
def test_the_tag_that_a_get_showed_lets_a_write_in(api: Api, method: str, body: Any) -> None:
    make_job()
    assert status(api, method, body, If_Match=tag(api)) == 200


@every_write
def test_a_tag_of_an_older_version_is_412_and_changes_nothing(api: Api, method: str, body: Any) -> None:
    make_job()
    old = tag(api)
    api.done("PATCH", JOB, {"description": "by somebody else"})
    shown = api.get(JOB)
    assert api.refused(method, JOB, body, **{"If-Match": old}) == FAILED
    assert api.get(JOB) == shown


@every_write
def test_runs_of_a_job_do_not_stand_in_the_way_of_a_write(api: Api, method: str, body: Any) -> None:
    make_job()
    before = tag(api)
    Job.objects.update(run_count=5, last_run_at=NOW, last_status="succeeded", next_run_time=after(10))
    assert tag(api) != before
    assert status(api, method, body, If_Match=before) == 200


@pytest.mark.parametrize(
    "header",
    ['W/"2-0"', '"2-0"', '"nonsense"', '""', "1-0", '"2-0", W/"3-0"', "", '"01x-0"', '"-1-0"', '"99999999999-0"'],
)
def test_what_names_no_version_of_the_job_is_412(api: Api, header: str) -> None:
    make_job()
    assert status(api, "PATCH", {"name": "new"}, If_Match=header) == 412


@pytest.mark.parametrize(
    "header", ["*", ' "1-0"', '"9-0", "1-0"', '"9-0","1-anything"', 'W/"9-0" , "1-0"', 'W/"1-0"', "  * "]
)
def test_any_tag_of_a_list_and_the_star_let_a_write_in(api: Api, header: str) -> None:
    make_job()
    assert status(api, "PATCH", {"name": "new"}, If_Match=header) == 200


@every_write
@pytest.mark.parametrize("header", ["*", '"1-0"'])
def test_a_job_that_is_not_there_is_404_whatever_the_tag(api: Api, method: str, body: Any, header: str) -> None:
    assert api.refused(method, JOB, body, **{"If-Match": header})[:2] == (404, "JOB_NOT_FOUND")


def test_a_wrong_body_is_said_before_a_precondition(api: Api) -> None:
    make_job()
    wrong = (400, "INVALID_REQUEST", {"max_instances"})
    assert api.refused("PATCH", JOB, {"max_instances": 0}, **{"If-Match": '"9-0"'}) == wrong
    assert api.refused("PUT", f"{JOB}2?upsert=1", NEW | {"max_instances": 0}, **{"If-Match": "*"}) == wrong


def test_a_write_that_changes_nothing_keeps_the_version(api: Api) -> None:
    make_job()
    before = tag(api)
    api.done("PUT", JOB, api.get(JOB))
    assert tag(api) == before


@pytest.mark.parametrize("action", ["pause", "resume"])
def test_a_pause_and_its_end_are_new_versions(api: Api, action: str) -> None:
    make_job(paused=action == "resume")
    api.done("POST", f"{JOB}/{action}")
    assert api.get(JOB)["version"] == 2
    api.done("POST", f"{JOB}/{action}")
    assert api.get(JOB)["version"] == 2


@every_write
@pytest.mark.parametrize(("header", "expected"), [("*", 412), ('"1-0"', 412), ('W/"1-0"', 412), ('"2-0"', 200)])
def test_if_none_match_keeps_a_write_from_what_it_names(
    api: Api, method: str, body: Any, header: str, expected: int
) -> None:
    make_job()
    assert status(api, method, body, If_None_Match=header) == expected


# --- PUT with upsert --------------------------------------------------------------------------------------------------


def test_a_put_with_upsert_adds_the_job_and_then_changes_it(api: Api) -> None:
    assert api.done("PUT", f"{JOB}?upsert=1", NEW) == {"id": "job", "status": "added"}
    assert api.done("PUT", f"{JOB}?upsert=1", NEW | {"name": "new"}) == {"id": "job", "status": "updated"}
    assert api.get(JOB)["name"] == "new"


def test_a_put_with_upsert_takes_what_a_get_showed(api: Api) -> None:
    api.done("PUT", f"{JOB}?upsert=1", NEW)
    shown = api.get(JOB)
    Job.objects.all().delete()
    api.done("PUT", f"{JOB}?upsert=true", shown)
    # The versions of a removed job are kept, and their numbers go on.
    assert api.get(JOB) == shown | {"version": 2}


@pytest.mark.parametrize("query", ["", "?upsert=0", "?upsert=false"])
def test_a_put_without_upsert_adds_nothing(api: Api, query: str) -> None:
    assert api.refused("PUT", JOB + query, NEW)[:2] == (404, "JOB_NOT_FOUND")
    assert not Job.objects.exists()


def test_an_upsert_of_a_wrong_job_is_refused_by_field(api: Api) -> None:
    assert api.refused("PUT", f"{JOB}?upsert=1", {"nmae": "x"}) == (
        400, "INVALID_REQUEST", {"nmae", "func", "trigger"}
    )  # fmt: skip
    assert api.refused("PUT", f"{JOB}?upsert=1", NEW | {"id": "other"}) == (400, "INVALID_REQUEST", {"id"})
    assert api.refused("PUT", f"{JOBS}/a b?upsert=1", NEW) == (400, "INVALID_REQUEST", {"id"})
    assert not Job.objects.exists()


@pytest.mark.parametrize(("method", "query"), [("PUT", "upsert=yes"), ("PUT", "upset=1"), ("PATCH", "upsert=1")])
def test_a_wrong_query_of_a_write_is_refused_by_name(api: Api, method: str, query: str) -> None:
    make_job()
    assert api.refused(method, f"{JOB}?{query}", {}) == (400, "INVALID_REQUEST", {query.partition("=")[0]})


@pytest.mark.parametrize("header", ["*", '"1-0"'])
def test_an_upsert_with_if_match_adds_nothing(api: Api, header: str) -> None:
    assert api.refused("PUT", f"{JOB}?upsert=1", NEW, **{"If-Match": header}) == FAILED
    assert not Job.objects.exists()


def test_an_upsert_with_if_none_match_changes_nothing(api: Api) -> None:
    star = {"If-None-Match": "*"}
    assert api.call("PUT", f"{JOB}?upsert=1", NEW, **star).json()["status"] == "added"
    assert api.refused("PUT", f"{JOB}?upsert=1", NEW | {"name": "new"}, **star) == FAILED
    assert api.get(JOB)["name"] == "echo"


def test_an_upsert_while_another_request_adds_the_job_changes_it(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    add = services.add_job

    def too_late(body: Any, **how: Any) -> Job:
        make_job()
        monkeypatch.setattr(services, "add_job", add)
        return add(body, **how)

    monkeypatch.setattr(services, "add_job", too_late)
    assert api.done("PUT", f"{JOB}?upsert=1", NEW)["status"] == "updated"


def test_an_upsert_that_adds_needs_the_permission_to_add(api: Api, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}
    ann = make_user("ann", is_staff=True)
    from django.contrib.auth.models import Permission

    ann.user_permissions.set(Permission.objects.filter(codename="change_job"))
    token = make_token(ann)
    assert api.call("PUT", f"{JOB}?upsert=1", NEW, authorization=token).status_code == 403
    make_job()
    assert api.call("PUT", f"{JOB}?upsert=1", {"name": "new"}, authorization=token).status_code == 200


def test_an_upsert_stays_within_the_tags_of_a_token(api: Api, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}
    token = make_token(tags=["mine"])
    make_job("other", tags=["theirs"])
    refused = api.call("PUT", f"{JOBS}/other?upsert=1", NEW | {"tags": ["mine"]}, authorization=token)
    assert refused.json()["code"] == "JOB_NOT_FOUND"
    assert api.call("PUT", f"{JOB}?upsert=1", NEW, authorization=token).status_code == 403
    added = api.call("PUT", f"{JOB}?upsert=1", NEW | {"tags": ["mine"]}, authorization=token)
    assert added.json()["status"] == "added"


# --- the pause as a field ---------------------------------------------------------------------------------------------


def test_a_job_may_be_added_paused(api: Api) -> None:
    api.done("POST", JOBS, NEW | {"id": "job", "paused": True})
    shown = api.get(JOB)
    assert (shown["paused"], shown["state"], shown["next_run_time"]) == (True, "paused", None)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_write_pauses_and_resumes(api: Api, clock: FakeClock, method: str) -> None:
    make_job(next_run_time=after(10))
    clock.advance(15)
    api.done(method, JOB, {"paused": True})
    assert api.get(JOB)["state"] == "paused"
    assert Run.objects.get().reason == "its job was paused before a scheduler claimed it"
    clock.advance(7)
    api.done(method, JOB, {"paused": False})
    assert Job.objects.get().next_run_time == after(30)
    assert Job.objects.get().paused_at is None


def test_a_paused_job_may_get_a_trigger_and_be_resumed_in_one_request(api: Api) -> None:
    make_job(paused=True, trigger={"damaged": True})
    api.done("PATCH", JOB, {"paused": False, "trigger": {"type": "interval", "seconds": 60}})
    assert Job.objects.get().next_run_time == after(60)


def test_a_resume_by_a_field_forgets_why_the_job_was_paused_and_its_failures(api: Api) -> None:
    make_job(paused=True, pause_reason="failed 3 times in a row")
    Incident.objects.create(job_id="job", kind="failure", opened_at=NOW, last_at=NOW, count=3)
    api.done("PATCH", JOB, {"paused": False})
    assert (api.get(JOB)["pause_reason"], Job.objects.get().pause_reason) == ("", "")
    assert Incident.objects.get().forgiven == 3


def test_a_pause_for_good_takes_the_place_of_one_until_an_instant(api: Api) -> None:
    make_job(next_run_time=after(70), paused_until=after(65), paused_at=after(-5))
    api.done("PATCH", JOB, {"paused": True})
    job = Job.objects.get()
    assert (job.paused, job.paused_until, job.paused_at, job.next_run_time) == (True, None, after(-5), None)


def test_what_a_get_showed_of_a_pause_until_an_instant_changes_nothing(api: Api) -> None:
    make_job(next_run_time=after(70), paused_until=after(65))
    shown = api.get(JOB)
    assert shown["paused"] is False
    api.done("PUT", JOB, shown)
    assert api.get(JOB) == shown


@pytest.mark.parametrize("value", [None, 1, "true", []])
def test_a_pause_that_is_neither_true_nor_false_is_refused(api: Api, value: Any) -> None:
    make_job()
    assert api.refused("PUT", JOB, {"paused": value}) == (400, "INVALID_REQUEST", {"paused"})


def test_a_change_of_the_pause_needs_the_permission_to_pause(api: Api, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}
    from django.contrib.auth.models import Permission

    make_job()
    ann = make_user("ann", is_staff=True)
    ann.user_permissions.set(Permission.objects.filter(codename="change_job"))
    token = make_token(ann)
    assert api.call("PUT", JOB, {"paused": True}, authorization=token).status_code == 403
    assert api.call("PUT", JOB, {"paused": False, "name": "new"}, authorization=token).status_code == 200


# --- the owner --------------------------------------------------------------------------------------------------------


def test_a_job_has_an_owner(api: Api) -> None:
    api.done("POST", JOBS, NEW | {"id": "job", "owner": "Team A"})
    assert api.get(JOB)["owner"] == "Team A"
    api.done("PATCH", JOB, {"owner": ""})
    assert api.get(JOB)["owner"] == ""


@pytest.mark.parametrize("owner", [None, 5, "x" * 255, "a\x00b", ["ann"]])
def test_a_wrong_owner_is_refused(api: Api, owner: Any) -> None:
    assert api.refused("POST", JOBS, NEW | {"id": "job", "owner": owner}) == (400, "INVALID_REQUEST", {"owner"})


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("owner=ann", ["a"]),
        ("owner=An", []),
        ("owner=", ["c"]),
        ("q=owner:ANN", ["a", "b"]),
        ('q=owner:"ann b"', ["b"]),
        ('q=owner:""', ["c"]),
        ("q=mail owner:ann", ["b"]),
        ("q=owner:ann owner:b", ["b"]),
        ("q=owner:", ["d"]),
        ("q=ann", []),
        ("q=owner:nobody", []),
    ],
)  # fmt: skip
def test_jobs_are_found_by_their_owner(api: Api, query: str, found: list[str]) -> None:
    make_job("a", owner="ann")
    make_job("b", owner="Ann B", description="sends mail")
    make_job("c", description="sends mail")
    make_job("d", owner="zoe", description="the owner: somebody")
    assert [job["id"] for job in api.get(f"{JOBS}?{query.replace(' ', '%20')}")] == found
    assert [job["id"] for job in api.get(f"{JOBS}?full=1&{query.replace(' ', '%20')}")] == found


def test_a_tag_without_quotes_is_refused_with_its_form(api: Api) -> None:
    make_job()
    shown = tag(api).strip('"')
    response = api.call("PUT", JOB, {"name": "new"}, if_match=shown)
    assert response.status_code == 412
    assert response.json()["error"] == 'If-Match has no entity tag: write it in quotes, as in ETag: "1-…"'
