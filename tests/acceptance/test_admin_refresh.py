"""What a refresh of a page leaves in the hands of those who use it, in a real browser."""

from __future__ import annotations

import re

import pytest
from django.utils import timezone
from playwright.sync_api import Page, Request, expect

from jobs.models import Control, Run
from tests.acceptance.browser import chromium_fixture  # noqa: F401
from tests.acceptance.test_admin_browser import tab  # noqa: F401
from tests.acceptance.test_admin_late_answers import LINES, come_about, held, press_before_the_palette_answers
from tests.fakes import NOW, after, make_job, make_run

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

JOBS, RUNS = "/admin/cronzimus/job/", "/admin/cronzimus/run/"


def refresh(page: Page) -> None:
    """Have the page ask for its parts, and show them."""
    assert page.evaluate("window.cronzimus.refresh()")


def focused_row(page: Page) -> str:
    """Return the key of the row that has the focus."""
    return str(page.evaluate("document.activeElement.closest('tr')?.dataset.key ?? ''"))


def make_running(number: int) -> list[Run]:
    """Write running runs, the latest first, as their list has them."""
    return [
        make_run(f"job-{one}", status="running", scheduled_time=after(-one), started_at=NOW) for one in range(number)
    ]


def test_the_log_of_a_queued_run_streams_once_it_starts(tab):  # noqa: F811
    run = make_run("nightly")
    tab.goto(f"{RUNS}{run.pk}/change/")
    tab.get_by_label("Find in the log").fill("hello")
    Run.objects.update(status="running", started_at=NOW, scheduler_id="s1", output="hello 1\n")
    refresh(tab)
    expect(tab.locator("#log")).to_contain_text("hello 1")
    Run.objects.update(output="hello 1\nhello 2\n")
    expect(tab.locator("#log")).to_contain_text("hello 2")
    expect(tab.get_by_label("Find in the log")).to_have_value("hello")


def test_a_banner_that_comes_leaves_the_log_as_it_is(tab):  # noqa: F811
    run = make_run("nightly", status="running", started_at=NOW, scheduler_id="s1", output=LINES)
    tab.goto(f"{RUNS}{run.pk}/change/")
    tab.locator("#log").evaluate("log => { window.log = log; log.scrollTop = 100; }")
    Run.objects.update(cancel_requested_at=NOW)
    refresh(tab)
    expect(tab.locator("[data-key=banner]")).to_contain_text("Cancel asked")
    assert tab.evaluate("window.log === document.getElementById('log') && window.log.scrollTop") == 100


def test_a_key_that_comes_late_for_a_cancel_is_no_retry(tab):  # noqa: F811
    run = make_run("nightly", status="running", started_at=NOW, scheduler_id="s1")
    tab.goto(f"{RUNS}{run.pk}/change/")
    tab.get_by_role("button", name="Cancel").focus()
    Run.objects.update(status="succeeded", finished_at=after(1))
    refresh(tab)
    expect(tab.get_by_role("button", name="Retry")).to_be_visible()
    asked: list[Request] = []
    tab.on("request", lambda request: asked.append(request))
    tab.keyboard.press("Space")
    tab.wait_for_timeout(300)
    assert not [request.url for request in asked if request.method == "POST"]


def test_a_click_that_comes_late_for_a_cancel_is_no_retry(tab):  # noqa: F811
    run = make_run("nightly", status="running", started_at=NOW, scheduler_id="s1")
    tab.clock.install(time=NOW)
    tab.goto(f"{RUNS}{run.pk}/change/")
    tab.clock.pause_at(after(60))  # a click comes within the half second, however slow the machine is
    box = tab.get_by_role("button", name="Cancel").bounding_box()
    Run.objects.update(status="succeeded", finished_at=after(1))
    tab.evaluate("window.cronzimus.refresh()")  # if another one is under way, it follows that
    expect(tab.get_by_role("button", name="Retry")).to_be_visible()
    tab.mouse.click(box["x"] + 40, box["y"] + 10)
    expect(tab.locator("#announcement")).to_have_text("The page changed just now; click again.")
    assert Run.objects.count() == 1
    tab.clock.run_for(600)
    tab.mouse.click(box["x"] + 40, box["y"] + 10)
    expect(tab.locator(".messagelist")).to_contain_text("Queued to run again")


def test_the_focus_stays_on_its_row_when_rows_before_it_go(tab):  # noqa: F811
    runs = make_running(4)
    tab.goto(f"{RUNS}?status=running")
    for _ in range(3):
        tab.keyboard.press("j")
    assert focused_row(tab) == str(runs[2].pk)
    Run.objects.filter(pk=runs[0].pk).update(status="succeeded", finished_at=after(1))
    refresh(tab)
    assert focused_row(tab) == str(runs[2].pk)
    tab.keyboard.press("j")
    assert focused_row(tab) == str(runs[3].pk)


def test_the_focus_stays_on_its_row_when_rows_change_places(tab):  # noqa: F811
    job = make_job("a", next_run_time=after(10))
    for number, job_id in enumerate("bc"):
        make_job(job_id, next_run_time=after(20 + number))
    tab.goto(f"{JOBS}?o=next")
    tab.keyboard.press("j")
    tab.keyboard.press("j")
    assert focused_row(tab) == "b"
    type(job).objects.filter(pk="a").update(next_run_time=after(3600))
    refresh(tab)
    expect(tab.locator("#result_list tbody tr").last).to_contain_text("a")
    assert focused_row(tab) == "b"


def test_keys_pass_an_open_log_and_work_after_a_tick_by_mouse(tab):  # noqa: F811
    runs = make_running(3)
    tab.goto(RUNS)
    tab.locator(f"#run-{runs[1].pk}").get_by_role("link", name="Log").click()
    expect(tab.locator("tr.log-row")).to_have_count(1)
    tab.get_by_label(f"Select run {runs[0].pk}").check()
    tab.keyboard.press("j")
    assert focused_row(tab) == str(runs[1].pk)
    tab.keyboard.press("j")
    assert focused_row(tab) == str(runs[2].pk)
    tab.keyboard.press("k")
    assert focused_row(tab) == str(runs[1].pk)


def test_a_g_of_long_ago_makes_no_command_of_the_next_key(tab):  # noqa: F811
    make_running(2)
    tab.goto(RUNS)
    tab.keyboard.press("g")
    tab.wait_for_timeout(1600)
    tab.keyboard.press("j")
    tab.wait_for_timeout(200)
    assert tab.url.endswith(RUNS)
    assert focused_row(tab)


def test_what_is_typed_is_guarded_after_an_answer_that_nothing_was_saved(tab):  # noqa: F811
    tab.goto(f"{JOBS}add/")
    tab.get_by_label("Id", exact=True).click()
    tab.keyboard.type("nightly")
    tab.get_by_role("button", name="Save", exact=True).click()
    expect(tab.locator("#summary")).to_be_visible()
    tab.wait_for_load_state()
    tab.locator("#summary").click(position={"x": 2, "y": 2})
    asked = []
    tab.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    tab.get_by_role("link", name="Jobs", exact=True).first.click()
    expect(tab).to_have_url(re.compile(f"{JOBS}$"))
    assert asked == ["beforeunload"]


def test_a_form_that_got_no_page_is_sent_again_once_somebody_goes_on(tab):  # noqa: F811
    make_job()
    tab.goto(f"{JOBS}job/edit/")
    sent = held(tab, "**/job/job/edit/")
    save = tab.get_by_role("button", name="Save", exact=True)
    save.click(no_wait_after=True)
    come_about(tab, lambda: sent)
    sent[0].fulfill(status=204)
    save.click(no_wait_after=True)
    tab.wait_for_timeout(200)
    assert len(sent) == 1
    tab.get_by_label("Description", exact=True).fill("again")
    save.click(no_wait_after=True)
    come_about(tab, lambda: len(sent) == 2)
    sent[1].continue_()
    expect(tab).to_have_url(re.compile("/job/job/change/$"))


def test_find_counts_and_visits_only_the_lines_that_show(tab):  # noqa: F811
    run = make_run(status="failed", output=f"{LINES}ERROR jobs: line 79 is wrong\n")
    tab.goto(f"{RUNS}{run.pk}/change/")
    tab.get_by_label("Find in the log").fill("line 79")
    expect(tab.locator("[data-found]")).to_have_text("11 lines")
    tab.get_by_label("Only stderr, warnings and errors").check()
    expect(tab.locator("[data-found]")).to_have_text("1 line")
    tab.get_by_label("Find in the log").press("Enter")
    expect(tab.locator("#log .here")).to_have_text(re.compile("ERROR"))


def test_find_goes_on_from_where_it_is_after_earlier_lines_have_come(tab):  # noqa: F811
    run = make_run(status="succeeded", output=LINES)
    tab.goto(f"{RUNS}{run.pk}/change/")
    find = tab.get_by_label("Find in the log")
    find.fill("0")
    first = tab.locator("#log .here").inner_text()
    tab.get_by_role("link", name="Show 300 earlier lines").click()
    expect(tab.locator("#log > li")).to_have_count(800)
    find.press("Enter")
    assert tab.locator("#log .here").inner_text() > first


def test_a_line_without_its_end_stays_as_it_is_while_nothing_is_written(tab):  # noqa: F811
    run = make_run(status="running", started_at=NOW, scheduler_id="s1", output="one\nprogress 10%")
    tab.goto(f"{RUNS}{run.pk}/change/")
    tab.evaluate("window.line = document.querySelector('#log [data-open]')")
    with tab.expect_response("**/log/?*"):
        pass
    with tab.expect_response("**/log/?*"):
        pass
    assert tab.evaluate("window.line.isConnected")
    Run.objects.update(output="one\nprogress 20%")
    expect(tab.locator("#log [data-open]")).to_contain_text("20%")
    expect(tab.locator("#log > li")).to_have_count(2)


def test_a_log_that_grows_for_hours_keeps_its_latest_lines_and_says_where_the_others_are(tab):  # noqa: F811
    run = make_run("nightly", status="running", started_at=NOW, scheduler_id="s1", output="0\n")
    tab.goto(f"{RUNS}{run.pk}/change/")
    lines = "".join(f"{number}\n" for number in range(10_001))
    Run.objects.update(output=lines)
    rows = tab.locator("#log > li")
    expect(rows.last).to_contain_text("10000")
    expect(rows).to_have_count(5_001)
    expect(rows.first).to_have_text("Earlier lines are in the download.")
    expect(rows.last).to_be_in_viewport()


def test_arrows_count_while_the_palette_waits_and_an_action_is_not_done_unseen(tab):  # noqa: F811
    make_job("nightly")
    tab.goto(JOBS)
    press_before_the_palette_answers(tab, "nightly", "ArrowDown", "Enter")
    expect(tab.locator("#palette [aria-selected=true]")).to_contain_text("Run now: nightly")
    assert Run.objects.count() == 0
    tab.keyboard.press("Enter")
    expect(tab.locator(".messagelist")).to_be_visible()
    assert Run.objects.count() == 1


@pytest.mark.parametrize("name", ["palette", "jobs"])
def test_an_input_method_and_another_alphabet_have_their_keys(tab, name):  # noqa: F811
    tab.goto(RUNS)
    press = "(init) => document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {...init, bubbles: true}))"
    if name == "jobs":
        for key, code in (("п", "KeyG"), ("о", "KeyJ")):
            tab.evaluate(press, {"key": key, "code": code})
        return expect(tab).to_have_url(re.compile(f"{JOBS}$"))
    tab.evaluate(press, {"key": "л", "code": "KeyK", "ctrlKey": True})
    expect(tab.locator("#palette li").first).to_contain_text("Overview")
    tab.evaluate(press, {"key": "Enter", "isComposing": True})
    expect(tab.locator("#palette")).to_be_visible()
    return None


def test_a_poll_sets_the_clock_of_the_page(tab):  # noqa: F811
    make_run("nightly", status="failed", scheduled_time=timezone.now(), started_at=timezone.now())
    tab.goto(RUNS)
    tab.evaluate("Date.now = (now => () => now() + 3_600_000)(Date.now.bind(Date))")
    refresh(tab)
    expect(tab.locator("#result_list .field-scheduled time[data-ago]").first).to_have_text(
        re.compile(r"^(now|\d+ s ago)$")
    )


def test_a_form_that_is_folded_out_stays_while_somebody_types_in_it(tab):  # noqa: F811
    tab.goto("/admin/cronzimus/scheduler/")
    tab.get_by_text("Pause all…").click()
    reason = tab.get_by_label("Reason", exact=True)
    reason.fill("the database moves")
    Control.objects.update_or_create(defaults={"paused": True, "paused_at": NOW})
    tab.evaluate("window.cronzimus.refresh()")
    expect(reason).to_have_value("the database moves")
    tab.evaluate("document.activeElement.blur()")
    refresh(tab)
    expect(tab.get_by_text("Resume all…")).to_be_visible()
    expect(tab.get_by_role("button", name="Resume all")).to_be_hidden()
