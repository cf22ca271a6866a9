"""The admin in a real browser: jobs are made, watched and changed, without errors and without other hosts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from jobs.models import Control, Job, Run
from tests.acceptance.browser import chromium_fixture, log_in, watch  # noqa: F401
from tests.fakes import NOW, after, make_job, make_jobs, make_run, make_scheduler

SHOTS = os.environ.get("SHOTS", "")
"""A folder for pictures of the pages, for those who want to look at them."""
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1400, "height": 900}

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def tab(chromium: Browser, live_server: Any) -> Iterator[Page]:
    """A tab of somebody who is logged in; errors of the browser, and requests to other hosts, fail the test."""
    User.objects.create_superuser("ana", password="secret")
    context = chromium.new_context(base_url=live_server.url, viewport=DESK)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(60_000)
    wrong = watch(page, live_server.url)
    log_in(page)
    yield page
    context.close()
    assert wrong == []


def shoot(page: Page, name: str) -> None:
    """Take a picture of the page on a desk and on a phone, and see that neither has to be scrolled sideways."""
    page.wait_for_load_state()  # its texts may be there before its style sheets
    for size in (PHONE, DESK):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        lists = page.locator(".results:visible")
        assert all(lists.evaluate_all("found => found.map(list => list.scrollWidth <= list.clientWidth)")), size
        if SHOTS:
            page.screenshot(path=f"{SHOTS}/{name}-{size['width']}.png", full_page=True)


def choose(page: Page, kind: str) -> None:
    """Choose a kind of trigger by its label, as people do."""
    page.locator(f'.kinds input[value="{kind}"] + label').click()


def row(page: Page, job_id: str) -> Any:
    """Return the row of a job in the list."""
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=job_id, exact=True))


def test_a_job_is_added_with_its_fire_times_seen_before(tab):
    tab.goto("/admin/cronzimus/job/add/")
    tab.get_by_label("Id", exact=True).fill("nightly")
    tab.get_by_label("Function", exact=True).select_option("tests:record")
    tab.get_by_label("Minutes", exact=True).fill("5")
    expect(tab.locator("#preview")).to_contain_text("Every 5 minutes.")
    expect(tab.locator("#preview").get_by_role("row")).to_have_count(11)
    shoot(tab, "add")
    tab.get_by_role("button", name="Save", exact=True).click()
    expect(tab.locator(".messagelist")).to_contain_text("Schedule of nightly: next run")
    expect(tab.get_by_role("heading", name="nightly")).to_be_visible()
    expect(tab.get_by_text("Every 5 minutes")).to_be_visible()
    assert Job.objects.get().trigger == {"type": "interval", "minutes": 5}


def test_only_the_inputs_of_the_chosen_trigger_show(tab):
    tab.goto("/admin/cronzimus/job/add/")
    inputs = {"interval": "Seconds", "cron": "Day of week", "crontab": "Crontab line", "date": "Run date"}
    for kind in inputs:
        choose(tab, kind)
        for other, label in inputs.items():
            expect(tab.get_by_label(label, exact=True)).to_be_visible(visible=kind == other)
        expect(tab.get_by_label("Jitter", exact=True)).to_be_visible(visible=kind != "date")


def test_what_was_tested_is_saved_right_after(tab):
    make_job()
    tab.goto("/admin/cronzimus/job/job/edit/")
    tab.get_by_label("Description", exact=True).fill("Tested first")
    with tab.context.expect_page() as opened:
        tab.get_by_role("button", name="Test run").click()
    opened.value.wait_for_load_state()
    opened.value.close()
    tab.get_by_role("button", name="Save", exact=True).click()
    expect(tab.get_by_text("Tested first")).to_be_visible()
    assert Job.objects.get().description == "Tested first"


def test_a_long_error_breaks_no_word_beside_it_and_makes_no_row_high(tab):
    make_job("nightly")
    error = f"CalledProcessError: Command '/usr/bin/export {'s3://warehouse.example.com/very/long/' * 5}' failed"
    make_run("nightly", status="failed", error=error, scheduler_id="web-1-7-0a1b", finished_at=timezone.now())
    tab.goto("/admin/cronzimus/job/nightly/change/")
    lines = "cell => {const text = new Range(); text.selectNodeContents(cell); return text.getClientRects().length}"
    for name in ("Trigger", "Host"):
        assert tab.locator(f"#runs [data-label={name}]").evaluate(lines) == 1
    tab.goto("/admin/cronzimus/run/failures/")
    assert tab.locator("#result_list tbody tr").evaluate("row => row.clientHeight") < 64


def test_two_clicks_run_a_job_once(tab):
    make_job(max_instances=5)
    tab.goto("/admin/cronzimus/job/")
    row(tab, "job").get_by_role("button", name="Run now").dblclick()
    expect(tab.locator(".messagelist")).to_be_visible()
    assert Run.objects.count() == 1


def test_the_preview_follows_what_is_typed_and_says_what_is_wrong(tab):
    make_job()
    tab.goto("/admin/cronzimus/job/job/edit/")
    preview = tab.locator("#preview")
    expect(preview).to_contain_text("Every 10 seconds.")
    choose(tab, "crontab")
    tab.get_by_label("Crontab line", exact=True).fill("30 2 * *")
    expect(preview.get_by_role("listitem")).to_contain_text("Crontab line:")
    tab.get_by_label("Crontab line", exact=True).fill("30 2 * * 1-5")
    tab.get_by_role("combobox", name="Time zone").fill("Europe/Berlin")
    expect(preview).to_contain_text("At 02:30 on Monday through Friday (Europe/Berlin).")
    shoot(tab, "change")
    tab.get_by_role("button", name="Save", exact=True).click()
    expect(tab).to_have_url(re.compile("/job/job/change/$"))
    expect(tab.get_by_text("At 02:30 on Monday through Friday").first).to_be_visible()
    assert Job.objects.get().trigger == {"type": "cron", "crontab": "30 2 * * 1-5", "timezone": "Europe/Berlin"}


def test_what_is_wrong_is_said_at_the_fields_and_nothing_is_lost(tab):
    tab.goto("/admin/cronzimus/job/add/")
    tab.get_by_label("Id", exact=True).fill("no blanks")
    tab.get_by_label("Seconds", exact=True).fill("0")
    tab.get_by_role("button", name="Save", exact=True).click()
    expect(tab.locator(".errorlist").first).to_be_visible()
    expect(tab.locator(".field-id .errorlist, .field-func .errorlist")).to_have_count(2)
    expect(tab.get_by_label("Id", exact=True)).to_have_value("no blanks")
    expect(tab.locator("#preview")).to_contain_text("must be longer than 0")
    shoot(tab, "errors")


def test_a_row_is_paused_resumed_run_and_duplicated(tab):
    make_job("nightly")
    tab.goto("/admin/cronzimus/job/?q=nightly")
    row(tab, "nightly").get_by_role("button", name="Pause").click()
    expect(row(tab, "nightly").locator(".field-state")).to_have_text(re.compile("paused"))
    row(tab, "nightly").get_by_role("button", name="Resume").click()
    expect(row(tab, "nightly").locator(".field-state")).to_have_text(re.compile("pending"))
    tab.wait_for_load_state()  # without its script the link leads to the job's page
    row(tab, "nightly").get_by_role("link", name="More of nightly").click()
    tab.get_by_role("button", name="Duplicate").click()
    expect(row(tab, "nightly-copy").locator(".field-state")).to_have_text(re.compile("paused"))
    assert "q=nightly" in tab.url
    row(tab, "nightly").get_by_role("button", name="Run now").click()
    expect(tab.locator(".messagelist")).to_contain_text("Queued to run")
    shoot(tab, "jobs")
    tab.locator(".messagelist").get_by_role("link", name=re.compile("run")).click()
    expect(tab.get_by_role("heading", name="Run", level=1)).to_be_visible()
    assert Run.objects.get().actor == "ana"


def test_the_same_is_done_on_the_jobs_own_page(tab):
    make_job("nightly")
    tab.goto("/admin/cronzimus/job/nightly/change/")
    tab.get_by_text("Pause…").click()
    tab.get_by_role("button", name="Pause until it is resumed").click()
    expect(tab.get_by_text("Paused since")).to_be_visible()
    assert Job.objects.get().paused


def test_many_are_paused_at_once(tab):
    make_jobs(3)
    tab.goto("/admin/cronzimus/job/")
    expect(tab.get_by_role("group", name="Selected jobs")).to_be_hidden()
    for job_id in ("job-0", "job-2"):
        row(tab, job_id).get_by_role("checkbox").check()
    bar = tab.get_by_role("group", name="Selected jobs")
    expect(bar).to_contain_text("2 of 3 selected")
    bar.get_by_role("button", name="Pause 2 jobs").click()
    expect(tab.get_by_role("heading", name="Pause 2 jobs")).to_be_visible()
    shoot(tab, "pause-many")
    tab.get_by_role("button", name="Pause 2 jobs").click()
    expect(tab.locator(".messagelist")).to_contain_text("Paused: job-0; job-2.")
    assert list(Job.objects.filter(paused=True).values_list("pk", flat=True)) == ["job-0", "job-2"]


def test_a_filter_opens_and_narrows_the_list(tab):
    make_job("off", paused=True)
    make_job("on", last_status="succeeded", last_run_at=NOW)
    tab.goto("/admin/cronzimus/job/")
    tab.get_by_role("navigation", name="Jobs by state").get_by_role("link", name="Paused").click()
    expect(row(tab, "off")).to_be_visible()
    expect(row(tab, "on")).to_have_count(0)
    tab.goto("/admin/cronzimus/job/")
    tab.get_by_text("Last result: any").click()
    tab.get_by_role("link", name="failed").click()
    expect(tab.get_by_role("heading", name="No job matches")).to_be_visible()
    tab.get_by_role("link", name="Clear the filters").click()
    expect(row(tab, "on")).to_be_visible()


def test_the_page_of_a_run_shows_output_that_does_nothing(tab):
    evil = "<script>document.title = 'caught'</script>"
    run = make_run(status="failed", output=f"{evil}\n" * 500, error=evil, traceback=evil, started_at=None)
    tab.goto("/admin/cronzimus/run/")
    shoot(tab, "runs")
    tab.get_by_role("link", name=f"job run {run.pk}", exact=True).click()
    expect(tab.locator("#log")).to_contain_text(evil)
    expect(tab.get_by_text("(removed)").first).to_be_visible()
    expect(tab).not_to_have_title("caught")
    shoot(tab, "run")


def test_a_crontab_line_its_fields_and_its_presets_are_one(tab):
    tab.goto("/admin/cronzimus/job/add/")
    choose(tab, "crontab")
    tab.get_by_role("button", name="weekdays at 9").click()
    expect(tab.get_by_label("Crontab line", exact=True)).to_have_value("0 9 * * 1-5")
    expect(tab.get_by_label("weekday", exact=True)).to_have_value("1-5")
    tab.get_by_label("hour", exact=True).fill("7")
    expect(tab.get_by_label("Crontab line", exact=True)).to_have_value("0 7 * * 1-5")
    expect(tab.locator("#preview")).to_contain_text("At 07:00 on Monday through Friday")


def test_the_function_brings_an_input_for_each_parameter(tab):
    tab.goto("/admin/cronzimus/job/add/")
    tab.get_by_label("Id", exact=True).fill("typed")
    tab.get_by_label("Function", exact=True).select_option("tests:echo")
    expect(tab.get_by_label("Named arguments", exact=True)).to_be_hidden()
    tab.locator("#arguments").get_by_role("textbox").first.fill('"hello"')
    tab.get_by_label("Minutes", exact=True).fill("5")
    tab.get_by_role("button", name="Save paused").click()
    expect(tab.get_by_text("Paused since")).to_be_visible()
    job = Job.objects.get()
    assert job.paused
    assert "hello" in [*job.args, *job.kwargs.values()]


def test_a_late_answer_about_another_function_changes_no_inputs(tab):
    held = []
    tab.route("**/arguments/", lambda route: route.continue_() if held else held.append(route))
    tab.goto("/admin/cronzimus/job/add/")
    while not held:
        tab.wait_for_timeout(20)
    tab.get_by_label("Function", exact=True).select_option("tests:echo")
    first = tab.locator("#arguments").get_by_role("textbox").first
    first.fill('"hello"')
    held[0].continue_()
    tab.wait_for_timeout(300)
    expect(first).to_have_value('"hello"')


def test_a_live_log_is_followed_until_the_reader_scrolls_up(tab):
    lines = "".join(f"line {number}\n" for number in range(1, 101))
    run = make_run(status="running", started_at=after(0), scheduler_id="s1", output=lines)
    tab.goto(f"/admin/cronzimus/run/{run.pk}/change/")
    log = tab.locator("#log")
    expect(log.get_by_text("line 100")).to_be_in_viewport()
    Run.objects.update(output=f"{lines}line 101\n")
    expect(log.get_by_text("line 101")).to_be_in_viewport()
    log.evaluate("log => { log.scrollTop = 0; }")
    Run.objects.update(output=f"{lines}line 101\nline 102\nline 103\n")
    tab.get_by_role("button", name="Show 2 new lines").click()
    expect(log.get_by_text("line 103")).to_be_in_viewport()
    tab.get_by_label("Find in the log").fill("line 42")
    expect(tab.get_by_text("1 line", exact=True)).to_be_visible()
    expect(log.get_by_text("line 42", exact=True)).to_be_in_viewport()
    Run.objects.update(status="succeeded", finished_at=after(1))
    expect(tab.locator(".log-panel .state")).to_have_text("ended")


def test_earlier_lines_of_a_log_are_fetched_in_place(tab):
    lines = "".join(f"line {number}\n" for number in range(1, 801))
    run = make_run(status="succeeded", output=lines)
    tab.goto(f"/admin/cronzimus/run/{run.pk}/change/")
    expect(tab.locator("#log > li")).to_have_count(500)
    tab.get_by_role("link", name="Show 300 earlier lines").click()
    expect(tab.locator("#log > li")).to_have_count(800)
    assert tab.locator("#log > li").first.inner_text() == "line 1"


def test_policies_unfold_and_are_saved_and_what_is_wrong_with_them_is_seen(tab):
    make_job()
    tab.goto("/admin/cronzimus/job/job/edit/")
    expect(tab.get_by_label("First delay", exact=True)).to_be_hidden()
    tab.locator("summary").filter(has_text="Retries").click()
    tab.get_by_label("Retries", exact=True).fill("3")
    tab.get_by_label("First delay", exact=True).fill("5")
    tab.get_by_label("Backoff", exact=True).fill("1000")
    tab.get_by_role("button", name="Save", exact=True).click()
    expect(tab.locator(".field-retries_backoff .errorlist")).to_contain_text("Must be a number from 1 to 100")
    shoot(tab, "policies-wrong")
    tab.get_by_label("Backoff", exact=True).fill("1.5")
    expect(tab.locator(".retries")).to_be_visible()
    shoot(tab, "policies")
    tab.get_by_role("button", name="Save", exact=True).click()
    expect(tab).to_have_url(re.compile("/job/job/change/$"))
    assert Job.objects.get().retries == {"max": 3, "delay": 5, "backoff": 1.5, "max_delay": 3600, "jitter": 0}


def test_a_job_is_paused_until_an_instant(tab):
    make_job("nightly")
    tab.goto("/admin/cronzimus/job/nightly/change/")
    tab.get_by_text("Pause…").click()
    shoot(tab, "pause-until")
    tab.get_by_label("Pause until", exact=True).fill("2020-01-01T10:00:00")
    tab.get_by_role("button", name="Pause until then").click()
    expect(tab.locator(".errorlist")).to_have_text("Lies in the past")
    shoot(tab, "pause-until-wrong")
    tab.get_by_label(re.compile("^Pause until")).fill("2050-01-01T10:00:00")
    tab.get_by_role("button", name="Pause", exact=True).click()
    expect(tab.locator(".messagelist").first).to_contain_text("paused until 2050-01-01 10:00:00 UTC")
    tab.goto("/admin/cronzimus/job/")
    expect(row(tab, "nightly")).to_contain_text("until 1 Jan 2050")
    shoot(tab, "paused-until")


def test_runs_are_cancelled_and_tried_again(tab):
    make_job("nightly")
    held = make_run("nightly", status="running", scheduler_id="s1", started_at=after(-5), progress_done=40,
                    progress_total=100, executor="process")  # fmt: skip
    failed = make_run("nightly", status="failed", scheduled_time=after(-60), error="RuntimeError: no")
    tab.goto("/admin/cronzimus/run/")
    shoot(tab, "runs-active")
    tab.get_by_role("button", name=f"run {failed.pk}").click()
    expect(tab.locator(".messagelist")).to_contain_text(f"Queued to run again: run {failed.pk}")
    tab.goto(f"/admin/cronzimus/run/{held.pk}/change/")
    expect(tab.get_by_text("Cancel stops its process.")).to_be_visible()
    shoot(tab, "run-active")
    tab.get_by_role("button", name="Cancel").click()
    expect(tab.locator(".messagelist")).to_contain_text("its process is being stopped")
    shoot(tab, "run-asked")
    tab.goto(f"/admin/cronzimus/run/{failed.pk}/change/")
    tab.get_by_role("link", name="2 queued").click()
    tab.get_by_role("button", name="Cancel").click()
    expect(tab.get_by_role("button", name="Retry")).to_be_visible()
    shoot(tab, "run-cancelled")


def test_everything_is_paused_for_a_reason_and_resumed(tab):
    make_job("nightly")
    make_scheduler(processes=2)
    tab.goto("/admin/cronzimus/scheduler/")
    tab.get_by_text("Pause all…").click()
    shoot(tab, "pause-all")
    tab.get_by_label("Reason", exact=True).fill("the database <b>moves</b>")
    tab.get_by_role("button", name="Pause all").click()
    expect(tab.locator(".messagelist")).to_contain_text("All claiming is paused")
    shoot(tab, "all-paused")
    tab.goto("/admin/cronzimus/job/")
    expect(tab.get_by_role("note")).to_contain_text("by ana: ")
    expect(tab.get_by_role("note")).to_contain_text("the database <b>moves</b>")
    shoot(tab, "jobs-all-paused")
    tab.get_by_role("note").get_by_role("link", name="Schedulers").click()
    tab.get_by_text("Resume all…").click()
    tab.get_by_label("The last of each job").check()
    shoot(tab, "resume-all")
    tab.get_by_role("button", name="Resume all").click()
    expect(tab.get_by_role("note")).to_have_count(0)
    assert not Control.objects.get().paused


def test_without_scripts_all_inputs_show_and_the_job_is_saved(chromium, live_server):
    User.objects.create_superuser("ana", password="secret")
    context = chromium.new_context(base_url=live_server.url, java_script_enabled=False)
    page = context.new_page()
    log_in(page)
    page.goto("/admin/cronzimus/job/add/")
    page.get_by_label("Id", exact=True).fill("plain")
    page.get_by_label("Function", exact=True).select_option("tests:record")
    choose(page, "crontab")
    page.get_by_label("Crontab line", exact=True).fill("@daily")
    with context.expect_page() as opened:
        page.get_by_role("button", name="Preview").click()
    expect(opened.value.get_by_text("every day")).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page).to_have_url(re.compile("/plain/change/$"))
    page.goto("/admin/cronzimus/job/")
    row(page, "plain").get_by_role("button", name="Pause").click()
    expect(row(page, "plain").locator(".field-state")).to_have_text(re.compile("paused"))
    context.close()
    assert Job.objects.get().trigger == {"type": "cron", "crontab": "@daily"}
