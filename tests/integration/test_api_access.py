"""Who may do what: every address and method of the API, for every role and every scope of a token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command

from jobs import urls
from jobs.core.roles import GAINED, ROLES, Scope, permissions_of
from jobs.models import Backfill, Control, Job, Run, Scheduler
from jobs.services.roles import make_roles
from tests.fakes import NOW, after, make_job, make_run, make_scheduler, make_token, make_user

from .api_client import Api

pytestmark = pytest.mark.any_database

DOCS = Path(__file__).parents[2] / "docs/security.md"
JOB = {"id": "new", "func": "tests:echo", "trigger": "interval", "seconds": 5}

ROUTES: list[tuple[str, str, str, Any]] = [
    ("GET", "/api/health", "", None),
    ("GET", "/api/health/live", "", None),
    ("GET", "/api/health/ready", "", None),
    ("GET", "/scheduler", "view_scheduler", None),
    ("POST", "/scheduler/pause", "pause_all", {}),
    ("POST", "/scheduler/resume", "pause_all", {}),
    ("GET", "/scheduler/jobs", "view_job", None),
    ("POST", "/scheduler/jobs", "add_job", JOB),
    ("POST", "/scheduler/jobs/bulk", "pause_job", {"action": "pause", "ids": ["job"]}),
    ("GET", "/scheduler/jobs/{id}", "view_job", None),
    ("PUT", "/scheduler/jobs/{id}", "change_job", {"name": "new"}),
    ("PATCH", "/scheduler/jobs/{id}", "change_job", {"name": "new"}),
    ("DELETE", "/scheduler/jobs/{id}", "delete_job", None),
    ("POST", "/scheduler/jobs/{id}/pause", "pause_job", {}),
    ("POST", "/scheduler/jobs/{id}/resume", "pause_job", {}),
    ("POST", "/scheduler/jobs/{id}/skip", "pause_job", {}),
    ("POST", "/scheduler/jobs/{id}/run", "run_job", {}),
    ("GET", "/scheduler/jobs/{id}/runs", "view_run", None),
    ("GET", "/scheduler/jobs/{id}/versions", "view_job", None),
    ("GET", "/scheduler/jobs/{id}/versions/{number}", "view_job", None),
    ("POST", "/scheduler/jobs/{id}/versions/{number}/revert", "change_job", {}),
    ("GET", "/scheduler/jobs/{id}/backfill", "view_run", None),
    ("POST", "/scheduler/jobs/{id}/backfill", "run_job", {"from": "2026-01-01", "to": "2026-01-02", "dry_run": True}),
    ("GET", "/scheduler/backfills/{backfill_id}", "view_run", None),
    ("POST", "/scheduler/backfills/{backfill_id}/cancel", "cancel_run", {}),
    ("GET", "/scheduler/runs", "view_run", None),
    ("GET", "/scheduler/runs/{run_id}", "view_run", None),
    ("GET", "/scheduler/runs/{run_id}/log", "view_run", None),
    ("POST", "/scheduler/runs/{run_id}/cancel", "cancel_run", {}),
    ("POST", "/scheduler/runs/{run_id}/retry", "retry_run", {}),
    ("GET", "/scheduler/audit", "view_auditevent", None),
    ("POST", "/scheduler/preview", "view_job", {"trigger": "interval", "seconds": 5}),
    ("GET", "/scheduler/functions", "view_job", None),
    ("GET", "/metrics", "view_scheduler", None),
    ("GET", "/api/schema", "view_job", None),
    ("GET", "/api/docs", "view_job", None),
]
"""Each method of each address, the permission that it needs ("": none), and a body with which it succeeds."""
ROLE_NAMES = [name.removeprefix("Cronzimus ") for name in ROLES]
LEVELS = dict(zip(ROLE_NAMES, Scope, strict=True))
NAMES = [f"{method} {path}" for method, path, _, _ in ROUTES]
every_route = pytest.mark.parametrize(("method", "path", "permission", "body"), ROUTES, ids=NAMES)


@pytest.fixture(autouse=True)
def closed(api: Api, settings: Any) -> None:
    """The API asks for credentials."""
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}


def ask(api: Api, method: str, path: str, body: Any, token: str | None) -> int:
    """Send a request about an existing job and run, and return the status of its answer."""
    Job.objects.all().delete()
    Run.objects.all().delete()
    Scheduler.objects.all().delete()
    make_scheduler()
    make_job(tags=["mine"])
    run = make_run(status="queued" if path.endswith("cancel") else "failed")
    backfill = Backfill.objects.create(job_id="job", start=NOW, end=NOW, created_at=NOW)
    headers = {"authorization": token} if token else {}
    response = api.call(
        method, path.format(id="job", run_id=run.id, backfill_id=backfill.pk, number=1), body, **headers
    )
    if response.status_code == 403:
        assert response.json()["code"] == "PERMISSION_DENIED"
        assert response.json()["error"]
    return int(response.status_code)


def expected(permission: str, has: bool) -> int:
    """Return the status with the permission, or without it."""
    return 200 if has or not permission else 403


def addresses() -> Iterator[str]:
    """Yield each method and address of the URLconf."""
    for pattern in urls.urlpatterns:
        if pattern.name is None:  # what catches the rest: an unknown job, run or address
            continue
        view: Any = pattern.callback
        methods = getattr(view, "actions", None) or {
            name for name in view.cls.http_method_names if hasattr(view.cls, name)
        }
        address = "/" + str(pattern.pattern).replace("<str:job_id>", "{id}").replace("<str:run_id>", "{run_id}")
        address = address.replace("<str:backfill_id>", "{backfill_id}").replace("<str:number>", "{number}")
        if "job_id" in pattern.default_args:  # the other methods are about a job of that name
            methods = ["post"]
        yield from (f"{method.upper()} {address}" for method in methods if method != "head")


def test_the_table_has_every_address_and_method() -> None:
    assert sorted(NAMES) == sorted(addresses())


@every_route
def test_nobody_gets_in_without_credentials(api: Api, method: str, path: str, permission: str, body: Any) -> None:
    assert ask(api, method, path, body, None) == (401 if permission else 200)


@every_route
def test_a_user_without_a_role_may_do_nothing(api: Api, method: str, path: str, permission: str, body: Any) -> None:
    for user in (make_user("ann"), make_user("bob", is_staff=True)):
        assert ask(api, method, path, body, make_token(user)) == expected(permission, False)


@every_route
def test_a_role_may_do_what_its_permissions_say(api: Api, method: str, path: str, permission: str, body: Any) -> None:
    for role, level in LEVELS.items():
        token = make_token(make_user(role, role))
        assert ask(api, method, path, body, token) == expected(permission, permission in permissions_of(level)), role


@every_route
def test_a_token_may_do_what_its_scope_says(api: Api, method: str, path: str, permission: str, body: Any) -> None:
    user = make_user(role="admin")
    for scope in Scope:
        token = make_token(user, scopes=[scope])
        assert ask(api, method, path, body, token) == expected(permission, permission in permissions_of(scope)), scope


@every_route
def test_a_scope_gives_nothing_that_the_user_may_not_do(
    api: Api, method: str, path: str, permission: str, body: Any
) -> None:
    token = make_token(make_user(role="viewer"), scopes=list(Scope))
    assert ask(api, method, path, body, token) == expected(permission, permission in GAINED[Scope.READ])


@every_route
def test_permissions_count_where_they_count_in_the_admin(
    api: Api, method: str, path: str, permission: str, body: Any
) -> None:
    ann, bob = make_user("ann"), make_user("bob", is_staff=True)
    for user in (ann, bob):
        user.user_permissions.set(Permission.objects.filter(content_type__app_label="cronzimus", codename=permission))
    assert ask(api, method, path, body, make_token(ann)) == expected(permission, False)
    assert ask(api, method, path, body, make_token(bob)) == expected(permission, True)


@every_route
def test_a_superuser_may_do_everything(api: Api, method: str, path: str, permission: str, body: Any) -> None:
    root = make_user("root", is_staff=True, is_superuser=True)
    assert ask(api, method, path, body, make_token(root)) == 200


@every_route
def test_a_token_with_tags_reaches_the_jobs_that_have_one(
    api: Api, method: str, path: str, permission: str, body: Any
) -> None:
    mine, other = make_token(tags=["mine", "more"]), make_token(make_user("bob", "admin"), tags=["other"])
    is_about_all = permission == "pause_all" or path == "/metrics"
    adds = path == "/scheduler/jobs" and method == "POST"
    assert ask(api, method, path, body, mine) == (403 if is_about_all or adds else 200)
    status = ask(api, method, path, body, other)
    if is_about_all or adds:
        assert status == 403
    else:
        assert status == (404 if "{" in path else 200)


def test_lists_leave_out_what_a_token_does_not_reach(api: Api) -> None:
    make_job("a", tags=["x", "mine"])
    make_job("b", tags=["other"])
    make_job("c")
    for job_id in ("a", "b", "gone"):
        make_run(job_id)
    token = make_token(tags=["mine"])
    for query in ("", "?limit=10", "?state=pending", "?tag=x", "?q=a"):
        assert [job["id"] for job in api.get(f"/scheduler/jobs{query}", authorization=token)] == ["a"]
    runs = api.get("/scheduler/runs", authorization=token)["results"]
    assert [run["job_id"] for run in runs] == ["a"]
    assert api.call("GET", "/scheduler/jobs/gone/runs", authorization=token).status_code == 404


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_backfill_that_a_token_does_not_reach_does_not_name_its_job(api: Api, method: str) -> None:
    make_job("other")
    backfill = Backfill.objects.create(job_id="other", start=NOW, end=NOW, created_at=NOW)
    path = f"/scheduler/backfills/{backfill.pk}{'/cancel' if method == 'POST' else ''}"
    response = api.call(method, path, authorization=make_token(tags=["mine"]))
    assert (response.status_code, response.json()["code"]) == (404, "BACKFILL_NOT_FOUND")
    assert "other" not in response.json()["error"]


def test_a_preview_says_nothing_about_a_job_that_the_token_does_not_reach(api: Api) -> None:
    make_job("slow")
    for number in range(5):
        make_run("slow", status="succeeded", scheduled_time=after(number), started_at=NOW, finished_at=after(3600))
    body = {"id": "slow", "trigger": "interval", "minutes": 30}
    tokens = (make_token(), make_token(make_user("bob", "admin"), tags=["mine"]))
    answers = [api.call("POST", "/scheduler/preview", body, authorization=token).json() for token in tokens]
    assert [[one["code"] for one in answer["warnings"]] for answer in answers] == [["overlap"], []]


def test_a_token_with_tags_makes_and_leaves_jobs_that_it_reaches(api: Api) -> None:
    token = make_token(tags=["mine"])
    assert api.call("POST", "/scheduler/jobs", JOB | {"tags": ["mine", "x"]}, authorization=token).status_code == 200
    for tags in ([], ["x"]):
        response = api.call("PATCH", "/scheduler/jobs/new", {"tags": tags}, authorization=token)
        assert (response.status_code, response.json()["code"]) == (403, "PERMISSION_DENIED")
    assert api.call("PATCH", "/scheduler/jobs/new", {"tags": "x"}, authorization=token).status_code == 400
    assert api.call("PATCH", "/scheduler/jobs/new", {"tags": ["mine"]}, authorization=token).status_code == 200


@pytest.mark.parametrize("tags", ["x", {"mine": 1}, [1], [["mine"]], "mine", None])
def test_damaged_tags_are_reached_by_no_token_with_tags(api: Api, tags: Any) -> None:
    make_job(tags=tags if tags is not None else [])
    assert api.get("/scheduler/jobs", authorization=make_token(tags=["mine", "1"])) == []


def test_the_figures_of_readiness_are_for_those_who_may_see_the_schedulers(api: Api) -> None:
    make_scheduler(lease_until=after(-1))
    for token in (None, "Token wrong", make_token(make_user("bob"))):
        response = api.call("GET", "/api/health/ready", **({"authorization": token} if token else {}))
        assert response.status_code == 503
        assert response.json().keys() == {"error", "code"}
    viewer = make_token(make_user("vera", "viewer"))
    assert "heartbeat_age" in api.call("GET", "/api/health/ready", authorization=viewer).json()


@pytest.mark.parametrize("path", ["/scheduler/jobs/job/nope", "/scheduler/runs/1/nope", "/scheduler/jobs/a/b"])
def test_unknown_addresses_below_jobs_and_runs_tell_nothing(api: Api, path: str) -> None:
    assert api.call("GET", path).status_code == 401
    assert api.call("GET", path, authorization=make_token(make_user("bob"))).status_code == 403


def test_a_refusal_says_what_is_missing(api: Api) -> None:
    def error(token: str) -> str:
        return str(api.call("DELETE", "/scheduler/jobs/job", authorization=token).json()["error"])

    assert "the permission cronzimus.delete_job, which the user vera" in error(make_token(make_user("vera", "viewer")))
    assert "the scope write" in error(make_token(make_user("eve", "editor"), scopes=["run"]))


# --- roles -----------------------------------------------------------------------------------------------------------


def test_the_roles_are_made_once(db: None) -> None:
    Group.objects.get(name="Cronzimus viewer").permissions.clear()
    Group.objects.get(name="Cronzimus editor").delete()
    call_command("migrate", verbosity=0)
    made = {group.name: group.permissions.count() for group in Group.objects.all()}
    assert made == {
        "Cronzimus viewer": 0,  # somebody has changed it
        "Cronzimus operator": len(permissions_of(Scope.RUN)),
        "Cronzimus editor": len(permissions_of(Scope.WRITE)),
        "Cronzimus admin": len(permissions_of(Scope.ADMIN)),
    }


def test_no_roles_are_made_before_the_tables(db: None) -> None:
    class NoApps:
        def get_model(self, *names: str) -> None:
            raise LookupError

    Group.objects.all().delete()
    config = Job._meta.app_config
    make_roles(config, apps=NoApps())
    make_roles(config, using="other")
    assert not Group.objects.exists()


def test_every_permission_that_is_asked_for_exists(db: None) -> None:
    names = {name for names in GAINED.values() for name in names}
    found = Permission.objects.filter(content_type__app_label="cronzimus").values_list("codename", flat=True)
    assert names <= set(found)
    assert Control._meta.default_permissions == ()


# --- the documentation -----------------------------------------------------------------------------------------------


def table() -> str:
    """Return the table of docs/security.md: who may do what."""
    rows = ["| request | permission | scope | roles |", "|---|---|---|---|"]
    for method, path, permission, _ in ROUTES:
        if not permission:
            rows.append(f"| `{method} {path}` | – | – | everybody |")
            continue
        scope = next(scope for scope in Scope if permission in permissions_of(scope))
        roles = ", ".join(role for role, level in LEVELS.items() if permission in permissions_of(level))
        rows.append(f"| `{method} {path}` | `{permission}` | `{scope}` | {roles} |")
    return "\n".join(rows)


def test_the_documentation_has_this_table() -> None:
    assert table() in DOCS.read_text()
