"""The pages of errors: what is missing is named, and what to do."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore
from django.db import OperationalError, ProgrammingError, connection, transaction
from django.templatetags.static import static
from django.test import Client

from cronzimus_site.wsgi import application
from jobs.admin import row_action_views
from jobs.admin.overview import views
from tests.fakes import make_job, make_run, make_scheduler

from .admin_support import JOBS, RUNS, SCHEDULERS, Admin, admin_fixture, at_noon_fixture, text  # noqa: F401

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]


def viewer() -> Admin:
    somebody = Admin(name="vic")
    somebody.user.groups.add(Group.objects.get(name="Cronzimus viewer"))
    return somebody


def refused(response: Any) -> str:
    assert response.status_code == 403
    return text(response.content.decode())


@pytest.mark.parametrize(
    ("method", "path", "role", "permission"),
    [
        ("post", f"{JOBS}job/run/", "operator", "run_job"),
        ("post", f"{JOBS}job/pause/", "operator", "pause_job"),
        ("post", f"{RUNS}1/retry/", "operator", "retry_run"),
        ("get", f"{JOBS}job/edit/", "editor", "change_job"),
        ("get", f"{JOBS}add/", "editor", "add_job"),
        ("get", f"{JOBS}job/delete/", "editor", "delete_job"),
        ("post", f"{SCHEDULERS}all/pause/", "admin", "pause_all"),
        ("post", f"{SCHEDULERS}s1/drain/", "admin", "pause_all"),
        ("get", "/admin/cronzimus/token/", "admin", "view_token"),
        ("get", "/admin/cronzimus/channel/add/", "admin", "add_channel"),
        ("post", "/admin/cronzimus/incident/1/acknowledge/", "operator", "change_incident"),
    ],
)
def test_a_refusal_names_the_role_that_is_missing(
    at_noon: Any, method: str, path: str, role: str, permission: str
) -> None:
    make_job()
    make_run(id=1, status="failed")
    make_scheduler()
    page = refused(getattr(viewer().client, method)(path))
    assert f"It takes the role {role} , or a higher one. You have: viewer." in page
    assert f"The permission is {permission} ." in page


def test_a_refusal_of_another_apps_page_names_no_role(at_noon: Any) -> None:
    page = refused(viewer().client.get("/admin/auth/user/"))
    assert "Your account has no permission for this page." in page
    assert "It takes the role" not in page


def test_a_page_that_is_not_there_says_so(admin: Admin) -> None:
    response = admin.client.get("/admin/cronzimus/nothing/")
    assert response.status_code == 404
    assert "There is nothing here" in text(response.content.decode())


def test_outside_of_the_admin_nobody_learns_anything(db: None) -> None:
    response = Client().get("/nothing")
    assert response.status_code == 404
    assert "Overview" in text(response.content.decode())
    assert "shell-navigation" not in response.content.decode()


def test_a_failure_names_the_request_for_the_log(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "day", lambda times: 1 / 0)
    admin.client.raise_request_exception = False
    response = admin.client.get("/admin/", headers={"X-Request-ID": "abc-1"})
    assert response.status_code == 500
    assert "This request is abc-1 there." in text(response.content.decode())


@pytest.mark.usefixtures("postgresql_only")
def test_a_character_that_the_database_lacks_is_a_malformed_request(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def day(times: Any) -> None:
        # The error of a database with this encoding.
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT convert_to('€', 'LATIN1')")

    monkeypatch.setattr(views, "day", day)
    response = admin.client.get("/admin/")
    assert response.status_code == 400
    assert "This request is malformed" in text(response.content.decode())


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OperationalError("database is locked"), "The database is busy or away It did not answer in time."),
        (OperationalError("attempt to write a readonly database"), "The database takes no writes now"),
        (OperationalError("database or disk is full"), "The disk of the database is full"),
        (ProgrammingError("no such table: x"), "run 'manage.py migrate'"),
    ],
)
@pytest.mark.parametrize(("method", "hint"), [("get", "Try again"), ("post", "Go back, look at what has been done")])
def test_a_database_that_does_not_work_now_is_told(
    admin: Admin, monkeypatch: pytest.MonkeyPatch, caplog: Any, method: str, hint: str, error: Exception, says: str
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise error

    make_job()
    monkeypatch.setattr(views, "day", fail)
    monkeypatch.setattr(row_action_views, "perform", fail)
    admin.client.raise_request_exception = False
    response = getattr(admin.client, method)("/admin/" if method == "get" else f"{JOBS}job/pause/")
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    page = text(response.content.decode())
    assert says in page
    assert hint in page
    (line,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert (line.getMessage().endswith(f"failed: {error}"), line.exc_info) == (True, None)


def test_a_session_that_cannot_be_read_is_told(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> None:
        raise OperationalError("database is locked")

    somebody = Admin(superuser=True)
    monkeypatch.setattr(SessionStore, "load", fail)
    somebody.client.raise_request_exception = False
    assert somebody.client.get("/admin/").status_code == 503


@pytest.fixture
def no_static_files(settings: Any, tmp_path: Path) -> None:
    """No file was collected, as before `collectstatic`."""
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = settings.STORAGES | {"staticfiles": {"BACKEND": "cronzimus_site.static_files.StaticFiles"}}


def test_a_page_works_without_its_static_files(admin: Admin, no_static_files: None, caplog: Any) -> None:
    assert 'href="/static/cronzimus/pages.css"' in admin.read(JOBS)
    assert "the static file cronzimus/pages.css is missing: run manage.py collectstatic" in caplog.messages


def test_a_name_that_is_no_file_of_the_site_is_not_named_in_the_log(no_static_files: None, caplog: Any) -> None:
    # WhiteNoise asks so at its start, to find out which names have a hash.
    assert static("cronzimus/pages.gz") == "/static/cronzimus/pages.gz"
    assert not caplog.messages


def test_a_failure_of_the_page_itself_is_a_line_of_text(admin: Admin, settings: Any) -> None:
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"}
    }
    admin.client.raise_request_exception = False
    response = admin.client.get(JOBS, headers={"X-Request-ID": "abc-1"})
    assert (response.status_code, response["Content-Type"]) == (500, "text/plain; charset=utf-8")
    assert response.content == b"Something went wrong here; the log has it under the request abc-1.\n"


@pytest.mark.parametrize(
    ("path", "host", "status", "line"),
    [
        ("/nothing", "testserver", 404, "There is nothing here"),
        ("/static/../manage.py", "testserver", 404, "There is nothing here"),
        ("/nothing", "evil.example", 400, "This request is malformed"),
        ("/admin/cronzimus/job/?q=a%00", "testserver", 400, "This request is malformed"),
    ],
)
def test_a_refusal_keeps_its_status_without_static_files(
    admin: Admin, no_static_files: None, path: str, host: str, status: int, line: str
) -> None:
    response = admin.client.get(path, HTTP_HOST=host)
    assert response.status_code == status
    assert line in text(response.content.decode())


def test_a_forged_form_is_told(at_noon: Any) -> None:
    make_job()
    somebody = Admin("run_job", csrf=True)
    assert "This page was out of date" in refused(somebody.client.post(f"{JOBS}job/run/"))


def test_a_malformed_request_is_told(admin: Admin) -> None:
    response = admin.client.get(f"{JOBS}?q=a%00")
    assert response.status_code == 400
    assert "This request is malformed" in text(response.content.decode())


def test_who_is_no_staff_is_told_without_the_shell(at_noon: Any) -> None:
    User.objects.create_user("bob")
    client = Client()
    client.force_login(User.objects.get(username="bob"))
    assert client.get("/nothing").status_code == 404


@pytest.mark.parametrize("path", ["/admin/cronzimus/nothing/", f"{JOBS}?q=a%00"])
def test_pages_of_errors_have_the_policy_and_nothing_inline(admin: Admin, path: str) -> None:
    response = admin.client.get(path)
    assert "default-src 'self'" in response["Content-Security-Policy"]
    assert "<style" not in response.content.decode()


def test_the_answer_to_head_has_no_body(db: None) -> None:
    environ: dict[str, Any] = {"REQUEST_METHOD": "HEAD", "PATH_INFO": "/api/health/live"}
    setup_testing_defaults(environ)
    answers: list[str] = []
    assert list(application(environ, lambda status, headers: answers.append(status))) == []
    assert answers == ["200 OK"]
