"""Django's permissions hold on every page of the admin, in the handler and not in the page alone."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from jobs.models import Control, Job, Run
from tests.fakes import make_job, make_run, make_scheduler
from tests.integration.admin_support import (  # noqa: F401
    INTERVAL,
    JOBS,
    RUNS,
    SCHEDULERS,
    TOKENS,
    Admin,
    admin_fixture,
    at_noon_fixture,
)

pytestmark = pytest.mark.any_database

VERBS = ("run", "pause", "resume", "skip", "duplicate")
NEEDED = {
    "run": "run_job",
    "pause": "pause_job",
    "resume": "pause_job",
    "skip": "pause_job",
    "duplicate": "add_job",
}
PERMISSIONS = ("view_job", "add_job", "change_job", "delete_job", "run_job", "pause_job")


def state():
    return list(Job.objects.order_by("pk").values()), Run.objects.count()


@pytest.mark.parametrize("path", [f"{JOBS}job/change/", f"{JOBS}job/versions/", f"{JOBS}job/edit/", f"{RUNS}1/change/",
                                  f"{RUNS}timeline/", f"{SCHEDULERS}about/"])  # fmt: skip
def test_a_page_answers_head_as_get(admin, path):
    make_job()
    make_run(id=1)
    assert admin.client.head(path).status_code == 200


@pytest.mark.parametrize("permission", PERMISSIONS)
@pytest.mark.parametrize("verb", VERBS)
def test_an_action_needs_its_permission(at_noon, verb, permission):
    make_job(paused=verb == "resume")
    before = state()
    viewing = ("view_job",) if verb == "duplicate" else ()
    response = Admin(permission, *viewing).client.post(f"{JOBS}job/{verb}/")
    allowed = NEEDED[verb] == permission
    assert response.status_code == (302 if allowed else 403)
    assert (state() != before) == allowed


def test_a_job_that_one_may_not_see_is_not_duplicated(at_noon):
    make_job(kwargs={"password": "secret"})
    response = Admin("add_job").client.post(f"{JOBS}job/duplicate/")
    assert response.status_code == 403
    assert Job.objects.count() == 1


@pytest.mark.parametrize("permission", PERMISSIONS)
@pytest.mark.parametrize("action", [*VERBS, "tag", "delete_selected"])
def test_a_bulk_action_needs_its_permission(at_noon, action, permission):
    make_job(paused=action == "resume")
    before = state()
    data = {"action": action, "_selected_action": "job", "index": 0, "post": "yes", "tag": "new"}
    response = Admin("view_job", permission).client.post(JOBS, data)
    allowed = permission == NEEDED.get(action, "change_job" if action == "tag" else "delete_job")
    assert response.status_code == (302 if allowed else 403)
    assert (state() != before) == allowed


@pytest.mark.parametrize("permission", PERMISSIONS)
@pytest.mark.parametrize(
    ("needed", "path", "data"),
    [
        ("add_job", f"{JOBS}add/", {"id": "new", **INTERVAL}),
        ("change_job", f"{JOBS}job/edit/", {"name": "Renamed", **INTERVAL}),
        ("delete_job", f"{JOBS}job/delete/", {"post": "yes"}),
    ],
)
def test_a_form_needs_its_permission(at_noon, needed, path, data, permission):
    make_job()
    before = state()
    response = Admin(permission).client.post(path, data)
    assert response.status_code == (302 if permission == needed else 403)
    assert (state() != before) == (permission == needed)


@pytest.mark.parametrize(
    ("permission", "path", "status"),
    [
        ("view_job", f"{JOBS}job/preview/", 200),
        ("change_job", f"{JOBS}job/preview/", 200),
        ("add_job", f"{JOBS}job/preview/", 403),
        ("view_job", f"{JOBS}preview/", 403),
        ("add_job", f"{JOBS}preview/", 200),
        ("view_run", f"{JOBS}preview/", 403),
    ],
)
def test_a_preview_needs_the_permission_to_see_or_add(at_noon, permission, path, status):
    make_job()
    assert Admin(permission).client.post(path, INTERVAL).status_code == status


def test_those_who_may_only_look_are_shown_nothing_to_press(at_noon):
    make_job()
    viewer = Admin("view_job")
    for page in (viewer.read(JOBS), viewer.read(f"{JOBS}job/change/")):
        assert not [
            word
            for word in ("Run now", ">Pause<", "/pause/", "Skip next", "Duplicate", "Preview", 'name="_save"', "Delete")
            if word in page
        ]


def test_those_who_may_add_are_shown_the_copy_alone(at_noon):
    make_job()
    page = Admin("view_job", "add_job").read(JOBS)
    assert "Duplicate" in page
    assert "Run now" not in page


@pytest.mark.parametrize("path", [JOBS, f"{JOBS}job/change/", RUNS, f"{RUNS}1/change/", SCHEDULERS, TOKENS])
def test_without_a_permission_there_is_no_page(at_noon, path):
    make_job()
    make_run(id=1)
    make_scheduler()
    assert Admin().client.get(path).status_code == 403


@pytest.mark.parametrize("path", [JOBS, f"{JOBS}job/run/", f"{JOBS}preview/", RUNS, SCHEDULERS, TOKENS])
def test_people_who_are_not_logged_in_are_asked_to_log_in(at_noon, path):
    make_job()
    User.objects.create_user("bob")
    outsider, insider = Client(), Client()
    insider.force_login(User.objects.get(username="bob"))
    for client in (outsider, insider):
        assert client.post(path)["Location"].startswith("/admin/login/")
    assert not Run.objects.exists()


@pytest.mark.parametrize("path", [f"{RUNS}add/", f"{RUNS}1/delete/", f"{SCHEDULERS}add/", f"{SCHEDULERS}s1/delete/"])
def test_nobody_adds_or_deletes_a_run_or_a_scheduler(admin, path):
    make_run(id=1)
    make_scheduler()
    assert admin.client.get(path).status_code == 403
    assert admin.client.post(path, {"post": "yes"}).status_code == 403


RUN_PERMISSIONS = ("view_run", "cancel_run", "retry_run", "change_job")


@pytest.mark.parametrize("permission", RUN_PERMISSIONS)
@pytest.mark.parametrize(("verb", "status"), [("cancel", "queued"), ("retry", "failed")])
@pytest.mark.parametrize("bulk", [False, True])
def test_cancel_and_retry_need_their_permissions(at_noon, verb, status, permission, bulk):
    make_run(id=1, status=status)
    before = list(Run.objects.values())
    staff = Admin("view_run", permission)
    data = {"action": verb, "_selected_action": "1", "index": 0, "post": "yes"} if bulk else {}
    response = staff.client.post(RUNS if bulk else f"{RUNS}1/{verb}/", data)
    allowed = permission == f"{verb}_run"
    assert response.status_code == (302 if allowed else 403)
    assert (list(Run.objects.values()) != before) == allowed


def test_those_who_may_only_look_at_runs_are_shown_nothing_to_press(at_noon):
    make_run(id=1, status="failed")
    viewer = Admin("view_run")
    for page in (viewer.read(RUNS), viewer.read(f"{RUNS}1/change/")):
        assert not [word for word in ("Retry", ">Cancel<", "/cancel/", "action-select") if word in page]


@pytest.mark.parametrize(
    ("permission", "allowed"),
    [("pause_all", True), ("view_scheduler", False), ("pause_job", False)],
)
@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_pausing_everything_needs_its_permission(at_noon, verb, permission, allowed):
    staff = Admin(permission)
    response = staff.client.post(f"{SCHEDULERS}all/{verb}/", {"reason": "why"})
    assert response.status_code == (302 if allowed else 403)
    assert Control.objects.exists() == allowed
    if permission != "pause_job":
        assert ("Pause all" in staff.read(SCHEDULERS)) == (allowed and verb == "resume")


@pytest.mark.parametrize("permission", PERMISSIONS)
def test_a_pause_until_an_instant_needs_its_permission(at_noon, permission):
    make_job()
    before = state()
    staff = Admin(permission, "view_job")
    response = staff.client.post(f"{JOBS}job/pause-until/", {"until": "2031-01-01T00:00"})
    assert response.status_code == (302 if permission == "pause_job" else 403)
    assert (state() != before) == (permission == "pause_job")
    assert ("Pause until" in staff.read(f"{JOBS}job/change/")) == (permission == "pause_job")


@pytest.mark.parametrize("path", [f"{RUNS}1/change/", f"{SCHEDULERS}s1/change/", f"{JOBS}job/change/"])
def test_a_page_for_reading_takes_no_post(admin, path):
    make_job()
    make_run(id=1)
    make_scheduler()
    assert 'name="_save"' not in admin.read(path)
    assert admin.client.post(path, {"status": "failed"}).status_code == 405
