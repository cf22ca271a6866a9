"""The page of a run in the admin, for reading only."""

from __future__ import annotations

import pytest
from django.db import connection

from jobs.core.runs import RunStatus
from jobs.models import Job, Run
from tests.fakes import make_job, make_run
from tests.integration.admin_support import RUNS, Admin, admin_fixture, at_noon_fixture, cell, ids, text  # noqa: F401

EVIL = "<script>alert(1)</script>"


def one(**fields):
    return f"{RUNS}{make_run(**fields).pk}/change/"


@pytest.mark.parametrize("status", list(RunStatus))
def test_every_status_has_its_page(admin, status):
    path = one(status=status)
    assert status.replace("_", " ") in text(admin.read(path))


def test_texts_of_people_and_programs_are_escaped(admin):
    path = one(
        status="failed", output=EVIL, error=EVIL, traceback=EVIL, reason=EVIL, result=EVIL, args=[EVIL],
        kwargs={EVIL: EVIL}, actor=EVIL, func=EVIL,
    )  # fmt: skip
    assert EVIL not in admin.read(path)


def test_a_run_that_is_not_there_is_told(admin):
    for path in ("99", "x", "%00", "9" * 30):
        response = admin.client.get(f"{RUNS}{path}/change/", follow=True)
        assert response.status_code == 200
        assert "doesn’t exist" in text(response.content.decode())


def test_the_page_of_a_job_leads_to_its_runs(admin):
    make_job("a_b")
    assert 'href="/admin/cronzimus/run/?job=a_b"' in admin.read("/admin/cronzimus/job/a_5Fb/change/")
    assert Job.objects.count() == 1
    assert not Run.objects.exists()


@pytest.mark.parametrize(("column", "value"), [("scheduled_time", "soon"), ("started_at", 5), ("timeout", "x")])
def test_a_damaged_run_can_be_opened(admin, sqlite_only, column, value):
    make_run(id=7)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE cronzimus_run SET {column} = %s", [value])  # noqa: S608
    assert "Run 7" in text(admin.read(f"{RUNS}7/change/"))
