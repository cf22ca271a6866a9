"""Each page of the admin leads to the call of the API that does the same."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import get_resolver

from jobs.admin import routes
from jobs.admin.shell import api_call
from jobs.api.schema.operations import OPERATIONS
from tests.fakes import make_job, make_run, make_token
from tests.integration.admin_support import JOBS, RUNS, TOKENS, Admin, admin_fixture, at_noon_fixture  # noqa: F401


def names(patterns: Any) -> set[str]:
    found = set()
    for pattern in patterns:
        found |= names(pattern.url_patterns) if hasattr(pattern, "url_patterns") else {str(pattern.name)}
    return found


def test_all_pages_and_operations_that_it_names_exist() -> None:
    known = names(get_resolver().url_patterns)
    assert [name for name in api_call.CALLS if name != "index" and f"cronzimus_{name}" not in known] == []
    assert set(api_call.CALLS.values()) <= {operation.name for operation in OPERATIONS.values()}


@pytest.mark.parametrize(
    ("path", "name"),
    [("/admin/", "listJobs"), (f"{JOBS}job/change/", "showJob"), (f"{JOBS}add/", "addJob"), (RUNS, "listRuns"),
     (f"{RUNS}7/change/", "showRun")],
)  # fmt: skip
def test_a_page_links_to_its_call(admin: Admin, path: str, name: str) -> None:
    make_job()
    make_run(id=7)
    assert f'href="/api/docs?open={name}#{name}"' in admin.read(path)


def test_a_page_without_a_call_has_no_link(admin: Admin) -> None:
    assert "/api/docs?open=" not in admin.read(TOKENS)


def test_without_the_description_there_is_no_link(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "find_spec", lambda name: None)
    assert "/api/docs?open=" not in admin.read(RUNS)


def test_the_description_opens_at_the_call(client: Any, db: None) -> None:
    answer = client.get("/api/docs?open=runJob", headers={"Authorization": make_token()}).content.decode()
    assert answer.count("<details") > 20
    assert '<details id="runJob" open>' in answer
    assert answer.count(" open>") == 1
