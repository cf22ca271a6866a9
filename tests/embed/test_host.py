"""Cronzimus in somebody else's project: jobs are made, run, paused and deleted, and the project stays as it was."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.waiting import until

from .shop import EMAIL, Answer, Client, Shop, form_of

pytestmark = pytest.mark.timeout(600)  # the first test of a shop sets it up, even on a busy machine

JOBS = "/ops/scheduler/jobs"
COUNT = {"func": "jobs.job_functions:count_customers", "trigger": "interval", "hours": 9}


@pytest.fixture(scope="module")
def client(shop: Shop) -> Client:
    """A client with a token of the operator."""
    secret = shop.manage("createtoken", EMAIL, "--name=tests").split()[-1]
    return Client(shop, secret)


@pytest.fixture(scope="module")
def admin(shop: Shop) -> Client:
    """A client that is logged in to the admin."""
    made = Client(shop)
    made.log_in()
    return made


def ended_run(client: Client, job_id: str, number: int = 1) -> Any:
    """Return the newest run of a job, once it has `number` runs and this one has ended."""

    def look() -> Any:
        runs = client.ask("GET", f"{JOBS}/{job_id}/runs").json()["results"]
        return runs[0] if len(runs) == number and runs[0]["status"] not in ("queued", "running") else None

    return until(look)


def ok(answer: Answer) -> Any:
    """Return the JSON of an answer that is a success."""
    assert answer.status == 200, answer.text
    return answer.json()


# --- the API ---------------------------------------------------------------------------------------------------------


def test_nobody_uses_the_api_without_a_token(shop: Shop, admin: Client) -> None:
    for anybody in (Client(shop), Client(shop, "nonsense")):
        answer = anybody.ask("POST", JOBS, {"id": "intruder", **COUNT})
        assert (answer.status, answer.json()["code"]) == (401, "UNAUTHORIZED")
    forged = admin.ask("POST", JOBS, {"id": "intruder", **COUNT})
    assert (forged.status, forged.json()["code"]) == (403, "PERMISSION_DENIED")


def test_a_customer_may_do_nothing_with_a_token(shop: Shop) -> None:
    make = "from accounts.models import Customer; Customer.objects.create_user('customer@example.com', 'x')"
    shop.manage("shell", "-c", make)
    secret = shop.manage("createtoken", "customer@example.com").split()[-1]
    answer = Client(shop, secret).ask("POST", JOBS, {"id": "intruder", **COUNT})
    assert (answer.status, answer.json()["code"]) == (403, "PERMISSION_DENIED")


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_a_job_is_added_runs_is_paused_and_is_deleted(client: Client, executor: str) -> None:
    job_id = f"count-{executor}"
    body = {"id": job_id, "executor": executor, "args": [1], **COUNT}
    assert ok(client.ask("POST", JOBS, body)) == {"id": job_id, "status": "added"}
    ok(client.ask("POST", f"{JOBS}/{job_id}/run"))
    run = ended_run(client, job_id)
    assert run["status"] == "succeeded", run
    assert run["result"]["customers"] >= 1
    log = ok(client.ask("GET", f"/ops/scheduler/runs/{run['id']}/log"))["output"]
    assert "counted 1" in log or "counted 2" in log
    assert "counted by the logger" in log
    ok(client.ask("POST", f"{JOBS}/{job_id}/pause"))
    assert ok(client.ask("GET", f"{JOBS}/{job_id}"))["state"] == "paused"
    ok(client.ask("DELETE", f"{JOBS}/{job_id}"))
    assert client.ask("GET", f"{JOBS}/{job_id}").json()["code"] == "JOB_NOT_FOUND"


def test_the_names_and_the_lists_are_those_of_the_contract(client: Client) -> None:
    for number in range(3):
        ok(client.ask("POST", JOBS, {"id": f"listed-{number}", **COUNT}))
    jobs = ok(client.ask("GET", JOBS))
    assert [job["id"] for job in jobs if job["id"].startswith("listed-")] == [f"listed-{number}" for number in range(3)]
    assert {"next_run_time", "trigger", "state"} <= jobs[0].keys()
    assert jobs[0]["trigger"] == "interval[9:00:00]"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", f"{JOBS}/unknown", 404, "JOB_NOT_FOUND"),
        ("GET", "/ops/scheduler/nonsense", 404, "NOT_FOUND"),
        ("PUT", JOBS, 405, "METHOD_NOT_ALLOWED"),
        ("POST", JOBS, 400, "INVALID_REQUEST"),
    ],
)
def test_errors_are_those_of_the_contract(client: Client, method: str, path: str, status: int, code: str) -> None:
    answer = client.ask(method, path)
    assert (answer.status, answer.json()["code"]) == (status, code), answer.text


def test_many_clients_at_once_are_all_answered(client: Client) -> None:
    def add(number: int) -> int:
        answer = client.ask("POST", JOBS, {"id": f"crowd-{number}", **COUNT, "hours": None, "seconds": 1})
        answer = answer if answer.status == 200 else client.ask("POST", JOBS, {"id": f"crowd-{number}", **COUNT})
        return answer.status

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(add, range(64))) == {200}
    for number in range(64):
        ok(client.ask("DELETE", f"{JOBS}/crowd-{number}"))


def test_functions_that_hold_connections_do_not_keep_the_scheduler_from_its_heartbeats(client: Client) -> None:
    for number in range(8):
        body = {
            "id": f"hold-{number}",
            "func": "jobs.job_functions:hold_a_connection",
            "trigger": "interval",
            "hours": 9,
        }
        ok(client.ask("POST", JOBS, body))
        ok(client.ask("POST", f"{JOBS}/hold-{number}/run"))
    ends = [ended_run(client, f"hold-{number}")["status"] for number in range(8)]
    assert ends == ["succeeded"] * 8
    ready = client.ask("GET", "/ops/api/health/ready").json()
    assert ready["schedulers"] == 1


# --- the project -----------------------------------------------------------------------------------------------------


def test_no_check_complains(shop: Shop) -> None:
    assert "no issues" in shop.manage("check", "--fail-level=WARNING")


def test_the_projects_own_api_is_as_it_was(shop: Shop, admin: Client) -> None:
    assert admin.ask("GET", "/api/prices").json() == {"netPrice": 1}
    refused = Client(shop).ask("GET", "/api/prices")
    assert "shopError" in refused.json()
    unknown = admin.ask("GET", "/api/unknown")
    assert unknown.status == 404
    assert "json" not in unknown.headers["Content-Type"]


def test_the_projects_own_admin_is_as_it_was(admin: Client) -> None:
    page = admin.ask("GET", "/admin/").text
    assert "Django-Verwaltung" in page
    assert "/admin/django_apscheduler/djangojob/" in page
    assert "/admin/jobs/job/" in page
    assert "/admin/cronzimus/job/" in page


def test_the_pages_that_are_no_lists_are_linked_and_open(admin: Client) -> None:
    found = re.findall(r'<li><a href="(/admin/cronzimus/[^"]+)"', admin.ask("GET", "/admin/cronzimus/").text)
    assert {"/admin/cronzimus/job/overview/", "/admin/cronzimus/run/timeline/"} <= set(found)
    assert {url: admin.ask("GET", url).status for url in found} == dict.fromkeys(found, 200)


def test_the_scheduler_says_on_the_console_what_it_does(shop: Shop, client: Client) -> None:
    ok(client.ask("POST", JOBS, {"id": "told", **COUNT}))
    ok(client.ask("POST", f"{JOBS}/told/run"))
    run = ended_run(client, "told")
    log = shop.log("runscheduler")
    assert re.search(r"INFO cronzimus\.runscheduler: Cronzimus \S+ scheduler, pid \d+", log)
    assert until(lambda: f"told run {run['id']} succeeded" in shop.log("runscheduler"))
    assert "Traceback" not in log


# --- the admin -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("site", ["/admin/", "/backoffice/"])
def test_a_job_is_added_paused_and_deleted_in_the_admin(shop: Shop, client: Client, site: str) -> None:
    admin = Client(shop)
    admin.log_in(site)
    pages, job_id = f"{site}cronzimus/job/", f"from-{site.strip('/')}"
    form = form_of(admin.ask("GET", f"{pages}add/").text)
    form |= {"id": job_id, "func": COUNT["func"], "trigger": "interval", "hours": "9"}
    added = admin.submit(f"{pages}add/", **form)
    assert added.url.endswith(f"{pages}{job_id}/change/"), added.text
    assert ok(client.ask("GET", f"{JOBS}/{job_id}"))["trigger"]["hours"] == 9
    assert job_id in added.text
    pause = re.search(rf'"([^"]*{job_id}/pause/)"', admin.ask("GET", f"{pages}{job_id}/change/").text)
    assert pause is not None
    assert admin.submit(pause[1]).status == 200
    assert ok(client.ask("GET", f"{JOBS}/{job_id}"))["state"] == "paused"
    admin.submit(f"{pages}{job_id}/delete/", post="yes")
    assert client.ask("GET", f"{JOBS}/{job_id}").status == 404


def test_numbers_of_runs_have_no_thousand_separators(shop: Shop, admin: Client) -> None:
    make = (
        "from cronzimus.models import Run; from django.utils.timezone import now; "
        "Run.objects.create(id=1234567, job_id='old', func='f', status='succeeded', trigger='manual', "
        "scheduled_time=now(), finished_at=now())"
    )
    shop.manage("shell", "-c", make)
    page = admin.ask("GET", "/admin/cronzimus/run/").text
    assert "/run/1234567/" in page
    assert "1.234.567" not in page
    assert "1.234.567" not in admin.ask("GET", "/admin/cronzimus/run/1234567/change/").text


def test_damaged_rows_of_ours_do_not_keep_lists_from_answering(shop: Shop, client: Client, admin: Client) -> None:
    if "SHOP_POSTGRESQL" in shop.environment:
        pytest.skip("about SQLite, which keeps any value in any column")
    ok(client.ask("POST", JOBS, {"id": "damaged", **COUNT}))
    damage = (
        'from django.db import connection; connection.cursor().execute("UPDATE cronzimus_job SET '
        "created_at = '2030-02-31 12:00:00', max_instances = 'many', name = CAST(x'636166e9' AS text) "
        "WHERE id = 'damaged'\")"
    )
    shop.manage("shell", "-c", damage)
    assert "damaged" in {job["id"] for job in ok(client.ask("GET", JOBS))}
    assert client.ask("GET", f"{JOBS}/damaged").status == 200
    assert admin.ask("GET", "/admin/cronzimus/job/").status == 200
    ok(client.ask("DELETE", f"{JOBS}/damaged"))


def test_links_stay_below_the_prefix_of_the_script(shop: Shop, client: Client) -> None:
    port = shop.port
    shop.serve(SHOP_SCRIPT_NAME="/shop")
    try:
        redirect = Client(shop, follow=False).ask("GET", "/admin/cronzimus/job/")
        assert redirect.headers["Location"].startswith("/shop/admin/login/")
        ok(client.ask("POST", JOBS, {"id": "linked", **COUNT}))
        for _ in range(2):
            ok(client.ask("POST", f"{JOBS}/linked/run"))
        older = ok(client.ask("GET", "/ops/scheduler/runs?limit=1"))["next"]
        assert urlsplit(older).path == "/shop/ops/scheduler/runs"
    finally:
        shop.port = port
