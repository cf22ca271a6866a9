"""Versions: each change of a job saves its whole definition, and each version can be restored."""

from __future__ import annotations

import re
import tracemalloc
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import override_settings

from jobs import services
from jobs.admin.jobs.conflicts import changes_since
from jobs.core.audit import Door, Origin, acting
from jobs.core.exceptions import InvalidFunction, VersionNotFound
from jobs.core.runs import MissedChoice, RunStatus
from jobs.models import Job, JobVersion, Run
from jobs.scheduler.store import claims, outcomes
from jobs.selectors.versions import version_of, with_older
from tests.fakes import NOW, after, by, make_job, make_token, make_user, outcome

from .admin_support import JOBS, Admin, admin_fixture, at_noon_fixture, text
from .api_client import Api
from .plans import assert_reads, plan

__all__ = ["admin_fixture", "at_noon_fixture"]

pytestmark = pytest.mark.django_db

BODY = {"id": "job", "func": "tests:echo", "trigger": "interval", "seconds": 10}
ROOMS = {"thread": 5}


def add(**fields: Any) -> Job:
    return services.add_job({**BODY, **fields}, now=NOW)


def versions_of(job_id: str) -> list[JobVersion]:
    return [version for version, _ in with_older(job_id)]


def numbers(job_id: str = "job") -> list[int]:
    return [version.number for version in versions_of(job_id)]


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_each_change_keeps_the_whole_definition_with_who_and_when() -> None:
    add(args=[1])
    with acting(Origin(actor="anna", door=Door.API)):
        services.update_job("job", {"args": [2]}, now=after(5))
    newest, first = versions_of("job")
    assert (newest.number, newest.actor, newest.door, newest.at) == (2, "anna", "api", after(5))
    assert (newest.definition["args"], first.definition["args"]) == ([2], [1])
    assert newest.definition["trigger"] == {"type": "interval", "seconds": 10}
    assert Job.objects.get().version == 2


def test_an_edit_that_changes_nothing_makes_no_version() -> None:
    add()
    services.update_job("job", {"name": "echo", "seconds": 10}, now=after(5))
    assert numbers() == [1]


def test_an_edit_that_changes_nothing_is_not_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    add()
    services.update_job("job", {"name": "echo"}, now=after(5))
    assert "updated" not in caplog.text
    services.update_job("job", {"name": "another"}, now=after(5))
    assert "job job updated" in caplog.text


def test_pause_and_resume_are_versions_too() -> None:
    add()
    services.pause_job("job", now=after(1))
    with by("anna"):
        services.resume_with("job", missed=MissedChoice.NONE, now=after(2))
    assert [(v.number, v.action, v.actor) for v in versions_of("job")] == [
        (3, "job_resumed", "anna"), (2, "job_paused", ""), (1, "job_added", ""),
    ]  # fmt: skip


def test_the_first_change_of_a_job_that_no_service_made_keeps_what_was_there() -> None:
    make_job(args=[1])
    services.update_job("job", {"args": [2]}, now=after(5))
    assert [version.definition["args"] for version in versions_of("job")] == [[2], [1]]


@override_settings(CRONZIMUS={"JOB_VERSIONS": 2})
def test_the_last_versions_are_kept() -> None:
    add()
    for number in range(3):
        services.update_job("job", {"args": [number]}, now=after(number))
    assert numbers() == [4, 3]


def test_versions_outlive_their_job_and_a_new_job_of_that_id_goes_on_counting() -> None:
    add()
    services.update_job("job", {"args": [1]}, now=NOW)
    services.remove_job("job", now=NOW)
    assert numbers() == [2, 1]
    assert JobVersion.objects.filter(expires_at=None).count() == 0
    assert add().version == 3
    assert numbers() == [3, 2, 1]
    assert JobVersion.objects.exclude(expires_at=None).count() == 0


# --- runs ------------------------------------------------------------------------------------------------------------


def test_every_run_names_the_version_that_it_ran() -> None:
    add(retries={"max": 1})
    services.update_job("job", {"args": [1]}, now=NOW)
    claims.claim_due("s1", ROOMS, after(10))
    scheduled = Run.objects.get()
    services.update_job("job", {"args": [2]}, now=after(10))
    manual = services.run_job("job", now=after(11))
    failed = outcome(scheduled.pk, status=RunStatus.FAILED, scheduled_time=scheduled.scheduled_time)
    outcomes.write_outcomes([failed], "s1", after(12))
    retry = Run.objects.get(attempt=2)
    services.skip_next("job", now=after(13))
    skipped = Run.objects.get(status=RunStatus.SKIPPED)
    assert [run.version for run in (scheduled, manual, retry, skipped)] == [2, 3, 2, 3]


# --- revert ----------------------------------------------------------------------------------------------------------


def test_revert_takes_a_definition_again_as_a_new_version() -> None:
    add(args=[1], description="old")
    services.update_job("job", {"args": [2], "description": "new", "seconds": 60}, now=after(5))
    job = services.revert_job("job", 1, now=after(6))
    assert (job.args, job.description, job.trigger["seconds"], job.version) == ([1], "old", 10, 3)
    newest = versions_of("job")[0]
    assert (newest.action, newest.reverted_to) == ("job_reverted", 1)


def test_revert_leaves_a_paused_job_paused() -> None:
    add(args=[1])
    services.update_job("job", {"args": [2], "paused": True}, now=after(5))
    assert services.revert_job("job", 1, now=after(6)).paused


def test_revert_adds_a_removed_job_again_paused() -> None:
    add(args=[1])
    services.remove_job("job", now=NOW)
    job = services.revert_job("job", 1, now=after(6))
    assert (job.args, job.paused, job.next_run_time) == ([1], True, None)


def test_revert_to_a_version_that_is_not_there() -> None:
    add()
    with pytest.raises(VersionNotFound, match="no version 7 of job 'job'"):
        services.revert_job("job", 7, now=NOW)


def test_revert_to_a_function_that_is_gone_changes_nothing() -> None:
    add()
    JobVersion.objects.update(definition={**versions_of("job")[0].definition, "func": "tests:gone"})
    with pytest.raises(InvalidFunction):
        services.revert_job("job", 1, now=NOW)
    assert numbers() == [1]


def test_revert_compares_the_version_that_the_caller_has_seen() -> None:
    add()
    services.update_job("job", {"args": [2]}, now=NOW)

    def refuse(version: int) -> None:
        raise RuntimeError(f"it is {version}")

    with pytest.raises(RuntimeError, match="it is 2"):
        services.revert_job("job", 1, now=NOW, check=refuse)
    assert numbers() == [2, 1]


# --- the API ---------------------------------------------------------------------------------------------------------


def test_the_api_lists_versions_with_what_each_changed(api: Api) -> None:
    api.done("POST", "/scheduler/jobs", BODY)
    api.done("PATCH", "/scheduler/jobs/job", {"args": [1]})
    newest, first = api.get("/scheduler/jobs/job/versions")
    assert newest == {
        "version": 2, "at": "2030-01-01T12:00:00Z", "actor": "", "door": "api", "action": "job_updated",
        "reverted_to": None, "changes": {"args": [[], [1]]},
    }  # fmt: skip
    assert (first["version"], first["changes"]) == (1, None)


def test_the_api_shows_a_version_and_how_it_differs_from_another(api: Api) -> None:
    api.done("POST", "/scheduler/jobs", BODY)
    api.done("PATCH", "/scheduler/jobs/job", {"args": [1]})
    api.done("PATCH", "/scheduler/jobs/job", {"args": [2], "name": "two"})
    shown = api.get("/scheduler/jobs/job/versions/3?against=1")
    assert shown["changes"] == {"name": ["echo", "two"], "args": [[], [2]]}
    assert shown["definition"]["args"] == [2]


def test_a_job_that_is_removed_while_it_is_reverted_is_added_only_with_the_permission(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add()
    user = make_user("ann")
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_job", "change_job"]))
    revert = services.revert_job

    def late(*args: Any, **options: Any) -> Job:
        services.remove_job("job", now=after(1))
        return revert(*args, **options)

    monkeypatch.setattr(services, "revert_job", late)
    path, token = "/scheduler/jobs/job/versions/1/revert", make_token(user)
    assert Api().call("POST", path, authorization=token).status_code == 403


def test_the_api_reverts(api: Api) -> None:
    api.done("POST", "/scheduler/jobs", BODY)
    api.done("PATCH", "/scheduler/jobs/job", {"args": [1]})
    path = "/scheduler/jobs/job/versions/1/revert"
    assert api.refused("POST", path, if_match='"1-x"') == (412, "PRECONDITION_FAILED", set())
    assert api.done("POST", path) == {"id": "job", "status": "reverted", "version": 3}
    assert api.get("/scheduler/jobs/job")["args"] == []


@pytest.mark.parametrize("number", ["2", "0", "x", "-1", "1" * 30, "%00"])
def test_a_version_that_is_not_there(api: Api, number: str) -> None:
    api.done("POST", "/scheduler/jobs", BODY)
    for method, path in (("GET", f"versions/{number}"), ("POST", f"versions/{number}/revert")):
        assert api.refused(method, f"/scheduler/jobs/job/{path}") == (404, "VERSION_NOT_FOUND", set())


def test_the_version_of_a_job_that_no_service_has_saved_is_its_definition() -> None:
    make_job(version=4, args=[7])
    assert version_of("job", 4).definition["args"] == [7]
    with pytest.raises(VersionNotFound):
        version_of("job", 3)


def test_the_list_does_not_hold_all_definitions_at_once(api: Api) -> None:
    job, size = make_job(version=30), 200_000
    JobVersion.objects.bulk_create(
        JobVersion(job=job, number=number, at=NOW, door="api", action="job_updated", definition={"args": ["x" * size]})
        for number in range(1, 31)
    )
    tracemalloc.start()
    listed = api.get("/scheduler/jobs/job/versions")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [version["version"] for version in listed] == list(range(30, 0, -1))
    assert peak < 20 * size


def test_versions_of_a_job_that_never_was(api: Api) -> None:
    assert api.refused("GET", "/scheduler/jobs/nope/versions") == (404, "JOB_NOT_FOUND", set())


def test_versions_of_a_removed_job_stay(api: Api) -> None:
    api.done("POST", "/scheduler/jobs", BODY)
    api.done("DELETE", "/scheduler/jobs/job")
    assert len(api.get("/scheduler/jobs/job/versions")) == 1
    path = "/scheduler/jobs/job/versions/1/revert"
    assert api.refused("POST", path, if_match='"1-x"') == (412, "PRECONDITION_FAILED", set())
    assert api.done("POST", path)["version"] == 2


def test_plain_secrets_are_masked_for_those_who_may_not_change_the_job(api: Api, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}
    add(kwargs={"value": {"password": "hunter2"}})
    for role, shown in (("viewer", "***"), ("editor", "hunter2")):
        token = make_token(make_user(role, role))
        version = api.get("/scheduler/jobs/job/versions/1", authorization=token)
        assert version["definition"]["kwargs"] == {"value": {"password": shown}}


# --- the admin -------------------------------------------------------------------------------------------------------


def test_the_page_shows_what_each_version_changed_and_how_two_differ(admin: Admin) -> None:
    add(args=["one"])
    services.update_job("job", {"args": ["two"]}, now=NOW)
    services.update_job("job", {"args": ["three"], "description": "<b>"}, now=NOW)
    shown = text(admin.read(f"{JOBS}job/versions/"))
    assert "What differs between version 2 and version 3" in shown
    assert 'args before: ["two"] after: ["three"]' in shown
    assert "description before:" in shown
    other = text(admin.read(f"{JOBS}job/versions/?from=1&to=3"))
    assert 'args before: ["one"] after: ["three"]' in other
    assert "<b>" not in admin.read(f"{JOBS}job/versions/")


def test_the_page_takes_any_numbers(admin: Admin) -> None:
    add()
    services.update_job("job", {"args": [2]}, now=NOW)
    for query in ("?from=x&to=", "?from=99999999999&to=7", "?from=-1"):
        assert "What differs between version" in text(admin.read(f"{JOBS}job/versions/{query}"))
    assert admin.client.get(f"{JOBS}nope/versions/").status_code == 404


def make_versions(count: int, **definition: Any) -> Job:
    job = make_job(version=count)
    JobVersion.objects.bulk_create(
        JobVersion(
            job=job, number=number, at=NOW, door="api", action="job_updated", definition={"name": number, **definition}
        )
        for number in range(1, count + 1)
    )
    return job


def shown_numbers(page: str) -> list[int]:
    return [int(number) for number in re.findall(r'<th scope="row">(\d+)', page)]


def test_the_page_shows_some_versions_and_links_the_others(admin: Admin) -> None:
    make_versions(60)
    first = admin.read(f"{JOBS}job/versions/?from=3&to=9")
    assert shown_numbers(first) == list(range(60, 35, -1))
    assert "1–25 of 60 versions" in first
    assert "name before: 35 after: 36" in text(first)
    assert "name before: 3 after: 9" in text(first)
    assert 'href="?from=3&amp;to=9&amp;before=36" rel="next"' in first
    second = admin.read(f"{JOBS}job/versions/?before=36")
    assert shown_numbers(second) == list(range(35, 10, -1))
    assert 'href="?before=61" rel="prev"' in second
    last = admin.read(f"{JOBS}job/versions/?before=11")
    assert shown_numbers(last) == list(range(10, 0, -1))
    assert 'rel="next"' not in last


@pytest.mark.parametrize("before", ["x", "", "0", "1", "-1", "9" * 30])
def test_a_strange_page_of_versions_is_the_first(admin: Admin, before: str) -> None:
    make_versions(2)
    assert shown_numbers(admin.read(f"{JOBS}job/versions/?before={before}")) == [2, 1]


def test_the_page_reads_only_the_definitions_that_it_shows(admin: Admin) -> None:
    size = 200_000
    make_versions(100, args=["x" * size])
    tracemalloc.start()
    admin.read(f"{JOBS}job/versions/")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 70 * size


def test_a_conflict_reads_versions_up_to_the_last_change() -> None:
    size = 200_000
    job = make_versions(100, args=["x" * size])
    tracemalloc.start()
    found = changes_since(job, "2.0")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found.opened.name, found.last.number) == (2, 100)
    assert peak < 20 * size


def test_a_conflict_finds_the_last_change_behind_those_that_change_no_definition() -> None:
    job = make_versions(3)
    newest = {"name": 3, "paused": True}
    JobVersion.objects.bulk_create(
        JobVersion(job=job, number=number, at=NOW, door="api", action="job_paused", definition=newest)
        for number in range(4, 20)
    )
    job.version = 19
    assert changes_since(job, "1.0").last.number == 3
    assert changes_since(job, "3.0").last is None
    assert changes_since(job, "nonsense").opened is None


def test_one_version_is_compared_with_nothing(admin: Admin) -> None:
    add()
    shown = text(admin.read(f"{JOBS}job/versions/"))
    assert "All versions" in shown
    assert "What differs" not in shown


def test_the_admin_reverts_once_it_is_confirmed(admin: Admin) -> None:
    add(args=[1])
    services.update_job("job", {"args": [2]}, now=NOW)
    assert "tick the box" in admin.send(f"{JOBS}job/revert/", version="1").content.decode()
    assert Job.objects.get().args == [2]
    admin.send(f"{JOBS}job/revert/", version="1", confirmed="on")
    assert Job.objects.get().args == [1]
    assert versions_of("job")[0].actor == "root"


@pytest.mark.parametrize("number", ["", "one", "9" * 5000])
def test_the_admin_refuses_a_version_that_is_no_number(admin: Admin, number: str) -> None:
    add()
    response = admin.client.post(f"{JOBS}job/revert/", {"version": number, "confirmed": "on"})
    assert response.status_code == 400


def test_a_viewer_sees_versions_with_masked_secrets_and_cannot_revert(at_noon: Any) -> None:
    add(kwargs={"value": {"password": "hunter2"}})
    services.update_job("job", {"kwargs": {"value": {"password": "hunter3"}}}, now=NOW)
    viewer = Admin("view_job")
    page = viewer.read(f"{JOBS}job/versions/")
    assert "hunter" not in page
    assert "Revert" not in page
    assert viewer.client.post(f"{JOBS}job/revert/", {"version": 1, "confirmed": "on"}).status_code == 403


# --- plans -----------------------------------------------------------------------------------------------------------


def test_the_versions_of_a_job_are_read_off_their_index() -> None:
    JobVersion.objects.bulk_create(
        JobVersion(job_id=f"job-{n % 100}", number=n, at=NOW, door="code", action="job_added", definition={})
        for n in range(5000)
    )
    assert_reads(plan(lambda: versions_of("job-7")), "version_once")
