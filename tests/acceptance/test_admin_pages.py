"""Every page of the admin in a real browser: light and dark, desk and phone, without errors, accessible."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db.models import Model
from playwright.sync_api import Browser, Page

from jobs.admin import request_time
from jobs.models import AlertRule, AuditEvent, Delivery, Incident, Run, Token
from tests.acceptance import admin_data, admin_records
from tests.acceptance.browser import chromium_fixture, inaccessible, log_in, watch  # noqa: F401
from tests.fakes import FakeClock

SHOTS = os.environ.get("SHOTS", "")
"""A folder for pictures of the pages, for those who want to look at them."""
GROUPS = ("work", "jobs", "runs", "records")
SIZES: dict[str, Any] = {"desk": {"width": 1400, "height": 900}, "phone": {"width": 390, "height": 844}}
NARROWEST = {"width": 320, "height": 844}
"""A desk of 1280 px at 400 %."""

ERRORS = {"/admin/cronzimus/nothing/": 404, "/admin/cronzimus/job/?q=a%00": 400, "/admin/auth/user/add/": 403}
"""Addresses that are refused, with the statuses."""
HEADS_APART = """[...document.querySelectorAll(".results table")].some(table =>
  [...table.tHead.rows[0].cells].some((head, place) =>
    getComputedStyle(head).paddingLeft !== getComputedStyle(table.tBodies[0].rows[0].cells[place]).paddingLeft))"""
"""Whether the texts of a column begin elsewhere than its head, in any table."""

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def pages() -> dict[str, dict[str, str]]:
    """Return the pages in groups, by the names of their pictures."""
    return {
        "work": {
            "overview": "/admin/",
            "overview-30d": "/admin/?range=30d",
            "failures": "/admin/cronzimus/run/failures/",
            "upcoming": "/admin/cronzimus/job/upcoming/",
            "timeline": "/admin/cronzimus/run/timeline/?range=6h",
            "timeline-7d": "/admin/cronzimus/run/timeline/?range=7d",
            "timeline-host": "/admin/cronzimus/run/timeline/?range=1h&by=host",
            "timeline-failed": "/admin/cronzimus/run/timeline/?range=7d&status=failures&q=tag%3Aetl",
            "schedulers": "/admin/cronzimus/scheduler/",
            "scheduler": "/admin/cronzimus/scheduler/web-3:902/change/",
            "about": "/admin/cronzimus/scheduler/about/",
            "transfer": "/admin/cronzimus/job/transfer/",
        },
        "jobs": {
            "jobs": "/admin/cronzimus/job/",
            "jobs-none": "/admin/cronzimus/job/?q=nightly-bakup",
            "job": "/admin/cronzimus/job/sync-crm/change/?at=2026-11-28T13:45:00Z",
            "job-reindex": "/admin/cronzimus/job/reindex-search/change/?range=7d&tab=configuration",
            "job-alerts": "/admin/cronzimus/job/sync-crm/change/?tab=alerts",
            "job-api": "/admin/cronzimus/job/vacuum-analyze/change/?tab=api",
            "job-upcoming": "/admin/cronzimus/job/verify-backups/change/?tab=upcoming",
            "job-form": "/admin/cronzimus/job/reindex-search/edit/",
            "job-add": "/admin/cronzimus/job/add/",
            "job-run-with": "/admin/cronzimus/job/reindex-search/run-with/",
            "job-why": "/admin/cronzimus/job/reindex-search/why/?at=2026-11-28+03:00",
            "job-foreseen": "/admin/cronzimus/job/sync-crm/why/?at=2026-11-28+14:45",
            "job-versions": "/admin/cronzimus/job/sync-crm/versions/",
            "job-history": "/admin/cronzimus/job/sync-crm/history/",
            "resume": "/admin/cronzimus/job/vacuum-analyze/resume/ask/",
        },
        "runs": {
            "runs": "/admin/cronzimus/run/",
            "runs-failed": "/admin/cronzimus/run/?status=failures&q=job%3Async",
            "runs-log": f"/admin/cronzimus/run/?q=job%3Async-crm&open={_newest('sync-crm')}",
            "runs-wrong": "/admin/cronzimus/run/?q=status%3Afaild",
            "run-failed": f"/admin/cronzimus/run/{_newest('sync-crm')}/change/",
            "run-live": f"/admin/cronzimus/run/{_newest('rollup-metrics')}/change/",
            "run-skipped": f"/admin/cronzimus/run/{_newest('reindex-search')}/change/",
            "run-succeeded": f"/admin/cronzimus/run/{_newest('warm-cache')}/change/",
        },
        "records": {
            "incidents": "/admin/cronzimus/incident/",
            "incident": f"/admin/cronzimus/incident/{_first(Incident)}/change/",
            "rules": "/admin/cronzimus/alertrule/",
            "rule": f"/admin/cronzimus/alertrule/{_first(AlertRule)}/change/",
            "rule-delete": f"/admin/cronzimus/alertrule/{_first(AlertRule)}/delete/",
            "channels": "/admin/cronzimus/channel/",
            "channel-add": "/admin/cronzimus/channel/add/",
            "deliveries": "/admin/cronzimus/delivery/",
            "delivery": f"/admin/cronzimus/delivery/{_first(Delivery)}/change/",
            "tokens": "/admin/cronzimus/token/",
            "token-add": "/admin/cronzimus/token/add/",
            "token-rotate": f"/admin/cronzimus/token/{_first(Token)}/rotate/",
            "audit": "/admin/cronzimus/auditevent/?since=7d",
            "audit-entry": f"/admin/cronzimus/auditevent/{_first(AuditEvent) + 1}/change/",
            "users": "/admin/auth/user/",
            "user": f"/admin/auth/user/{_first(User)}/change/",
            "user-add": "/admin/auth/user/add/",
            "user-password": f"/admin/auth/user/{_first(User)}/password/",
            "roles": "/admin/auth/group/",
            "role": f"/admin/auth/group/{_first(Group)}/change/",
            "password": "/admin/password_change/",
            "app": "/admin/auth/",
        },
    }


def _first(model: type[Model]) -> int:
    """Return the lowest key of the rows of a model."""
    return model._default_manager.order_by("pk").values_list("pk", flat=True)[0]  # type: ignore[no-any-return]


def _newest(job_id: str) -> int:
    """Return the id of the last run of a job."""
    return Run.objects.filter(job_id=job_id).order_by("-scheduled_time", "-attempt").values_list("pk", flat=True)[0]


@pytest.fixture
def filled(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """The day of a team, and a clock that stands still."""
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": "redis://127.0.0.1:6379/0"}
    monkeypatch.setattr(request_time, "clock", FakeClock(admin_data.NOW))
    admin_data.register_functions()
    admin_data.fill()
    ana = User.objects.create_superuser("ana", password="secret", first_name="Ana", last_name="Meyer")
    admin_records.fill_records(ana)


def looks() -> list[Any]:
    """Return each size, scheme and group of pages; without CI=true, all on a desk in light, and some on a phone."""
    quick = {("phone", "dark", "jobs"), *product(["desk"], ["light"], GROUPS)}
    every = product(SIZES, ["light", "dark"], GROUPS)
    return [pytest.param(*look, marks=() if look in quick else pytest.mark.slow) for look in every]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("size", "scheme", "group"), looks())
def test_no_page_has_an_error_or_leaves_anybody_out(
    filled: None, chromium: Browser, live_server: Any, size: str, scheme: Any, group: str
) -> None:  # fmt: skip
    context = chromium.new_context(base_url=live_server.url, viewport=SIZES[size], color_scheme=scheme)
    page = context.new_page()
    wrong = watch(page, live_server.url)
    log_in(page)
    found = {}
    for name, path in pages()[group].items():
        page.goto(path)
        if page.locator("[data-arguments]").count():
            page.wait_for_load_state("networkidle")  # the form asks for its inputs and its preview
        problems = [*wrong, *too_wide(page), *inaccessible(page)]
        wrong.clear()
        if SHOTS:
            page.screenshot(path=f"{SHOTS}/{name}-{size}-{scheme}.png", full_page=True)
        if size == "phone":
            page.set_viewport_size(NARROWEST)  # type: ignore[arg-type]
            problems += too_wide(page)
            page.set_viewport_size(SIZES[size])
        if problems:
            found[name] = problems
    context.close()
    assert not found, json.dumps(found, indent=1)


def too_wide(page: Page) -> Iterator[str]:
    """Tell whether a page has to be scrolled sideways."""
    width = page.evaluate("document.documentElement.scrollWidth")
    if page.viewport_size and width > page.viewport_size["width"]:
        yield f"is {width} px wide"


def test_the_heads_of_columns_stand_over_their_texts(filled: None, chromium: Browser, live_server: Any) -> None:
    page = chromium.new_page(base_url=live_server.url)
    log_in(page)
    apart = []
    for path in ("job/", "run/", "run/failures/", "job/sync-crm/change/", "job/sync-crm/why/?at=2026-11-28+14:45"):
        page.goto(f"/admin/cronzimus/{path}")
        for width in (1400, 900):
            page.set_viewport_size({"width": width, "height": 900})
            if page.evaluate(HEADS_APART):
                apart.append((path, width))
    page.close()
    assert apart == []


def test_every_button_of_a_list_is_in_sight_at_any_width(filled: None, chromium: Browser, live_server: Any) -> None:
    page = chromium.new_page(base_url=live_server.url)
    log_in(page)
    cut = []
    for name in ("job", "run", "incident", "delivery", "channel"):
        page.goto(f"/admin/cronzimus/{name}/")
        for width in range(768, 1500, 60):
            page.set_viewport_size({"width": width, "height": 900})
            if page.locator(".results").evaluate("list => list.scrollWidth > list.clientWidth"):
                cut.append((name, width))
    page.close()
    assert cut == []


def test_no_page_of_an_error_leaves_anybody_out(db: None, chromium: Browser, live_server: Any) -> None:
    User.objects.create_user("ana", password="secret", is_staff=True)
    context = chromium.new_context(base_url=live_server.url, viewport=SIZES["phone"])
    page = context.new_page()
    log_in(page)
    found = {}
    for path, status in ERRORS.items():
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == status, path
        found[path] = [*too_wide(page), *inaccessible(page)]
    context.close()
    assert not any(found.values()), json.dumps(found, indent=1)
