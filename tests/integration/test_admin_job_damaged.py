"""Rows that were damaged in the database itself: each can be seen, opened, repaired and removed in the admin."""

from __future__ import annotations

import pytest
from django.db.models import JSONField, Value

from jobs.models import Job
from tests.conftest import CI
from tests.fakes import NOW, make_job
from tests.integration.admin_support import (  # noqa: F401
    JOBS,
    Admin,
    admin_fixture,
    at_noon_fixture,
    cell,
    ids,
    inputs,
    messages,
    problems,
    text,
)

pytestmark = pytest.mark.any_database

CHANGE = f"{JOBS}job/edit/"
PAGE = f"{JOBS}job/change/"
PREVIEW = f"{JOBS}job/preview/"
DAMAGES = {
    "the trigger is a text": {"trigger": "nonsense"},
    "the trigger is a list": {"trigger": [1, {"a": 2}]},
    "the trigger is a number": {"trigger": 5},
    "the trigger has no type": {"trigger": {"seconds": 5}},
    "the type is a list": {"trigger": {"type": ["interval"], "seconds": 5}},
    "a field is of a wrong type": {"trigger": {"type": "interval", "seconds": "soon"}},
    "a field is an object": {"trigger": {"type": "cron", "hour": {"a": 1}, "crontab": ["x"]}},
    "a field is unknown": {"trigger": {"type": "interval", "seconds": 5, "bogus": 1}},
    "the time zone is none": {"trigger": {"type": "interval", "seconds": 5, "timezone": "Mars"}},
    "the function is unknown": {"func": "os:system"},
    "the arguments are a text": {"args": "rm -rf"},
    "the arguments do not fit": {"func": "tests:echo", "args": [1, 2, 3]},
    "the named arguments are a list": {"kwargs": [1]},
    "the named arguments are null": {"kwargs": Value(None, JSONField())},
}
OTHERS = {
    "the tags are an object": {"tags": {"a": 1}},
    "the tags are numbers": {"tags": [1, None]},
    "no name": {"name": ""},
    "the retries are a text": {"retries": "often"},
    "the retries are a list": {"retries": [1, {"a": 2}]},
    "the retries are a number": {"retries": 3},
    "the retries have no max": {"retries": {"delay": 5}},
    "a part of the retries is an object": {"retries": {"max": {"a": 1}, "delay": ["<script>"], "backoff": None}},
    "a part of the retries is unknown": {"retries": {"max": 1, "bogus": "<script>alert(1)</script>"}},
}


def damaged(fields):
    make_job("well")
    make_job(next_run_time=None, **fields)


@pytest.mark.parametrize("fields", [*DAMAGES.values(), *OTHERS.values()], ids=[*DAMAGES, *OTHERS])
def test_it_is_listed_and_so_are_the_others(admin, fields):
    damaged(fields)
    assert sorted(ids(admin.read(JOBS))) == ["job", "well"]


@pytest.mark.parametrize("fields", DAMAGES.values(), ids=DAMAGES)
def test_it_is_shown_as_broken_with_the_reason(admin, fields):
    damaged(fields)
    assert cell(admin.read(JOBS, q="job"), "state") == "broken"
    for path in (CHANGE, PAGE):
        assert "This job is broken and does not run." in text(admin.read(path))


@pytest.mark.parametrize("fields", [*DAMAGES.values(), *OTHERS.values()], ids=[*DAMAGES, *OTHERS])
def test_its_form_opens_previews_saves_or_says_what_is_wrong(admin, fields):
    damaged(fields)
    shown = inputs(admin.open(CHANGE))
    assert admin.client.post(PREVIEW, shown).status_code == 200
    assert admin.send(CHANGE, **shown).status_code == 200


@pytest.mark.parametrize("fields", DAMAGES.values(), ids=DAMAGES)
def test_it_is_repaired_by_the_form(admin, fields):
    damaged(fields)
    repaired = {"func": "tests:record", "args": "[]", "kwargs": "{}", "trigger": "interval", "seconds": "5"}
    admin.save(CHANGE, **repaired, timezone="")
    job = Job.objects.get(pk="job")
    assert job.trigger == {"type": "interval", "seconds": 5}
    assert (job.func, job.args, job.kwargs) == ("tests:record", [], {})
    assert cell(admin.read(JOBS, q="job"), "state") != "broken"


@pytest.mark.parametrize("fields", [*DAMAGES.values(), *OTHERS.values()], ids=[*DAMAGES, *OTHERS])
def test_it_can_be_removed(admin, fields):
    damaged(fields)
    admin.send(f"{JOBS}job/delete/", post="yes")
    assert list(Job.objects.values_list("pk", flat=True)) == ["well"]


@pytest.mark.parametrize(
    "verb", ["run", *(pytest.param(verb, marks=pytest.mark.slow) for verb in ("pause", "resume", "skip", "duplicate"))]
)
@pytest.mark.parametrize("fields", [*DAMAGES.values(), *OTHERS.values()], ids=[*DAMAGES, *OTHERS])
def test_every_verb_does_it_or_says_why_not(admin, fields, verb):
    damaged(fields)
    Job.objects.filter(pk="job").update(paused=True)
    assert len(messages(admin.send(f"{JOBS}job/{verb}/"))) == 1


@pytest.mark.parametrize("fields", [*DAMAGES.values(), *OTHERS.values()], ids=[*DAMAGES, *OTHERS])
def test_those_who_may_only_look_see_it_too(at_noon, fields):
    damaged(fields)
    viewer = Admin("view_job")
    for tab in ("runs", "upcoming", "configuration", "alerts", "api") if CI else ("configuration",):
        assert "job" in text(viewer.read(PAGE, tab=tab))
    assert viewer.client.get(f"{JOBS}job/why/?at=2030-01-01T12:00").status_code == 200


@pytest.mark.parametrize("retries", [value["retries"] for value in OTHERS.values() if "retries" in value], ids=str)
def test_damaged_retries_are_told_and_repaired_by_the_form(admin, retries):
    damaged({"retries": retries})
    page = admin.read(CHANGE)
    assert "The stored retries is damaged" not in page
    assert "What is stored of retries is damaged" in page
    assert "<script>alert" not in page
    names = ("delay", "backoff", "max_delay", "jitter")
    admin.save(CHANGE, retries_max="1", **{f"retries_{name}": "" for name in names})
    assert Job.objects.get(pk="job").retries == {"max": 1, "delay": 10, "backoff": 2, "max_delay": 3600, "jitter": 0}
    assert "is damaged" not in admin.read(CHANGE)


def test_a_function_that_is_not_registered_is_still_shown_in_the_picker(admin):
    make_job(func="os:system")
    assert '<option value="os:system" selected>os:system (not registered)</option>' in admin.read(CHANGE)
    assert list(problems(admin.save(CHANGE))) == ["func"]


def test_a_job_that_the_scheduler_gave_up_is_broken_until_it_is_due_again(admin):
    make_job(next_run_time=None, error="its trigger raised")
    page = admin.read(JOBS)
    assert cell(page, "state") == "broken"
    assert "its trigger raised" in page
    Job.objects.update(next_run_time=NOW)
    assert cell(admin.read(JOBS), "state") == "pending"
