"""What pages do when answers come late, fail, or cross with what people do, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from jobs.models import Run
from tests.acceptance.browser import chromium_fixture  # noqa: F401
from tests.acceptance.test_admin_browser import row, tab  # noqa: F401
from tests.fakes import NOW, after, make_job, make_run

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

JOBS, RUNS = "/admin/cronzimus/job/", "/admin/cronzimus/run/"
LINES = "".join(f"line {number}\n" for number in range(1, 801))


def come_about(page: Page, condition: Callable[[], Any]) -> None:
    """Wait until `condition` holds, while the page's routes are served."""
    for _ in range(1500):
        if condition():
            return
        page.wait_for_timeout(20)
    raise AssertionError("it did not come about within 30 s")


def held(page: Page, address: str) -> list[Route]:
    """Return a list in which requests to `address`, a pattern, wait from now on."""
    waiting: list[Route] = []
    page.route(address, lambda route: waiting.append(route))
    return waiting


def held_polls(page: Page) -> list[Route]:
    """Turn the page's own polls off, and return a list in which those that are asked for wait, from now on."""
    page.evaluate("localStorage.setItem('cronzimus_refresh', 'off'); window.cronzimus.schedule()")
    waiting: list[Route] = []
    is_poll = "x-cronzimus-live"
    page.route("**/*", lambda it: waiting.append(it) if is_poll in it.request.headers else it.continue_())
    return waiting


def press_before_the_palette_answers(page: Page, words: str, *keys: str) -> None:
    """Open the palette, type `words` and press `keys` while its answers wait; then let them come."""
    page.keyboard.press("Control+k")
    expect(page.locator("#palette li").first).to_contain_text("Overview")
    asked = held(page, "**/palette/?*")
    page.keyboard.type(words)
    for key in keys:
        page.keyboard.press(key)
    come_about(page, lambda: asked and asked[-1].request.url.endswith(f"q={words}"))
    for route in asked:
        route.continue_()


def ask(page: Page) -> None:
    """Ask for the page's parts, without waiting for them."""
    page.evaluate("() => { window.cronzimus.refresh(); }")


def test_a_refresh_that_is_asked_for_during_another_one_follows_it(tab):  # noqa: F811
    make_run("nightly", status="running", started_at=NOW)
    tab.goto(RUNS)
    polls = held_polls(tab)
    ask(tab)
    come_about(tab, lambda: polls)
    old = polls[0].fetch()
    Run.objects.update(status="succeeded", finished_at=after(1))
    ask(tab)
    polls[0].fulfill(response=old)
    come_about(tab, lambda: len(polls) == 2)
    polls[1].continue_()
    expect(tab.locator("#result_list td.field-state")).to_have_text(re.compile("succeeded"))


def test_a_poll_without_an_answer_ends_and_the_page_says_so(tab):  # noqa: F811
    tab.clock.install()
    tab.goto(RUNS)
    polls = held_polls(tab)
    ask(tab)
    come_about(tab, lambda: polls)
    tab.clock.run_for(21_000)
    expect(tab.locator("#stale")).to_contain_text("The server did not answer")
    ask(tab)
    come_about(tab, lambda: len(polls) == 2)
    polls[1].continue_()
    expect(tab.locator("#stale")).to_have_count(0)


def test_the_log_that_was_asked_for_last_opens_and_ticks_stay(tab):  # noqa: F811
    first = make_run("nightly", status="failed", output="first\n")
    last = make_run("nightly", status="failed", output="last\n", scheduled_time=after(60))
    tab.goto(RUNS)
    tab.get_by_label(f"Select run {first.pk}").check()
    polls = held_polls(tab)
    for run in (first, last):
        tab.locator(f"#run-{run.pk}").get_by_role("link", name="Log").click()
    come_about(tab, lambda: len(polls) == 2)
    polls[1].continue_()
    expect(tab.locator("#result_list")).to_contain_text("last")
    expect(tab.locator("#result_list").get_by_text("first", exact=True)).to_have_count(0)
    expect(tab.get_by_label(f"Select run {first.pk}")).to_be_checked()


def test_a_click_before_and_one_after_a_refresh_run_a_job_once(tab):  # noqa: F811
    make_job(max_instances=5)
    tab.goto(JOBS)
    sent = held(tab, "**/job/job/run/")
    button = row(tab, "job").get_by_role("button", name="Run now")
    button.evaluate("async (button) => { button.click(); await window.cronzimus.refresh(); button.click(); }")
    come_about(tab, lambda: sent)
    tab.wait_for_timeout(300)
    assert len(sent) == 1
    sent[0].continue_()
    expect(tab.locator(".messagelist")).to_be_visible()
    assert Run.objects.count() == 1


def test_a_form_keeps_its_title_and_counts_failing_jobs(tab):  # noqa: F811
    job = make_job()
    tab.goto(f"{JOBS}job/edit/")
    title = tab.title()
    type(job).objects.update(last_status="failed")
    tab.evaluate("window.cronzimus.refresh()")
    expect(tab).to_have_title(f"(1) {title}")
    type(job).objects.update(last_status="succeeded")
    tab.evaluate("window.cronzimus.refresh()")
    expect(tab).to_have_title(title)


def test_enter_in_the_palette_waits_for_the_answer_about_what_is_typed(tab):  # noqa: F811
    make_job("nightly")
    tab.goto(JOBS)
    press_before_the_palette_answers(tab, "nightly", "Enter")
    expect(tab).to_have_url(re.compile(f"{JOBS}nightly/change/$"))


def test_a_log_is_scrolled_up_as_gently_as_its_reader_likes(tab):  # noqa: F811
    run = make_run(status="succeeded", output=LINES)
    tab.goto(f"{RUNS}{run.pk}/change/")
    last = tab.locator("#log").get_by_text("line 800", exact=True)
    expect(last).to_be_in_viewport()
    tab.locator("#log").hover()
    for _ in range(20):
        tab.mouse.wheel(0, -10)
        tab.wait_for_timeout(20)
    expect(last).not_to_be_in_viewport()


def test_two_clicks_fetch_earlier_lines_once(tab):  # noqa: F811
    run = make_run(status="succeeded", output=LINES)
    tab.goto(f"{RUNS}{run.pk}/change/")
    tab.get_by_role("link", name="Show 300 earlier lines").dblclick()
    expect(tab.locator("#log > li")).to_have_count(800)
    tab.wait_for_timeout(300)
    assert tab.locator("#log > li").count() == 800


def test_where_earlier_lines_cannot_be_fetched_the_whole_log_is_a_download(tab):  # noqa: F811
    run = make_run(status="succeeded", output=LINES)
    tab.goto(f"{RUNS}{run.pk}/change/")
    tab.route("**/*until=*", lambda route: route.fulfill(status=200, body="", content_type="text/html"))
    with tab.expect_download() as download:
        tab.get_by_role("link", name="Show 300 earlier lines").click()
    assert download.value.suggested_filename == f"run-{run.pk}.log"
    tab.unroute("**/*until=*")
    tab.get_by_role("link", name="Show 300 earlier lines").click()
    expect(tab.locator("#log > li")).to_have_count(800)


def test_arguments_are_not_typed_as_json_while_their_inputs_are_asked_for(tab):  # noqa: F811
    make_job("typed", func="tests:echo", kwargs={"value": 1})
    asked = held(tab, "**/arguments/")
    tab.goto(f"{JOBS}typed/edit/")
    come_about(tab, lambda: asked)
    expect(tab.get_by_label("Named arguments", exact=True)).to_be_hidden()
    asked[0].continue_()
    expect(tab.get_by_label("value")).to_have_value("1")


def test_a_late_script_leaves_the_focus_to_somebody_who_types(tab):  # noqa: F811
    tab.goto(f"{JOBS}add/")
    late = held(tab, "**/job_form*.js")
    tab.get_by_role("button", name="Save", exact=True).click(no_wait_after=True)
    expect(tab.locator("#summary")).to_be_visible()
    name = tab.get_by_label("Name", exact=True)
    name.focus()
    come_about(tab, lambda: late)
    late[0].continue_()
    tab.wait_for_load_state()
    expect(name).to_be_focused()
