"""Our pages in the look of Django's own admin, as a host project has them, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin import AdminSite
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import override_settings
from django.urls import path
from playwright.sync_api import Browser, Page

from jobs.admin import register
from tests.acceptance.browser import chromium_fixture, inaccessible, log_in, watch  # noqa: F401
from tests.fakes import make_job, make_run, make_scheduler

OURS = Path(__file__).parents[2] / "templates"
WIDTHS = (1400, 390, 320)
PAGES = (
    "", "job/", "job/add/", "job/job/change/", "job/job/versions/", "job/upcoming/", "run/", "run/1/change/",
    "run/timeline/", "run/failures/", "scheduler/", "auditevent/", "token/",
)  # fmt: skip

site = AdminSite(name="admin")
register(site)
urlpatterns = [path("admin/", site.urls), path("favicon.ico", lambda request: HttpResponse(status=204))]

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def host(settings: Any, tmp_path: Path) -> Iterator[None]:
    """A project that has our pages, and not the product's look."""
    (tmp_path / "admin").mkdir()
    for found in (*OURS.glob("*.html"), OURS / "cronzimus", OURS / "admin/cronzimus"):
        (tmp_path / found.relative_to(OURS)).symlink_to(found)
    with override_settings(TEMPLATES=[settings.TEMPLATES[0] | {"DIRS": [tmp_path]}], ROOT_URLCONF=__name__):
        yield


@pytest.fixture
def tab(host: None, chromium: Browser, live_server: Any) -> Iterator[Page]:
    """A tab of somebody whose name is long; errors of the browser, and requests to other hosts, fail the test."""
    name = "ada.the.first.of.all.who.program@department.of.analytical.engines.example.com"
    User.objects.create_superuser(name, password="secret")
    page = chromium.new_page(base_url=live_server.url)
    wrong = watch(page, live_server.url)
    log_in(page, name)
    yield page
    page.close()
    assert wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_our_part_of_a_page_can_be_read(tab, scheme):
    for number in (1, 2):
        make_job(f"job-{number}")
        make_run(f"job-{number}", id=number, status="failed", error="OSError: no")
    tab.emulate_media(color_scheme=scheme)
    found = {}
    for page in ("job/", "run/", "run/1/change/"):
        tab.goto(f"/admin/cronzimus/{page}")
        if page != "run/1/change/":
            tab.locator("#result_list tbody tr").first.hover()  # its buttons get frames
            tab.evaluate("Promise.allSettled(document.getAnimations().map(one => one.finished))")  # colours fade in
        if problems := inaccessible(tab, ".cronzimus"):
            found[page] = problems
    assert not found, json.dumps(found, indent=1)


def test_no_page_is_wider_than_its_window(tab):
    make_job()
    make_run(id=1, status="succeeded")
    make_scheduler()
    wide = []
    for page in PAGES:
        tab.goto(f"/admin/cronzimus/{page}")
        for width in WIDTHS:
            tab.set_viewport_size({"width": width, "height": 844})
            found = tab.evaluate("document.documentElement.scrollWidth")
            wide += [(page, width, found)] if found > width else []
    assert wide == []


def test_a_refresh_leaves_the_page_the_title_that_its_host_gave_it(tab):
    make_job()
    tab.goto("/admin/cronzimus/job/")
    title = tab.title()
    assert tab.evaluate("window.cronzimus.refresh()")
    assert tab.title() == title
