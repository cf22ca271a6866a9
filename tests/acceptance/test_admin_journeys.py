"""Ways through the admin in a real browser: what people come for, from the first click to the last."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from playwright.sync_api import Browser, Page, expect

from jobs import services
from jobs.core.audit import Door, Origin, acting
from jobs.models import Job, Run
from tests.acceptance.browser import chromium_fixture, log_in, watch  # noqa: F401
from tests.acceptance.test_admin_browser import tab  # noqa: F401
from tests.fakes import NOW, after, make_job, make_run

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

DOING = re.compile(r"^(Run now|Pause|Edit|Delete|Duplicate|Retry|New job)\b")
"""The words of what a viewer is not offered."""
JOBS, RUNS = "/admin/cronzimus/job/", "/admin/cronzimus/run/"


def test_a_job_is_run_with_other_arguments(tab: Page) -> None:  # noqa: F811
    make_job("nightly", func="tests:echo", kwargs={"value": 1})
    tab.goto(f"{JOBS}nightly/change/")
    tab.get_by_role("link", name="Run now…").click()
    tab.get_by_label("value").fill("[2, 3]")
    tab.get_by_role("button", name="Run now").click()
    expect(tab).to_have_url(re.compile(rf"{RUNS}\d+/change/$"))
    run = Run.objects.get()
    assert (run.kwargs, run.trigger, run.actor) == ({"value": [2, 3]}, "manual", "ana")
    assert Job.objects.get().kwargs == {"value": 1}


def test_a_definition_is_tried_in_a_tab_of_its_own_and_the_form_stays(tab: Page) -> None:  # noqa: F811
    make_job("nightly", func="tests:echo", kwargs={"value": 1})
    tab.goto(f"{JOBS}nightly/edit/")
    tab.get_by_label("value").fill("2")
    with tab.expect_popup() as opened:
        tab.get_by_role("button", name="Test run").click()
    expect(opened.value.get_by_role("heading", level=1)).to_contain_text("Test run")
    expect(tab.locator("#unsaved")).to_have_text("1 change not saved")
    assert Run.objects.get().kwargs == {"value": 2}
    assert Job.objects.get().kwargs == {"value": 1}
    tab.get_by_role("button", name="Save", exact=True).click()  # or the guard asks when the tab is closed
    expect(tab).to_have_url(re.compile("/nightly/change/$"))


def test_it_is_found_out_why_a_fire_time_was_skipped(tab: Page) -> None:  # noqa: F811
    make_job("slow", created_at=after(-90_000), last_run_at=NOW)
    make_run("slow", id=1, status="running", scheduled_time=after(-30), started_at=after(-30))
    make_run("slow", id=2, status="skipped", scheduled_time=after(-20), reason="run 1 was active; max_instances is 1")
    tab.goto(f"{JOBS}slow/why/?at={after(-20):%Y-%m-%dT%H:%M:%SZ}")
    expect(tab.locator("#cronzimus-page")).to_contain_text("Run 1 was still going")
    tab.get_by_role("link", name="The run in its way, 1").click()
    expect(tab.get_by_role("heading", level=1)).to_contain_text("Run 1")


def test_a_version_is_compared_and_restored(tab: Page) -> None:  # noqa: F811
    make_job("nightly", name="First")
    services.update_job("nightly", {"name": "Second"}, now=NOW)
    tab.goto(f"{JOBS}nightly/change/")
    tab.get_by_role("link", name="Versions").click()
    expect(tab.locator("ins").first).to_contain_text("Second")
    tab.get_by_text("Revert to version 1").click()
    tab.get_by_label("Give nightly the definition of version 1").check()
    tab.get_by_role("button", name="Revert").click()
    expect(tab.locator(".messagelist")).to_contain_text("Job nightly has the definition of version 1 again")
    assert Job.objects.get().name == "First"


def test_two_editors_do_not_overwrite_each_other_unseen(tab: Page) -> None:  # noqa: F811
    make_job("nightly", name="First")
    tab.goto(f"{JOBS}nightly/edit/")
    tab.get_by_label("Owner", exact=True).fill("ops")
    with acting(Origin(actor="ben", door=Door.API)):
        services.update_job("nightly", {"name": "Theirs"}, now=NOW)
    tab.get_by_role("button", name="Save", exact=True).click()
    conflict = tab.get_by_role("table").filter(has_text="When you opened it")
    expect(conflict.get_by_role("row", name="Name")).to_contain_text("Theirs")
    expect(tab.get_by_role("note").filter(has_text="ben changed this job")).to_be_visible()
    tab.wait_for_load_state()  # its script gives the focus to the summary of what is wrong
    tab.get_by_label("Name", exact=True).fill("Theirs")
    tab.get_by_role("button", name="Save", exact=True).click()
    expect(tab).to_have_url(re.compile("/nightly/change/$"))
    job = Job.objects.get()
    assert (job.name, job.owner) == ("Theirs", "ops")


def test_a_viewer_sees_everything_and_changes_nothing(chromium: Browser, live_server: Any) -> None:
    make_job("nightly")
    make_run("nightly", id=1, status="failed", started_at=NOW, error="Oops: no")
    viewer = User.objects.create_user("vic", password="secret", is_staff=True)
    viewer.groups.add(Group.objects.get(name="Cronzimus viewer"))
    context = chromium.new_context(base_url=live_server.url)
    page = context.new_page()
    wrong = watch(page, live_server.url)
    log_in(page, "vic")
    for path in (JOBS, f"{JOBS}nightly/change/", RUNS, f"{RUNS}1/change/", f"{RUNS}failures/", f"{RUNS}timeline/"):
        page.goto(path)
        doing = page.locator("#cronzimus-page").locator("button, a").filter(has_text=DOING)
        expect(doing).to_have_count(0)
    assert wrong == []
    for path in (f"{JOBS}add/", f"{JOBS}nightly/edit/", f"{JOBS}nightly/run-with/", f"{JOBS}nightly/delete/"):
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 403
        expect(page.locator("#content-start")).to_contain_text("role")
    cookie = next(one["value"] for one in context.cookies() if one["name"] == settings.CSRF_COOKIE_NAME)
    for path in (f"{JOBS}nightly/pause/", f"{JOBS}nightly/run/", f"{RUNS}1/retry/"):
        answered = page.request.post(path, form={"csrfmiddlewaretoken": cookie}, headers={"Referer": live_server.url})
        assert answered.status == 403
    context.close()
    assert not Job.objects.get().paused
    assert Run.objects.count() == 1
