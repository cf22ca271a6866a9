"""Helpers and fixtures of the tests of the admin."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Permission, User
from django.http import HttpResponse
from django.test import Client

from jobs.admin import request_time
from jobs.admin.shell import banners
from tests.fakes import FakeClock

JOBS = "/admin/cronzimus/job/"
RUNS = "/admin/cronzimus/run/"
SCHEDULERS = "/admin/cronzimus/scheduler/"
TOKENS = "/admin/cronzimus/token/"

POLICIES = {
    "executor": "thread", "priority": "0", "max_instances": "1", "overlap": "skip", "queue_limit": "10",
    "concurrency_limit": "1",
}  # fmt: skip
INTERVAL = {"func": "tests:record", "trigger": "interval", "seconds": "30", **POLICIES}


class Admin:
    """Somebody at the admin, logged in: a superuser, or staff with some permissions."""

    def __init__(self, *permissions: str, name: str = "ana", superuser: bool = False, csrf: bool = False) -> None:
        self.user = User.objects.create_user(name, is_staff=True, is_superuser=superuser)
        self.user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        self.client = Client(enforce_csrf_checks=csrf)
        self.client.force_login(self.user)

    def open(self, path: str, **query: Any) -> HttpResponse:
        """Return the page at `path`, which must exist."""
        response = self.client.get(f"{path}?{urlencode(query)}" if query else path)
        assert response.status_code == 200, response
        return response

    def read(self, path: str, **query: Any) -> str:
        """Return the HTML of the page at `path`."""
        return self.open(path, **query).content.decode()

    def send(self, path: str, **data: Any) -> HttpResponse:
        """Post `data`, follow the redirect, and return the page there."""
        return self.client.post(path, data, follow=True)

    def save(self, path: str, **changes: Any) -> HttpResponse:
        """Open the form at `path`, change some of its inputs, and send it."""
        return self.send(path, **inputs(self.open(path)) | changes)

    def act(self, action: str, *job_ids: str, **data: Any) -> HttpResponse:
        """Take a bulk action with jobs, and confirm it."""
        return self.send(JOBS, action=action, index=0, _selected_action=job_ids, **{"post": "yes", **data})


def inputs(response: HttpResponse) -> dict[str, Any]:
    """Return the data that a browser would send from the form on a page."""
    form = response.context["adminform"].form
    values = {field.html_name: field.value() for field in form}
    return {name: "on" if value is True else value for name, value in values.items() if value not in (None, False)}


def problems(response: HttpResponse) -> dict[str, list[str]]:
    """Return the errors of the form on a page, by field."""
    return dict(response.context["adminform"].form.errors)


def messages(response: HttpResponse) -> list[str]:
    """Return the messages on a page, without their tags."""
    return [text(str(message)) for message in response.context["messages"]]


def text(html: str) -> str:
    """Return the text of `html`, its blanks folded."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def cell(html: str, name: str) -> str:
    """Return the text of the first cell of a list's column `name`."""
    found = re.search(
        rf'<t[dh] class="[^"]*field-{name}\b[^"]*"[^>]*>(.*?)</t[dh]>', html[html.find("<tbody>") :], re.S
    )
    assert found, f"no column {name}"
    return text(found[1])


def ids(html: str) -> list[str]:
    """Return the ids of the rows of a list."""
    column = re.findall(r'<th class="field-(?:job_id|run_id)[^"]*">(.*?)</th>', html, re.S)
    return [text(found) for found in column] + re.findall(r'<tr data-key="([^"]*)"', html)


@pytest.fixture(name="at_noon")
def at_noon_fixture(db: None, monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> FakeClock:
    """The clock of the admin, which stands still. Its first page need not look for pending migrations."""
    monkeypatch.setattr(request_time, "clock", clock)
    monkeypatch.setitem(banners._migrations, "pending", (False, clock.now()))
    return clock


@pytest.fixture(name="admin")
def admin_fixture(at_noon: FakeClock) -> Admin:
    """A superuser at the admin."""
    return Admin(name="root", superuser=True)
