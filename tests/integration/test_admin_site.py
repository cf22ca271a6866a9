"""The admin's front page, the schedulers and the tokens."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from knox.crypto import hash_token
from knox.models import AuthToken

from jobs.selectors import backlog
from tests.fakes import NOW, after, make_job, make_jobs, make_run, make_scheduler
from tests.integration.admin_support import (  # noqa: F401
    JOBS,
    RUNS,
    SCHEDULERS,
    TOKENS,
    Admin,
    admin_fixture,
    at_noon_fixture,
    cell,
    problems,
    text,
)


def test_people_see_one_list_of_jobs_and_one_of_runs(admin):
    page = admin.read("/admin/")
    for path in (
        "/admin/cronzimus/job/",
        "/admin/cronzimus/run/",
        "/admin/cronzimus/scheduler/",
        "/admin/knox/authtoken/",
    ):
        assert f'href="{path}"' in page
    assert "django_apscheduler" not in page


def test_tokens_are_named_for_what_people_know(admin):
    page = text(admin.read("/admin/"))
    assert "API Model name Add link Change or view list link Tokens" in page
    assert "Knox" not in page
    assert "Home › API › Tokens" in text(admin.read(TOKENS))


def test_the_way_to_the_admin_needs_no_slash(admin):
    assert admin.client.get("/admin")["Location"] == "/admin/"


def test_the_site_has_its_name(admin):
    page = admin.read("/admin/")
    assert "<title>Cronzimus | Cronzimus</title>" in page
    assert "Django administration" not in page
    assert "View site" not in page


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"lease_until": after(1)}, "alive"),
        ({"lease_until": NOW}, "dead"),
        ({"lease_until": after(1), "stopped_at": NOW}, "stopped"),
    ],
)
def test_a_scheduler_is_alive_dead_or_stopped(admin, fields, state):
    make_scheduler(**fields)
    assert cell(admin.read(SCHEDULERS), "state") == state
    assert state in text(admin.read(f"{SCHEDULERS}s1/change/"))


def test_the_list_of_schedulers_shows_the_heartbeats_age_and_the_work(admin):
    make_scheduler(heartbeat_at=after(-4), threads=10, queued_runs=2, running_runs=3)
    page = admin.read(SCHEDULERS)
    assert cell(page, "heartbeat") == "2030-01-01 11:59:56 UTC 4 s ago"
    assert [cell(page, name) for name in ("threads", "queued_runs", "running_runs")] == ["10", "2", "3"]


def test_the_schedulers_page_shows_that_nothing_waits(admin):
    assert "Due jobs none Waiting runs none" in text(admin.read(SCHEDULERS))


def test_the_schedulers_page_shows_what_waits_and_for_how_long(admin):
    make_job(next_run_time=after(-90))
    make_job("b")
    make_run(queued_at=after(-2.5))
    page = text(admin.read(SCHEDULERS))
    assert "Due jobs 2, the oldest for 1 m 30 s Waiting runs 1, the oldest for 2.5 s" in page


def test_the_schedulers_page_counts_no_further_than_people_need_to_know(admin, monkeypatch):
    monkeypatch.setattr(backlog, "COUNTED", 2)
    make_jobs(3)
    assert "Due jobs 2 or more, the oldest for 0 ms" in text(admin.read(SCHEDULERS))


@pytest.mark.parametrize("name", ["q", "job", "id", "state", "status", "since", "p", "o"])
@pytest.mark.parametrize("path", [JOBS, RUNS, SCHEDULERS, TOKENS])
def test_a_nul_in_a_lists_address_is_refused(admin, path, name):
    assert admin.client.get(path, {name: "a\0"}).status_code == 400


@pytest.mark.parametrize("page", ["change", "delete", "history"])
@pytest.mark.parametrize("path", [JOBS, SCHEDULERS, TOKENS])
def test_a_nul_in_a_pages_address_is_told(admin, path, page):
    response = admin.client.get(f"{path}a%00/{page}/", follow=True)
    assert response.status_code in (200, 403)
    assert response.status_code == 403 or "doesn’t exist" in text(response.content.decode())


def test_a_nul_among_the_chosen_is_refused(admin):
    assert admin.act("pause", "a\0").status_code == 400


def test_a_token_is_made_for_a_user_and_shown_once(admin):
    bob = User.objects.create_user("bob")
    response = admin.send(f"{TOKENS}add/", user=bob.pk, days="")
    token = AuthToken.objects.get()
    shown = response.context["token"]
    assert f">{shown}</pre>" in response.content.decode()
    assert (token.user, token.expiry, token.digest) == (bob, None, hash_token(shown))
    assert "no-store" in response["Cache-Control"]
    assert shown not in admin.read(TOKENS)
    assert shown not in str(dict(admin.client.session)) + str(admin.client.cookies)


def test_the_list_of_tokens_names_them_by_their_first_characters(admin):
    token, _ = AuthToken.objects.create(admin.user)
    page = admin.read(TOKENS)
    assert (cell(page, "token_key"), cell(page, "user"), cell(page, "expires")) == (token.token_key, "root", "never")


def test_a_token_may_expire(admin):
    admin.send(f"{TOKENS}add/", user=admin.user.pk, days="30")
    left = AuthToken.objects.get().expiry - timezone.now()
    assert timedelta(days=29) < left <= timedelta(days=30)


@pytest.mark.parametrize("days", ["0", "-1", "3651", "1.5", "soon", "9" * 30])
def test_days_that_are_none_are_refused(admin, days):
    assert list(problems(admin.send(f"{TOKENS}add/", user=admin.user.pk, days=days))) == ["days"]
    assert not AuthToken.objects.exists()


def test_deleting_a_token_revokes_it(admin):
    token, _ = AuthToken.objects.create(admin.user)
    admin.send(f"{TOKENS}{token.pk}/delete/", post="yes")
    assert not AuthToken.objects.exists()


def test_a_token_is_not_changed(admin):
    token, _ = AuthToken.objects.create(admin.user)
    assert admin.client.post(f"{TOKENS}{token.pk}/change/", {"user": admin.user.pk}).status_code == 403


def test_only_a_superuser_makes_tokens_for_others(at_noon):
    bob, ana = User.objects.create_superuser("bob"), Admin("add_authtoken", "view_authtoken")
    assert list(problems(ana.send(f"{TOKENS}add/", user=bob.pk, days=""))) == ["user"]
    assert not AuthToken.objects.exists()
    ana.send(f"{TOKENS}add/", user=ana.user.pk, days="")
    assert AuthToken.objects.get().user == ana.user
