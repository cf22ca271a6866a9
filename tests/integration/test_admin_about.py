"""The page about the site, and the bundle for support."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection

from jobs import __version__
from jobs.selectors import about
from tests.fakes import after, make_job, make_run, make_scheduler

from .admin_support import Admin, admin_fixture, at_noon_fixture, text  # noqa: F401

ABOUT = "/admin/cronzimus/scheduler/about/"


def test_the_page_names_versions_checks_parts_and_sizes(admin: Admin) -> None:
    make_scheduler()
    make_run()
    page = text(admin.read(ABOUT))
    for said in (f"Cronzimus {__version__}", "migrations all are applied", "1 alive: s1", "Runs on record 1"):
        assert said in page


def test_a_part_that_is_off_says_what_it_needs(admin: Admin, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"JOB_SHELL": True, "API_RATE_LIMIT": ""}
    monkeypatch.setattr(about.util, "find_spec", lambda name: None)
    page = text(admin.read(ABOUT))
    assert "on Shell commands as jobs" in page
    assert "off Limit of requests to the API API_RATE_LIMIT is not set" in page
    assert "off Traces opentelemetry-api is not installed" in page


def test_what_is_wrong_is_told(admin: Admin) -> None:
    make_scheduler(drained_at=admin.user.date_joined)
    assert "error schedulers all are drained" in text(admin.read(ABOUT))


def test_the_bundle_has_what_support_needs_and_no_secret(admin: Admin, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {
        "CELERY_BROKER_URL": "redis://user:hush@queue.example.com/0", "ALERT_PING_URL": "https://hc.example.com/hush",
        "SECRETS": {"KEY": "hush"}, "JOB_DEFAULTS": {"kwargs": {"password": "hush"}},
    }  # fmt: skip
    make_scheduler()
    make_job(kwargs={"password": "hush"}, description="hush")
    make_run(output="hush", error="hush", status="failed")
    response = admin.open(f"{ABOUT}bundle/")
    content = response.content.decode()
    assert "hush" not in content
    assert "attachment" in response["Content-Disposition"]
    bundle = json.loads(content)
    assert bundle["versions"]["Cronzimus"] == __version__
    assert bundle["settings"]["CELERY_BROKER_URL"] == "redis://queue.example.com/***"
    assert bundle["settings"]["SECRETS"] == "1 of them"
    assert bundle["schedulers"][0]["id"] == "s1"
    assert bundle["sizes"]["runs"] == 1


def test_the_bundle_is_for_those_who_may_pause_everything(at_noon: Any) -> None:
    viewer = Admin("view_scheduler")
    assert "Support bundle" not in viewer.read(ABOUT)
    assert viewer.client.get(f"{ABOUT}bundle/").status_code == 403
    assert Admin(name="bob").client.get(ABOUT).status_code == 403


def test_runs_are_counted_no_further_than_people_need_to_know(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(about, "MAX_COUNTED", 1)
    make_run("a")
    make_run("b")
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE cronzimus_run")  # has the estimate that is shown
    assert about.sizes().runs == (2 if connection.vendor == "postgresql" else None)
    assert "Runs on record" in text(admin.read(ABOUT))


def test_it_tells_what_is_kept_and_what_a_shorter_time_would_free(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_job("a", keep_days=30)
    make_job("b", keep_days=None)
    for number, days in enumerate((1, 10, 40)):
        make_run("a", scheduled_time=after(-86_400 * days), attempt=number + 1, status="succeeded")
    page = text(admin.read(ABOUT))
    assert "Runs 1 of 2 jobs limit theirs Older than 7 days 2 Older than 30 days 1 Older than 90 days none" in page
    monkeypatch.setattr(about, "MAX_OLDER", 1)
    assert "Older than 7 days more than 1 " in text(admin.read(ABOUT))
