"""Our pages on an AdminSite of somebody else, and users who log in with something else than a user name."""

from __future__ import annotations

import re

import pytest
from django.contrib.admin import AdminSite
from django.contrib.auth.models import User
from django.test import override_settings
from django.urls import include, path

from cronzimus_site import urls as product
from jobs.admin import register, routes
from jobs.models import Control, Job, Run, Scheduler, Token
from tests.fakes import make_job, make_run, make_scheduler
from tests.integration.admin_support import Admin, admin_fixture, at_noon_fixture, messages  # noqa: F401

pytestmark = pytest.mark.any_database

back_office = AdminSite(name="back-office")
register(back_office)
urlpatterns = [path("back/office/", back_office.urls), path("", include(product.urlpatterns))]

OTHER = "/back/office/cronzimus/"


@pytest.fixture(autouse=True)
def two_sites():
    with override_settings(ROOT_URLCONF=__name__):
        yield


def test_registering_twice_changes_nothing():
    before = dict(back_office._registry)
    register(back_office)
    assert back_office._registry == before
    assert {Job, Run, Scheduler, Token} <= set(before)


def test_a_site_keeps_its_own_titles_and_pages():
    assert back_office.site_header == AdminSite.site_header
    assert back_office.site_title == AdminSite.site_title


@pytest.mark.parametrize(
    "page", ["job/", "job/add/", "job/job/change/", "run/", "run/1/change/", "scheduler/", "scheduler/s1/change/"]
)
def test_every_page_leads_to_pages_of_its_own_site(admin, page):
    make_job()
    make_run(id=1)
    make_scheduler()
    found = set(re.findall(r'(?:href|action|formaction)="(/[^"]*)"', admin.read(OTHER + page)))
    assert [url for url in found if url.startswith(OTHER)]
    assert not [url for url in found if url.startswith("/admin/")]


def test_every_action_stays_on_its_site(admin):
    make_job()
    response = admin.send(f"{OTHER}job/job/run/")
    run = Run.objects.get()
    assert f'href="{OTHER}run/{run.pk}/change/"' in response.content.decode()
    for path_of_action, back in (
        ("job/job/pause/", "job/"),
        (f"run/{run.pk}/cancel/", "run/"),
        ("scheduler/all/pause/", "scheduler/"),
        ("scheduler/all/resume/", "scheduler/"),
    ):
        response = admin.send(OTHER + path_of_action)
        assert messages(response)
        assert response.redirect_chain[-1][0] == OTHER + back


def test_the_name_on_record_is_what_the_user_logs_in_with(at_noon, monkeypatch):
    make_job()
    staff = Admin("change_job", "view_job", superuser=True)
    email = "a" * 242 + "@example.com"
    User.objects.filter(pk=staff.user.pk).update(email=email)
    monkeypatch.setattr(User, "USERNAME_FIELD", "email")
    staff.send("/admin/cronzimus/job/job/run/")
    staff.send("/admin/cronzimus/scheduler/all/pause/")
    assert Run.objects.get().actor == Control.objects.get().actor == email


@pytest.mark.parametrize("name", ["job", "run", "scheduler"])
@pytest.mark.parametrize("lookup", ["id__startswith", "kwargs__contains", "func", "hostname__exact"])
def test_an_address_cannot_look_up_fields(admin, name, lookup):
    response = admin.client.get(f"/admin/cronzimus/{name}/?{lookup}=a")
    assert (response.status_code, response["Location"].endswith("?e=1")) == (302, True)


def test_an_address_cannot_look_up_hashes_of_tokens(admin):
    assert admin.client.get("/admin/cronzimus/token/?digest__startswith=a")["Location"].endswith("?e=1")


def site_links(page: str) -> list[str]:
    """Return the words of the links to our pages, and the current one in brackets."""
    strip = page[page.index('class="site-pages"') :].partition("</nav>")[0]
    found = re.findall(r'<a href="/back/office/cronzimus/[^"]*"( aria-current="page")?>([^<]*)</a>', strip)
    return [f"[{word}]" if current else word for current, word in found]


@pytest.mark.parametrize(
    ("page", "current"),
    [
        ("job/overview/", "Overview"), ("job/", "Jobs"), ("job/job/change/", "Jobs"), ("job/upcoming/", "Upcoming"),
        ("run/failures/", "Failures"), ("", None),
    ],
)  # fmt: skip
def test_the_pages_that_are_no_lists_are_linked_on_another_site(admin, page, current):
    make_job()
    words = ["Overview", "Jobs", "Runs", "Timeline", "Upcoming", "Failures", "Schedulers", "Alerts", "Tokens", "Audit"]
    found = site_links(admin.read(OTHER + page))
    assert [word.strip("[]") for word in found][: len(words)] == words
    assert [word for word in found if word.startswith("[")] == ([f"[{current}]"] if current else [])
    assert "Users" not in found


def test_no_page_that_needs_a_missing_library_is_linked(admin, monkeypatch):
    make_job()
    assert "/api/docs" in admin.read(f"{OTHER}job/job/change/")
    monkeypatch.setattr(routes, "find_spec", lambda name: None)
    assert "API" not in site_links(admin.read(f"{OTHER}job/job/change/"))
    for page in ("job/job/change/", "scheduler/about/"):
        found = admin.read(OTHER + page)
        assert not [address for address in ("/api/docs", "/api/schema", "/metrics") if f'{address}"' in found]


def test_the_path_on_a_page_is_told_from_that_of_the_site(admin):
    make_job()
    assert 'aria-label="Path in Cronzimus"' in admin.read(f"{OTHER}job/job/edit/")
    assert 'aria-label="Path in Cronzimus"' not in admin.read("/admin/cronzimus/job/job/edit/")


def test_only_the_pages_that_somebody_may_see_are_linked(db):
    assert site_links(Admin("view_run").read(f"{OTHER}run/")) == ["[Runs]", "Timeline", "Failures"]


def test_the_product_has_its_sidebar_instead(admin):
    assert "site-pages" not in admin.read("/admin/cronzimus/job/")
