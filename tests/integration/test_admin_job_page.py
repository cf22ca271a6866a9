"""The page of a job: its state, its figures, one mark for each fire time, and the tabs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry

from jobs.models import AlertRule, Channel, Incident, Job, Run, RunHour
from tests.fakes import NOW, after, make_job, make_run
from tests.integration.admin_support import JOBS, Admin, admin_fixture, at_noon_fixture, messages, text  # noqa: F401

PAGE = f"{JOBS}job/change/"


def ran(seconds: float, took: float = 2.0, status: str = "succeeded", **fields) -> Run:
    """Write a run of the job that was due `seconds` from noon."""
    at = after(seconds)
    return make_run(scheduled_time=at, status=status, started_at=at + timedelta(milliseconds=40),
                    finished_at=at + timedelta(seconds=took, milliseconds=40), **fields)  # fmt: skip


def section(page: str, start: str, end: str = "</section>") -> str:
    found = page[page.index(start) :]
    return text(found[: found.index(end)])


def test_the_head_says_what_the_job_is_and_what_can_be_done(admin):
    make_job(description="Why it is there", tags=["etl"], trigger={"type": "cron", "crontab": "30 2 * * 1-5"})
    head = section(admin.read(PAGE), '<div class="page-head">', '<dl class="figures"')
    for shown in (
        "job pending", "At 02:30 on Monday through Friday · UTC", "Why it is there etl", "Run now… : job",
        "Pause until it is resumed", "Edit : job", "Duplicate : job", "Skip next run", "Delete…",
    ):  # fmt: skip
        assert shown in head


def test_the_figures_of_a_range_are_counted_from_its_fire_times(admin):
    make_job(next_run_time=after(90))
    for number in range(1, 4):
        ran(-number * 600, took=number)
    ran(-3000, status="failed")
    make_run(scheduled_time=after(-3600), status="missed", reason="seen 9 s late", fire_times=2)
    make_run(scheduled_time=after(-4000), status="skipped", reason="run 1 was active")
    ran(-90_000, status="failed")
    figures = section(admin.read(PAGE), '<dl class="figures"', "</dl>")
    for shown in (
        "Next run in 1 min 30 s 12:01:30", "Succeeded 3 of 4 runs 75.0 %", "Did not run 3 of 7 2 missed, 1 skipped",
        "Duration, median 2.0 s p95 3.0 s · longest 3.0 s", "Start delay, p95 40 ms median 40 ms",
    ):  # fmt: skip
        assert shown in figures
    assert "Succeeded 3 of 5 runs" in text(admin.read(PAGE, range="7d"))


def test_the_figures_of_a_long_history_come_from_the_statistics(admin, monkeypatch):
    monkeypatch.setattr("jobs.admin.jobs.page.MOST_MARKS", 2)
    make_job()
    for number in range(3):
        ran(-number * 60)
    RunHour.objects.bulk_create(
        RunHour(job_id="job", hour=after(-number * 3600), status="succeeded" if number else "failed", count=1)
        for number in range(1000)
    )
    page = admin.read(PAGE)
    assert "of 25 runs" in text(page)
    assert "the last 2 of them" in text(page)


def test_each_fire_time_has_a_mark_that_leads_to_why(admin):
    make_job()
    ran(-60)
    make_run(scheduled_time=after(-120), status="missed", reason="seen 71.0 s late; misfire_grace_time is 60 s")
    ran(-180, status="failed", attempt=1)
    ran(-180, status="succeeded", attempt=2, trigger="retry")
    ran(-200, trigger="manual")
    page = admin.read(PAGE)
    strip = page[page.index('id="ticks"') : page.index('id="durations"')]
    assert strip.count("<title>") == 3
    assert "<title>missed, 11:58:00</title>" in strip
    assert 'href="?range=24h&amp;at=2030-01-01T11%3A58%3A00Z#ticks"' in strip
    why = section(admin.read(PAGE, at="2030-01-01T11:58:00Z"), '<div class="why"', "</div>")
    assert why.startswith("missed 11:58:00 did not run. Seen 71.0 s late; misfire_grace_time is 60 s.")


def test_the_last_runs_are_drawn_with_how_long_they_took(admin):
    make_job()
    first = ran(-60, took=4)
    ran(-120, status="failed")
    make_run(scheduled_time=after(-180), status="skipped")
    page = admin.read(PAGE)
    chart = page[page.index('id="durations"') :]
    assert "Duration, last 2 runs ┄ p95, 4.0 s" in text(chart)
    assert f'href="/admin/cronzimus/run/{first.pk}/change/"' in chart
    assert "<title>succeeded, 11:59:00, 4.0 s</title>" in chart


def test_the_heat_map_has_a_cell_for_each_day_in_the_zone_of_the_page(admin):
    make_job(trigger={"type": "interval", "hours": 1, "timezone": "Asia/Tokyo"})
    RunHour.objects.create(job_id="job", hour=after(6 * 3600), status="succeeded", count=7)
    RunHour.objects.create(job_id="job", hour=after(-50 * 3600), status="failed", count=3)
    admin.client.cookies["cronzimus_zone"] = "job"
    page = admin.read(PAGE)
    assert "<title>30 Dec: 3 of 3 failed</title>" in page
    assert page.count(": no fire time</title>") > 85


def test_a_failing_job_says_since_when_and_leads_to_the_output(admin):
    make_job(last_status="failed", last_run_at=NOW)
    run = ran(-60, status="failed", error="Timeout: no\nmore")
    ran(-120, status="failed", error="Timeout: no")
    ran(-180)
    page = admin.read(PAGE)
    assert "active failing" in text(page)
    assert "Failed 2 times in a row since 11:58. Timeout: no Output" in text(page)
    assert f'href="/admin/cronzimus/run/{run.pk}/change/"' in page


def test_a_paused_job_says_since_when_and_by_whom(admin):
    make_job()
    admin.send(f"{JOBS}job/pause/", from_page="1")
    assert LogEntry.objects.count() == 1
    page = text(admin.read(PAGE))
    assert "Paused since 12:00 by root." in page
    assert "Resume" in page
    assert "Next run none paused" in page


def test_a_job_that_never_ran_has_a_page_too(admin):
    make_job()
    page = text(admin.read(PAGE))
    for shown in ("It has never run", "No fire time of this range is on record.", "It has not run yet.", "nothing ran"):
        assert shown in page


@pytest.mark.parametrize(
    ("tab", "shown"),
    [
        ("runs", "failed 11:59:00 schedule 40 ms 2.0 s 1 of 3 web-1 E: no"),
        ("upcoming", "2030-01-01 12:00:10 UTC 2030-01-01 12:00:10 in 10 s"),
        ("configuration", 'Retries {"max": 2}'),
        ("alerts", "night failure; to pager"),
        ("api", "curl -X POST"),
    ],
)
def test_the_tabs_show_their_parts(admin, tab, shown):
    make_job(retries={"max": 2}, next_run_time=after(10))
    ran(-60, status="failed", error="E: no\nmore", scheduler_id="web-1-7-0a1b")
    rule = AlertRule.objects.create(name="night", events=["failure"])
    rule.channels.add(Channel.objects.create(name="pager", kind="email", target="ops@example.com"))
    Incident.objects.create(job_id="job", kind="failure", opened_at=NOW, last_at=NOW, error="E: no")
    assert shown in text(admin.read(PAGE, tab=tab))


def test_calls_of_the_api_can_be_copied_into_a_shell(admin):
    make_job(func="tests:echo", kwargs={"value": "it's"})
    page = text(admin.read(PAGE, tab="api"))
    assert "http://testserver/scheduler/jobs/job/run" in page
    assert """-d '{"kwargs": {"value": "it'\\''s"}}'""" in page


@pytest.mark.parametrize("query", [{"range": "x"}, {"tab": "x"}, {"at": "soon"}, {"at": "9999-12-31T23:59:59+00:00"}])
def test_a_strange_address_breaks_nothing(admin, query):
    make_job()
    assert admin.client.get(PAGE, query).status_code == 200


def test_texts_of_people_are_escaped(admin):
    evil = "<script>alert(1)</script>"
    make_job(description=evil, tags=[evil], func=evil, kwargs={evil: evil}, name=evil)
    ran(-60, status="failed", error=evil, actor=evil)
    for tab in ("runs", "configuration", "api"):
        assert evil not in admin.read(PAGE, tab=tab)


def test_those_who_may_only_look_have_nothing_to_press(at_noon):
    make_job()
    page = text(Admin("view_job").read(PAGE))
    assert not [word for word in ("Run now", "Pause", "Edit", "Duplicate", "Skip next run", "Delete") if word in page]


@pytest.mark.parametrize("path", ["edit", "run-with", "why"])
def test_a_job_that_is_not_there_is_told(admin, path):
    assert "doesn’t exist" in messages(admin.client.get(f"{JOBS}gone/{path}/", follow=True))[0]


def test_saving_leads_back_to_the_page(admin):
    make_job()
    assert admin.save(f"{JOBS}job/edit/", name="Renamed").redirect_chain[-1][0] == PAGE
    assert Job.objects.get().name == "Renamed"


def test_the_number_of_queries_does_not_grow(admin, statements):
    make_job()
    ran(-1)
    with statements() as few:
        admin.open(PAGE)
    for number in range(2, 60):
        ran(-number)
    with statements() as many:
        admin.open(PAGE)
    assert len(many) == len(few) <= 20


def test_who_may_not_see_alert_rules_is_shown_none(at_noon):
    make_job()
    AlertRule.objects.create(name="night", events=["failure"])
    page = Admin("view_job", "view_incident").read(PAGE, tab="alerts")
    assert "night" not in page
    assert "alertrule" not in page
    assert "It has had none." in page


def test_an_incident_that_is_not_over_shows_since_when(admin):
    make_job()
    for at, recovered in ((after(-7200), after(-3600)), (after(-60), None)):
        state = "recovered" if recovered else "open"
        Incident.objects.create(job_id="job", kind="failure", state=state, opened_at=at, last_at=at, error="E: no",
                                recovered_at=recovered)  # fmt: skip
    shown = text(admin.read(PAGE, tab="alerts"))
    assert "failure E: no open since 11:59:00" in shown
    assert "failure E: no recovered 10:00:00 – 11:00:00" in shown


def test_who_may_not_see_runs_or_incidents_is_shown_none(at_noon):
    make_job()
    run = ran(-60, status="failed", error="E" * 20)
    Incident.objects.create(job_id="job", kind="failure", opened_at=NOW, last_at=NOW, error="I" * 20)
    seen = {"runs": f"/run/{run.pk}/change/", "alerts": "I" * 20}
    for permission, tab in (("view_run", "runs"), ("view_incident", "alerts")):
        assert seen[tab] in Admin("view_job", permission, name=permission).read(PAGE, tab=tab)
    somebody = Admin("view_job", name="somebody")
    assert 'id="runs"' not in somebody.read(PAGE, tab="runs")
    assert seen["alerts"] not in somebody.read(PAGE, tab="alerts")


def test_the_chart_of_durations_is_zoomed_by_a_link(admin):
    make_job()
    for number in range(30):
        at = after(-60 * number)
        make_run(scheduled_time=at, status="succeeded", started_at=at, finished_at=after(1, at))
    for asked, width, shown in (("", 1000, 30), ("25", 250, 25), ("300", 3000, 30), ("x", 1000, 30)):
        page = admin.read(f"{JOBS}job/change/", **({"runs": asked} if asked else {}))
        assert f'viewBox="0 0 {width} 158"' in page
        assert f"Duration, last {shown} runs" in text(page)


def test_fire_times_that_did_not_run_are_counted_with_the_reason(admin):
    make_job()
    for number in range(3):
        make_run(scheduled_time=after(-60 * number), status="skipped", reason="run 1 was active; max_instances is 1")
    assert "Did not run 3 of 3 its run outlasts the interval" in text(admin.read(f"{JOBS}job/change/"))


def test_a_long_argument_scrolls_in_an_area_that_the_keyboard_reaches(admin):
    make_job(kwargs={"text": "x" * 20_000}, args=[1])
    page = admin.read(PAGE, tab="configuration")
    assert page.count('class="long"') == 1
    assert '<div class="long" tabindex="0" role="region" aria-label="Named arguments">' in page
