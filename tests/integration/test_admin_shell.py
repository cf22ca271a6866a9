"""The frame of every page of the product's admin: navigation, health, banners, preferences, palette, policy."""

from __future__ import annotations

import re

import pytest

from jobs.admin.pages import LIVE_HEADER
from jobs.admin.shell import banners
from jobs.core.runs import RunStatus
from jobs.models import Control
from tests.fakes import NOW, after, make_job, make_run, make_scheduler
from tests.integration.admin_support import (  # noqa: F401
    JOBS,
    RUNS,
    SCHEDULERS,
    Admin,
    admin_fixture,
    at_noon_fixture,
    text,
)

pytestmark = pytest.mark.any_database

USERS = "/admin/auth/user/"
LIVE = "/admin/live/"
PAGES = ["/admin/", JOBS, f"{JOBS}add/", f"{JOBS}job/change/", RUNS, f"{RUNS}1/change/", SCHEDULERS, USERS,
         "/admin/cronzimus/incident/", "/admin/cronzimus/alertrule/add/", "/admin/cronzimus/channel/"]  # fmt: skip


@pytest.fixture
def rows(at_noon):
    make_job()
    make_run(id=1, status="failed")
    make_scheduler()


def navigation(html: str) -> str:
    return text(html[html.index('id="shell-navigation"') : html.index("</nav>", html.index('id="shell-navigation"'))])


@pytest.mark.parametrize("path", ["/admin/login/", *PAGES])
def test_every_page_has_a_strict_policy_and_nothing_inline(admin, rows, path):
    if path == "/admin/login/":
        admin.client.logout()
    response = admin.open(path)
    policy = response["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    page = response.content.decode()
    assert not re.search(r"<style|<script>|\sstyle=|\son[a-z]+=|javascript:", page)
    assert not re.search(r'(?:src|href|action)="(?:https?:)?//', page)


def test_the_api_has_the_policy_too(client, db):
    assert "default-src 'self'" in client.get("/api/health")["Content-Security-Policy"]


def test_the_sidebar_names_the_pages_with_live_counts(admin):
    make_job("a", last_run_at=NOW, last_status=RunStatus.FAILED)
    make_job("b")
    make_job("c", paused=True)
    make_run("a", status="running", started_at=NOW)
    make_scheduler()
    found = navigation(admin.read("/admin/"))
    assert found.startswith('id="shell-navigation" data-live> Overview Jobs 2 active, 1 paused Runs 1 running')
    assert "Schedulers 1 alive" in found
    assert "Users" in found


def test_the_sidebar_marks_the_page_that_shows(admin, rows):
    for path, label in (("/admin/", "Overview"), (JOBS, "Jobs"), (f"{JOBS}job/change/", "Jobs"), (RUNS, "Runs")):
        assert re.findall(r'aria-current="page">.*?class="nav-word">([^<]*)', admin.read(path)) == [label]


def test_the_sidebar_names_what_one_may_see_alone(at_noon):
    found = navigation(Admin("view_run").read(RUNS))
    assert "Runs" in found
    assert not [label for label in ("Jobs", "Schedulers", "Users", "Overview") if label in found]


def test_the_title_and_the_icon_tell_that_jobs_fail(admin):
    make_job()
    page = admin.read(JOBS)
    assert "<title>Jobs" in page
    assert "cronzimus/icon.svg" in page
    make_job("ill", last_status=RunStatus.FAILED, last_run_at=NOW)
    page = admin.read(JOBS)
    assert "<title>(1) Jobs" in page
    assert "cronzimus/icon-failing.svg" in page


def test_the_pill_tells_who_lives(admin):
    make_scheduler("web-1")
    assert "Live · 1 scheduler " in text(admin.read(JOBS))
    make_scheduler("web-2")
    page = admin.read(JOBS)
    assert "Live · 2 schedulers" in text(page)
    assert 'title="web-1 and web-2 are alive"' in page


@pytest.mark.parametrize("path", [JOBS, USERS])
def test_a_banner_tells_that_no_scheduler_runs(admin, path):
    assert "No scheduler is running: jobs will not fire. Start one: python manage.py runscheduler" in text(
        admin.read(path)
    )
    make_scheduler("web-1", lease_until=after(-1), heartbeat_at=after(-240))
    assert "The last heartbeat was web-1’s, 4 m ago." in text(admin.read(path))
    make_scheduler("web-2")
    assert "No scheduler is running" not in text(admin.read(path))


def test_a_banner_tells_that_all_is_paused(admin):
    make_scheduler()
    Control.objects.create(paused=True, paused_at=after(-1320), actor="ana", reason="the <b>database</b> moves.")
    page = admin.read(USERS)
    assert "All claiming is paused since 11:38 by ana: the <b>database</b> moves. Running jobs go on." in text(page)
    assert "<b>" not in page


def test_a_banner_tells_that_migrations_are_pending(admin, monkeypatch):
    monkeypatch.setattr(banners, "_migrations", {})
    monkeypatch.setattr(banners.MigrationExecutor, "migration_plan", lambda self, targets: ["one"])
    assert "Migrations are pending" in text(admin.read(JOBS))
    monkeypatch.setattr(banners, "_migrations", {})
    monkeypatch.undo()
    assert "Migrations are pending" not in text(admin.read(JOBS))


def test_that_no_migration_is_pending_is_found_out_once(admin, statements, monkeypatch):
    monkeypatch.setattr(banners, "_migrations", {})
    with statements() as first:
        admin.read(USERS)
    with statements() as second:
        admin.read(USERS)
    assert [sql for sql in first if "django_migrations" in sql]
    assert not [sql for sql in second if "django_migrations" in sql]


def test_the_environment_has_a_label(admin, settings):
    assert 'class="env' not in admin.read(JOBS)
    settings.CRONZIMUS = settings.CRONZIMUS | {"CRONZIMUS_ENV": "production"}
    assert '<span class="env env-late" title="CRONZIMUS_ENV">production</span>' in admin.read(JOBS)


def test_people_who_are_not_logged_in_learn_nothing(client, db):
    make_job(last_status=RunStatus.FAILED, last_run_at=NOW)
    page = client.get("/admin/login/").content.decode()
    for told in ("shell-", "(1)", "palette", "Cronzimus 0", "banner"):
        assert told not in page
    for path in (LIVE, "/admin/palette/", "/admin/preferences/"):
        assert "/admin/login/" in client.get(path)["Location"]


def test_the_chosen_zone_is_kept_and_shown(admin):
    make_scheduler()
    Control.objects.create(paused=True, paused_at=NOW)
    assert "since 12:00" in text(admin.read(USERS))
    response = admin.client.post("/admin/preferences/", {"zone": "Asia/Tokyo", "next": USERS})
    assert response["Location"] == USERS
    page = admin.read(USERS)
    assert "since 21:00" in text(page)
    assert 'value="Asia/Tokyo" class="js-only" data-browser-zone aria-pressed="true"' in page


@pytest.mark.parametrize("zone", ["", "Mars", "../x", "\0", "a" * 5000])
def test_a_zone_that_is_none_is_refused(admin, zone):
    assert admin.client.post("/admin/preferences/", {"zone": zone}).status_code == 400


@pytest.mark.parametrize("url", ["//evil.example", "https://evil.example/", "javascript:alert(1)", "\r\nX: y"])
def test_the_way_back_stays_on_this_site(admin, url):
    assert admin.client.post("/admin/preferences/", {"zone": "utc", "next": url})["Location"] == "/admin/"


def test_a_poll_gets_the_parts_that_change_and_304_when_nothing_does(admin):
    make_job("nightly")
    headers = {LIVE_HEADER: "1"}
    first = admin.client.get("/admin/", headers=headers)
    page = first.content.decode()
    assert 'id="cronzimus-page"' in page
    assert 'id="shell-navigation"' in page
    assert "<html" not in page
    again = admin.client.get("/admin/", headers=headers | {"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    make_job("new")
    assert admin.client.get("/admin/", headers=headers | {"If-None-Match": first["ETag"]}).status_code == 200


def test_the_passing_of_time_alone_is_no_news(admin, at_noon):
    make_job(next_run_time=after(600))
    make_scheduler(lease_until=after(600))
    make_run(status="failed", finished_at=after(-60))
    headers = {LIVE_HEADER: "1"}
    tag = admin.client.get("/admin/", headers=headers)["ETag"]
    at_noon.advance(7)
    assert admin.client.get("/admin/", headers=headers | {"If-None-Match": tag}).status_code == 304


def test_a_poll_takes_no_message_away(admin):
    make_job()
    admin.client.post(f"{JOBS}job/pause/")
    admin.client.get(LIVE, headers={LIVE_HEADER: "1"})
    assert "Paused: job." in text(admin.read(JOBS))


def entries(admin, words):
    return admin.client.get("/admin/palette/", {"q": words}).json()["entries"]


def test_the_palette_finds_pages_jobs_and_runs(admin):
    make_job("nightly-backup", name="Backup")
    make_run(id=77, status="failed")
    assert [entry["label"] for entry in entries(admin, "sched")] == ["Schedulers"]
    assert [entry["label"] for entry in entries(admin, "backup")] == [
        "nightly-backup", "Run now: nightly-backup", "Pause: nightly-backup",
    ]  # fmt: skip
    assert entries(admin, "#77") == [{"label": "Run 77", "hint": "job, failed", "url": f"{RUNS}77/change/"}]
    assert "Overview" in [entry["label"] for entry in entries(admin, "")]


def test_the_palette_offers_what_one_may_do_alone(at_noon):
    make_job("nightly")
    make_run(id=7)
    viewer = Admin("view_job")
    assert [entry["label"] for entry in entries(viewer, "nightly")] == ["nightly"]
    assert entries(viewer, "7") == []
    assert entries(Admin("view_run", name="bob"), "nightly") == []


@pytest.mark.parametrize("words", ["\0", "%", "_", "🙂", "9" * 5000, "<script>", "'", "\\"])
def test_strange_words_break_nothing(admin, words):
    make_job()
    assert isinstance(entries(admin, words), list)
