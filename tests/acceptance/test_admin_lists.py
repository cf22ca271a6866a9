"""The lists of the admin in a real browser: actions in them, and their updates meanwhile."""

from __future__ import annotations

import re

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from jobs.models import Backfill, Job, Run
from tests.acceptance.browser import chromium_fixture  # noqa: F401
from tests.acceptance.test_admin_browser import row, tab  # noqa: F401
from tests.fakes import NOW, after, make_job, make_jobs, make_run

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

JOBS, RUNS = "/admin/cronzimus/job/", "/admin/cronzimus/run/"


def test_a_pause_is_resumed_with_all_of_its_fire_times(tab):  # noqa: F811
    long_ago = after(-86_400 * 365 * 10)
    daily = {"type": "cron", "crontab": "0 3 * * *", "start_date": "2026-01-01", "end_date": "2026-01-03"}
    make_job("nightly", paused=True, paused_at=long_ago, trigger=daily)
    tab.goto(JOBS)
    row(tab, "nightly").get_by_role("link", name="Resume").click()
    expect(tab.get_by_text("3 fire times fell into the pause")).to_be_visible()
    tab.get_by_label("All 3").check()
    tab.get_by_role("button", name="Resume").click()
    expect(tab.locator(".messagelist")).to_contain_text("3 fire times of the pause run now")
    assert tab.url.endswith(JOBS)
    assert Backfill.objects.get().fire_times == 3
    assert not Job.objects.get().paused


def test_the_bar_under_the_pointer_is_the_link_to_its_run(tab):  # noqa: F811
    make_job("nightly")
    for number in range(3):
        make_run("nightly", id=number + 1, status="failed", scheduled_time=after(-number), started_at=after(-number))
    tab.goto(JOBS)
    bars = row(tab, "nightly").locator(".bars-link")
    box = bars.bounding_box()
    assert box is not None
    tab.mouse.move(box["x"] + box["width"] - 6, box["y"] + 10)  # the second bar from the right
    expect(bars).to_have_attribute("href", f"{RUNS}2/change/")
    expect(bars).to_have_attribute("title", re.compile("^failed, 1 Jan 11:59"))
    assert tab.evaluate("window.cronzimus.refresh()")
    expect(bars).to_have_attribute("href", f"{RUNS}2/change/")
    tab.mouse.move(box["x"] + 2, box["y"] + 10)
    expect(bars).to_have_attribute("href", f"{RUNS}?job=nightly")
    tab.mouse.move(box["x"] + box["width"] - 2, box["y"] + 10)
    bars.click(position={"x": box["width"] - 2, "y": 10})
    expect(tab).to_have_url(re.compile(f"{RUNS}1/change/$"))


def test_new_runs_are_announced_and_ticks_stay(tab):  # noqa: F811
    first = make_run("nightly", status="running", started_at=NOW)
    tab.goto(RUNS)
    box = tab.get_by_label(f"Select run {first.pk}")
    box.check()
    Run.objects.update(status="succeeded", finished_at=after(1))
    later = make_run("nightly", status="failed", scheduled_time=after(60))
    tab.evaluate("window.cronzimus.refresh()")
    expect(tab.get_by_role("link", name="1 new run — show")).to_be_visible()
    expect(tab.locator("#result_list .field-state").nth(1)).to_have_text(re.compile("succeeded"))
    expect(tab.get_by_label(f"Select run {later.pk}")).to_have_count(0)
    expect(box).to_be_checked()
    expect(tab.get_by_role("button", name="Retry 1 run", exact=True)).to_be_visible()
    tab.get_by_role("link", name="1 new run — show").click()
    expect(tab.get_by_label(f"Select run {later.pk}")).to_be_visible()


def test_a_page_says_that_its_user_is_logged_out_and_goes_on_after_the_login(tab):  # noqa: F811
    tab.goto(JOBS)
    cookies = tab.context.cookies()
    tab.context.clear_cookies()
    tab.evaluate("window.cronzimus.refresh()")
    expect(tab.locator("#stale")).to_contain_text("You are logged out. Showing data from")
    expect(tab.get_by_role("link", name="Log in again")).to_have_attribute("href", re.compile(f"{JOBS}$"))
    tab.context.add_cookies(cookies)
    tab.evaluate("window.cronzimus.refresh()")
    expect(tab.locator("#stale")).to_have_count(0)


def test_the_palette_closes_with_one_key_whatever_is_typed(tab):  # noqa: F811
    make_job()
    tab.goto(JOBS)
    tab.keyboard.press("Control+k")
    tab.keyboard.type("job")
    expect(tab.locator("#palette li").first).to_contain_text("Jobs")
    tab.keyboard.press("Escape")
    expect(tab.locator("#palette")).to_be_hidden()
    tab.keyboard.press("g")
    tab.keyboard.press("r")
    tab.wait_for_url(f"**{RUNS}")


def offered(page):
    return page.locator("#qualifiers option").evaluate_all("options => options.map((option) => option.value)")


@pytest.mark.parametrize("path", ["/admin/cronzimus/run/", "/admin/cronzimus/run/timeline/"])
def test_a_search_offers_qualifiers_for_the_word_that_is_typed(tab, path):  # noqa: F811
    tab.goto(path)
    assert "status:failed" in offered(tab)
    search = tab.get_by_role("combobox", name="Search")
    search.fill("job:sync  status:f")
    assert offered(tab) == ["job:sync  status:failures", "job:sync  status:failed"]
    search.fill("job:sync status:failed")
    assert offered(tab) == []
    search.fill("job:sync ")
    assert "job:sync took:>30s" in offered(tab)


def test_many_are_selected_with_shift_and_by_the_page(tab):  # noqa: F811
    make_jobs(5)
    tab.goto(f"{JOBS}?o=id")
    bar = tab.get_by_role("group", name="Selected jobs")
    tab.get_by_label("Select job-1").check()
    tab.get_by_label("Select job-3").click(modifiers=["Shift"])
    expect(bar).to_contain_text("3 of 5 selected")
    tab.get_by_label("Select all jobs on this page").check()
    expect(bar.get_by_role("button", name="Delete 5 jobs…")).to_be_visible()
    bar.get_by_role("button", name="Delete 5 jobs…").click()
    tab.get_by_role("link", name="Cancel").click()
    expect(tab).to_have_url(re.compile(re.escape(f"{JOBS}?o=id") + "$"))
    assert Job.objects.count() == 5


def test_a_number_of_the_failures_opens_its_runs_and_what_is_open_is_retried(tab):  # noqa: F811
    make_job("sync")
    make_run("sync", id=7, status="failed", error="Timeout: no answer", scheduled_time=timezone.now())
    tab.goto(f"{RUNS}failures/")
    tab.locator(".cell").get_by_role("link").first.click()
    expect(tab.get_by_role("link", name="sync run 7")).to_be_visible()
    tab.go_back()
    tab.get_by_role("button", name="Retry open failures…").click()
    expect(tab.get_by_role("heading", name="Retry 1 run")).to_be_visible()
    tab.get_by_role("button", name="Retry 1 run").click()
    expect(tab.locator(".messagelist")).to_contain_text("Queued to run again: run 7")
    assert Run.objects.filter(attempt=2, trigger="retry").count() == 1


def test_keys_pressed_before_the_browser_paints_the_closed_palette_count(tab):  # noqa: F811
    tab.goto(JOBS)
    tab.keyboard.press("Control+k")
    expect(tab.get_by_role("combobox", name="Search or jump to")).to_be_focused()
    tab.evaluate(
        """() => {
          for (const key of ["Escape", "g", "r"]) {
            const press = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
            document.activeElement.dispatchEvent(press);
          }
        }"""
    )
    tab.wait_for_url(f"**{RUNS}")
