"""One action on many jobs in one request, with a result for each."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission

from jobs.api import bulk
from jobs.core.runs import RunStatus
from jobs.models import Job, Run
from tests.fakes import make_job, make_jobs, make_token, make_user

from .api_client import Api

BULK = "/scheduler/jobs/bulk"


def do(api: Api, action: str, *ids: str, **more: Any) -> Any:
    """Return the result of each job."""
    return api.done("POST", BULK, {"action": action, "ids": list(ids), **more})["results"]


def test_jobs_are_paused_and_resumed(api: Api) -> None:
    make_job("a")
    make_job("b")
    assert do(api, "pause", "b", "a") == [{"id": "b", "status": "paused"}, {"id": "a", "status": "paused"}]
    assert Job.objects.filter(paused=True).count() == 2
    assert do(api, "resume", "a") == [{"id": "a", "status": "resumed"}]
    assert list(Job.objects.filter(paused=True).values_list("pk", flat=True)) == ["b"]


def test_jobs_are_run(api: Api) -> None:
    make_job("a")
    (item,) = do(api, "run", "a")
    run = Run.objects.get()
    assert (item, run.status) == ({"id": "a", "status": "queued", "run_id": run.pk}, RunStatus.QUEUED)


def test_jobs_are_deleted(api: Api) -> None:
    make_job("a")
    make_job("b")
    assert do(api, "delete", "a") == [{"id": "a", "status": "removed"}]
    assert list(Job.objects.values_list("pk", flat=True)) == ["b"]


def test_tags_are_added_and_removed(api: Api) -> None:
    make_job("a", tags=["x", "y"])
    make_job("b", tags="damaged")
    assert do(api, "tag", "a", "b", add=["z", "x"], remove=["y"]) == [
        {"id": "a", "status": "updated"}, {"id": "b", "status": "updated"}
    ]  # fmt: skip
    assert dict(Job.objects.values_list("pk", "tags")) == {"a": ["x", "z"], "b": ["z", "x"]}


def test_a_job_that_is_refused_keeps_no_other_from_being_changed(api: Api) -> None:
    make_job("a")
    make_job("broken", func="nobody:knows")
    make_job("z")
    results = do(api, "run", "a", "broken", "nobody", "z", "a b", "Ü")
    assert [item.get("status", item.get("code")) for item in results] == [
        "queued", "INVALID_FUNCTION", "JOB_NOT_FOUND", "queued", "JOB_NOT_FOUND", "JOB_NOT_FOUND"
    ]  # fmt: skip
    assert results[2] == {"id": "nobody", "error": "there is no job 'nobody'", "code": "JOB_NOT_FOUND"}
    assert sorted(Run.objects.values_list("job_id", flat=True)) == ["a", "z"]


def test_what_a_job_is_refused_for_is_taken_back(api: Api) -> None:
    make_job("full", tags=[f"t{number}" for number in range(20)])
    (item,) = do(api, "tag", "full", add=["one-more"])
    assert item["code"] == "INVALID_REQUEST"
    assert "one-more" not in Job.objects.get().tags


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"state": "paused"}, ["paused"]),
        ({"tag": "x"}, ["tagged"]),
        ({"q": "TAG"}, ["tagged"]),
        ({"owner": "ann"}, ["owned"]),
        ({"q": "owner:ann"}, ["owned"]),
        ({"state": "pending", "tag": "x"}, ["tagged"]),
        ({"state": "broken"}, []),
    ],
)
def test_a_filter_finds_what_the_list_finds(api: Api, asked: dict[str, str], found: list[str]) -> None:
    make_job("owned", owner="ann")
    make_job("paused", paused=True)
    make_job("tagged", tags=["x"])
    results = api.done("POST", BULK, {"action": "run", "filter": asked})["results"]
    assert [item["id"] for item in results] == found


def test_a_request_that_is_sent_again_is_answered_as_before(api: Api) -> None:
    make_job("a")
    body = {"action": "run", "ids": ["a"]}
    first, again = (api.call("POST", BULK, body, **{"Idempotency-Key": "k"}) for _ in range(2))
    assert (again.json(), again["Idempotency-Replayed"]) == (first.json(), "true")
    assert Run.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"action", "ids"}),
        ({"action": "stop", "ids": ["a"]}, {"action"}),
        ({"action": ["run"], "ids": ["a"]}, {"action"}),
        ({"action": "run"}, {"ids"}),
        ({"action": "run", "ids": ["a"], "filter": {"tag": "x"}}, {"ids"}),
        ({"action": "run", "ids": []}, {"ids"}),
        ({"action": "run", "ids": "a"}, {"ids"}),
        ({"action": "run", "ids": [1]}, {"ids"}),
        ({"action": "run", "ids": ["a", "b", "a"]}, {"ids"}),
        ({"action": "run", "ids": ["a\x00"]}, {"ids"}),
        ({"action": "run", "filter": {}}, {"filter"}),
        ({"action": "run", "filter": []}, {"filter"}),
        ({"action": "run", "filter": {"stat": "x", "q": 1}}, {"filter.stat", "filter.q"}),
        ({"action": "run", "filter": {"state": "active"}}, {"filter.state"}),
        ({"action": "run", "filter": {"q": "a\x00"}}, {"filter.q"}),
        ({"action": "run", "ids": ["a"], "add": ["x"]}, {"add"}),
        ({"action": "run", "idz": ["a"]}, {"ids", "idz"}),
        ({"action": "tag", "ids": ["a"]}, {"add"}),
        ({"action": "tag", "ids": ["a"], "add": [], "remove": []}, {"add"}),
        ({"action": "tag", "ids": ["a"], "add": "x"}, {"add"}),
        ({"action": "tag", "ids": ["a"], "add": ["a b"], "remove": [5]}, {"add", "remove"}),
    ],
)
def test_a_wrong_request_is_refused_by_field_and_changes_nothing(api: Api, body: Any, fields: set[str]) -> None:
    make_job("a")
    assert api.refused("POST", BULK, body) == (400, "INVALID_REQUEST", fields)
    assert not Run.objects.exists()


def test_one_request_changes_a_bounded_number_of_jobs(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "MAX_ITEMS", 3)
    make_jobs(4)
    assert len(do(api, "pause", "job-0", "job-1", "job-2")) == 3
    assert api.refused("POST", BULK, {"action": "run", "ids": ["1", "2", "3", "4"]})[2] == {"ids"}
    response = api.call("POST", BULK, {"action": "run", "filter": {"q": "job"}})
    assert response.json()["fields"]["filter"] == (
        "finds 4 jobs; one request may change 3: narrow it, or send 'ids'"
    )  # fmt: skip
    assert not Run.objects.filter(status=RunStatus.QUEUED).exists()


def test_a_job_may_be_called_bulk(api: Api) -> None:
    api.done("POST", "/scheduler/jobs", {"id": "bulk", "func": "tests:echo", "trigger": "interval", "seconds": 5})
    assert api.get(BULK)["id"] == "bulk"
    api.done("PUT", BULK, {"name": "new"})
    api.done("PATCH", BULK, {"owner": "ann"})
    api.done("POST", f"{BULK}/pause")
    assert do(api, "resume", "bulk") == [{"id": "bulk", "status": "resumed"}]
    assert api.done("DELETE", BULK) == {"id": "bulk", "status": "removed"}
    assert api.refused("GET", BULK)[:2] == (404, "JOB_NOT_FOUND")


# --- who may ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def closed(api: Api, settings: Any) -> None:
    """The API asks for credentials."""
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}


@pytest.mark.usefixtures("closed")
@pytest.mark.parametrize(
    ("action", "permission"),
    [
        ("pause", "pause_job"),
        ("resume", "pause_job"),
        ("run", "run_job"),
        ("delete", "delete_job"),
        ("tag", "change_job"),
    ],
)
def test_each_action_needs_its_own_permission(api: Api, action: str, permission: str) -> None:
    make_job("a")
    body = {"action": action, "ids": ["a"], **({"add": ["x"]} if action == "tag" else {})}
    ann, bob = make_user("ann", is_staff=True), make_user("bob", is_staff=True)
    known = {action.permission for action in bulk.ACTIONS.values()}
    own = Permission.objects.filter(content_type__app_label="cronzimus")
    ann.user_permissions.set(own.filter(codename=permission))
    bob.user_permissions.set(own.filter(codename__in=known - {permission}))
    assert api.call("POST", BULK, body, authorization=make_token(bob)).status_code == 403
    assert api.call("POST", BULK, body, authorization=make_token(ann)).status_code == 200


@pytest.mark.usefixtures("closed")
def test_a_token_with_tags_changes_the_jobs_that_it_reaches_and_keeps_them(api: Api) -> None:
    make_job("a", tags=["mine", "x"])
    make_job("b", tags=["x"])
    token = make_token(tags=["mine"])
    by_tag = api.call("POST", BULK, {"action": "pause", "filter": {"tag": "x"}}, authorization=token).json()
    assert by_tag["results"] == [{"id": "a", "status": "paused"}]
    by_id = api.call("POST", BULK, {"action": "pause", "ids": ["a", "b"]}, authorization=token).json()
    assert [item.get("code") for item in by_id["results"]] == [None, "JOB_NOT_FOUND"]
    lost = api.call("POST", BULK, {"action": "tag", "ids": ["a"], "remove": ["mine"]}, authorization=token).json()
    assert lost["results"][0]["code"] == "PERMISSION_DENIED"
    assert Job.objects.get(pk="a").tags == ["mine", "x"]
