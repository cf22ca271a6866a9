"""The list of jobs in the admin: its rows, its tabs and filters, and what its address may say."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from jobs.admin import display
from jobs.admin.pages import LIVE_HEADER
from jobs.core.runs import JobState, RunStatus
from jobs.models import Job, Run
from tests.fakes import NOW, after, make_job, make_jobs, make_run
from tests.integration.admin_support import JOBS, RUNS, Admin, admin_fixture, at_noon_fixture, cell, ids, text  # noqa: F401

DAILY = {"type": "cron", "crontab": "30 2 * * *", "timezone": "Europe/Berlin"}


def tabs(page):
    found = text(page[page.index('<nav class="tabs"') : page.index('<form class="filter-bar"')])
    return found


def test_it_shows_the_trigger_in_words_and_the_next_run_in_the_chosen_zone(admin):
    make_job(trigger=DAILY, next_run_time=datetime(2030, 1, 2, 1, 30, tzinfo=UTC))
    page = admin.read(JOBS)
    assert cell(page, "schedule") == "at 02:30 every day Europe/Berlin"
    assert cell(page, "next") == "in 13 h 30 min 2 Jan 01:30"
    admin.client.cookies["cronzimus_zone"] = "job"
    assert cell(admin.read(JOBS), "next") == "in 13 h 30 min 2 Jan 02:30"


def test_it_shows_what_the_last_run_came_to_and_links_to_it(admin):
    make_job(run_count=1200, last_status=RunStatus.FAILED, last_run_at=after(-60))
    make_run(id=7, status="failed", scheduled_time=after(-70))
    page = admin.read(JOBS)
    assert cell(page, "last") == "failed 1 min ago"
    assert f'href="{RUNS}7/change/"' in page
    assert f'href="{RUNS}?job=job"' in page


def test_it_counts_failures_in_a_row(admin):
    make_job(last_status=RunStatus.FAILED, last_run_at=after(-60))
    make_run(status="succeeded", scheduled_time=after(-900))
    for number in range(4):
        make_run(status="failed", scheduled_time=after(-100 * number))
    assert cell(admin.read(JOBS), "last") == "failed 1 min ago · 4 in a row"


def test_a_run_that_is_going_comes_before_what_came_of_the_last_one(admin):
    make_job(last_status=RunStatus.SUCCEEDED, last_run_at=after(-60))
    make_run(status="succeeded", scheduled_time=after(-60), started_at=after(-60), finished_at=after(-59))
    make_run(status="running", started_at=after(-7))
    page = admin.read(JOBS)
    assert cell(page, "last") == "running 7.0 s · long"
    assert cell(page, "typical") == "1.0 s"


@pytest.mark.parametrize(
    ("statuses", "sentence"),
    [
        ([], "It never ran"),
        (["succeeded"], "The only run succeeded"),
        (["succeeded"] * 3, "All of the last 3 runs succeeded"),
        (["succeeded", "failed", "lost", "skipped"], "1 of the last 3 runs succeeded; 1 fire time did not run"),
        (["missed"], "It never ran; 1 fire time did not run"),
    ],
)
def test_one_sentence_says_what_the_bars_show(admin, statuses, sentence):
    make_job()
    for number, status in enumerate(statuses):
        make_run(status=status, scheduled_time=after(-number))
    assert cell(admin.read(JOBS), "bars") == sentence


def test_bars_are_one_path_for_each_colour_and_data_for_each_run(admin):
    make_job()
    for number in range(50):
        make_run(id=number + 1, status="failed" if number % 10 else "succeeded", scheduled_time=after(number),
                 started_at=after(number), finished_at=after(number + 4))  # fmt: skip
    page = admin.read(JOBS)
    bars = page[page.index('<svg class="bars"') : page.index("</svg>", page.index('<svg class="bars"'))]
    assert bars.count("<path") == 2
    assert bars.count("h3v4h-3z") == 36  # each failure has a foot
    (data,) = [part.split('"')[0] for part in bars.split('data-runs="')[1:]]
    assert data.split()[:2] == [f"50,{int(after(49).timestamp())},3,4000", "-1,-1,3,4000"]
    assert len(data.split()) == 40


def test_many_fire_times_that_did_not_run_are_told_with_the_reason(admin):
    make_job()
    for number in range(24):
        make_run(status="succeeded", scheduled_time=after(-2 * number))
        make_run(status="skipped", scheduled_time=after(-2 * number - 1), reason="run 1 was active; max_instances is 1")
    assert "20 of 40 did not run: its run outlasts the interval" in cell(admin.read(JOBS), "bars")


def test_beside_them_are_the_usual_wait_and_duration(admin):
    make_job()
    for number, (wait, took) in enumerate([(0.04, 95), (0.05, 90), (20, 400)]):
        at = -1000 * number
        make_run(status="succeeded", scheduled_time=after(at), started_at=after(at + wait),
                 finished_at=after(at + wait + took))  # fmt: skip
        make_run(status="skipped", scheduled_time=after(at - 500), reason="run 1 was active; max_instances is 1")
    shown = cell(admin.read(JOBS), "bars")
    assert shown.endswith("3 of 6 did not run: its run outlasts the interval waits 50 ms, runs 1 m 35 s")


def test_without_a_run_that_started_there_is_no_usual_wait(admin):
    make_job()
    for number in range(3):
        make_run(status="skipped", scheduled_time=after(-number), reason="run 1 was active; max_instances is 1")
    assert cell(admin.read(JOBS), "bars").endswith("its run outlasts the interval")


@pytest.mark.parametrize(("number", "reason"), [(1, "run 1 was active"), (9, "left out by ana")])
def test_a_few_of_them_and_those_that_people_left_out_are_no_news(admin, number, reason):
    make_job()
    for at in range(20):
        make_run(status="succeeded", scheduled_time=after(-at))
    for at in range(number):
        make_run(status="skipped", scheduled_time=after(-100 - at), reason=reason)
    assert "of 2" not in cell(admin.read(JOBS), "bars").partition(";")[2]


def test_a_name_that_runs_from_right_to_left_turns_nothing_but_itself(admin):
    make_job(name="daily \u202egnp.exe", tags=["reports"])
    assert '<span class="tag">reports</span> <bdi>daily \u202egnp.exe</bdi>' in admin.read(JOBS)


def test_a_job_that_never_ran_says_so(admin):
    make_job()
    assert cell(admin.read(JOBS), "last") == "never ran"


@pytest.mark.parametrize(
    ("fields", "state", "next_run"),
    [
        ({}, "pending", "now 12:00:00"),
        ({"last_run_at": NOW}, "active", "now 12:00:00"),
        ({"last_run_at": NOW, "last_status": "failed"}, "failing", "now 12:00:00"),
        ({"next_run_time": after(-90)}, "pending", "1 min ago 11:58:30 · overdue"),
        ({"paused": True, "paused_at": after(-7200)}, "paused", "paused since 10:00"),
        ({"paused_until": after(7200)}, "paused", "paused until 14:00"),
        ({"next_run_time": None}, "completed", "— no fire time left"),
        ({"func": "os:system", "next_run_time": None}, "broken", "— broken"),
    ],
)
def test_it_shows_the_state_and_why_there_is_no_next_run(admin, fields, state, next_run):
    make_job(**fields)
    page = admin.read(JOBS)
    assert (cell(page, "state"), cell(page, "next")) == (state, next_run)


def test_why_a_job_is_paused_or_broken_is_the_tooltip_of_its_state(admin):
    make_job("off", paused=True, pause_reason="5 failures in a row")
    make_job("gone", func="os:system")
    page = admin.read(JOBS)
    assert 'class="field-state" title="5 failures in a row"' in page
    assert "is not a registered function" in page


def test_every_status_and_state_has_a_look():
    assert set(display.RUN_LOOKS) == set(RunStatus)
    assert set(display.JOB_LOOKS) == set(JobState)


def test_trouble_comes_first_and_then_what_runs_next(admin):
    make_job("later", next_run_time=after(60))
    make_job("soon", next_run_time=after(30))
    make_job("off", paused=True)
    make_job("ill", next_run_time=after(90), last_run_at=NOW, last_status="failed")
    make_job("gone", func="os:system", next_run_time=after(10))
    assert ids(admin.read(JOBS)) == ["gone", "ill", "soon", "later", "off"]


@pytest.mark.parametrize(
    ("order", "found"),
    [("id", ["a", "b", "c"]), ("-id", ["c", "b", "a"]), ("next", ["b", "a", "c"]), ("-next", ["a", "b", "c"]),
     ("last", ["b", "a", "c"]), ("-last", ["c", "a", "b"]), ("nonsense", ["b", "a", "c"])],
)  # fmt: skip
def test_the_columns_are_orders(admin, order, found):
    make_job("a", next_run_time=after(60), last_run_at=after(-60))
    make_job("b", next_run_time=after(30))
    make_job("c", next_run_time=None, last_run_at=after(-30))
    assert ids(admin.read(JOBS, o=order)) == found


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        ("active", ["active", "ill"]),
        ("paused", ["paused"]),
        ("failing", ["ill"]),
        ("running", ["active"]),
        ("completed", ["completed"]),
        ("broken", ["broken", "gone", "unfit"]),
        ("never", ["active", "broken", "gone", "paused", "unfit"]),
    ],
)
def test_the_tabs_narrow_the_list(admin, chosen, found):
    make_job("active")
    make_run("active", status="running", started_at=NOW)
    make_job("ill", last_status="failed", last_run_at=NOW)
    make_job("paused", paused=True)
    make_job("completed", next_run_time=None, last_run_at=NOW)
    make_job("gone", func="os:system")
    make_job("unfit", trigger={"type": "nonsense"})
    make_job("broken", next_run_time=None, error="its trigger is not one")
    assert sorted(ids(admin.read(JOBS, state=chosen))) == found


def test_the_tabs_have_counts(admin):
    make_job("active")
    make_run("active", status="running", started_at=NOW)
    make_job("ill", last_status="failed", last_run_at=NOW)
    make_job("paused", paused=True)
    page = admin.read(JOBS)
    assert tabs(page) == "All 3 Active 2 Paused 1 Failing 1 Running 1 Never ran 2 Broken 0"
    make_job("completed", next_run_time=None, last_run_at=NOW)
    assert "Completed 1" in tabs(admin.read(JOBS))


def test_the_filters_offer_what_is_in_use_and_narrow_the_list(admin):
    make_job("well", last_status=RunStatus.SUCCEEDED, tags=["etl", "a"])
    make_job("ill", last_status=RunStatus.FAILED, tags=["ops"], trigger=DAILY, func="tests:speak", executor="process")
    page = admin.read(JOBS)
    for offered in ("Tag: any All a etl ops", "Trigger: any All cron interval", "Time zone: any All Europe/Berlin UTC",
                    "Function: any All tests:record tests:speak", "Executor: any All process thread"):  # fmt: skip
        assert offered in text(page)
    for query, found in (
        ({"last": "failed"}, ["ill"]),
        ({"executor": "thread"}, ["well"]),
        ({"executor": "nonsense"}, []),
        ({"tag": "etl"}, ["well"]),
        ({"tag": "et"}, []),
        ({"function": "tests:speak"}, ["ill"]),
        ({"trigger": "cron"}, ["ill"]),
        ({"zone": "UTC"}, ["well"]),
        ({"zone": "Europe/Berlin", "tag": "ops"}, ["ill"]),
    ):
        assert ids(admin.read(JOBS, **query)) == found, query


def test_a_filter_with_nothing_to_choose_is_not_there(admin):
    make_job()
    assert "Time zone:" not in text(admin.read(JOBS))
    assert "Executor:" not in text(admin.read(JOBS))


@pytest.mark.parametrize("words", ["night", "Backup of", "the whole disk", "tests:speak"])
def test_the_search_looks_at_id_name_description_and_function(admin, words):
    make_job("nightly", name="Backup of db", description="Saves the whole disk.", func="tests:speak")
    make_job("other")
    assert ids(admin.read(JOBS, q=words)) == ["nightly"]


def test_a_search_keeps_the_filters_and_a_filter_the_search(admin):
    make_jobs(2, tags=["etl"])
    page = admin.read(JOBS, q="job", tag="etl", o="id", state="active")
    for kept in ('name="tag" value="etl"', 'name="o" value="id"', 'name="state" value="active"'):
        assert f'<input type="hidden" {kept}>' in page
    assert "?o=id&amp;q=job&amp;state=paused&amp;tag=etl" in page


def test_nothing_that_matches_is_told_with_what_was_meant_and_a_way_out(admin):
    make_job("nightly-backup")
    page = admin.read(JOBS, q="nightly-bakup")
    assert "No job matches “nightly-bakup” Did you mean nightly-backup ?" in text(page)
    assert f'<a class="button" href="{JOBS}">Clear the filters</a>' in page
    assert "No job matches last result: failed" in text(admin.read(JOBS, last="failed"))


def test_without_any_job_the_first_steps_are_shown(admin):
    assert "1. Create a job" in admin.read(JOBS)


def test_pages_are_numbered_and_counted(admin):
    make_jobs(250)
    first, last = admin.read(JOBS, o="id"), admin.read(JOBS, o="id", p=3)
    assert "1–100 of 250 jobs" in text(first)
    assert "201–250 of 250 jobs" in text(last)
    assert (len(ids(first)), len(ids(last))) == (100, 50)
    assert 'href="?o=id&amp;p=2" rel="next"' in first
    assert 'rel="next"' not in last
    assert "1–100 of 111 jobs" in text(admin.read(JOBS, q="job-1"))


@pytest.mark.parametrize(
    "query", [{"o": "1.-2"}, {"p": "999"}, {"p": "0"}, {"p": "-1"}, {"p": "9" * 30}, {"p": "x"}, {"state": "nonsense"},
              {"nonsense": "1"}, {"trigger": "x"}, {"zone": "x"}]
)  # fmt: skip
def test_a_strange_address_breaks_nothing(admin, query):
    make_job()
    assert admin.client.get(JOBS, query, follow=True).status_code == 200


@pytest.mark.parametrize("query", [{}, {"q": "job"}, {"state": "active"}, {"tag": "a", "zone": "UTC"}])
def test_the_number_of_queries_does_not_grow_with_the_jobs(admin, statements, query):
    make_jobs(3, tags=["a", "b"])
    with statements() as few:
        admin.open(JOBS, **query)
    Job.objects.all().delete()
    make_jobs(80, tags=["a"], last_status=RunStatus.FAILED, last_run_at=NOW)
    for number in range(80):
        make_run(f"job-{number}", status="failed")
    with statements() as many:
        admin.open(JOBS, **query)
    assert len(many) == len(few) <= 11


def test_a_hundred_jobs_with_forty_runs_each_are_less_than_150_kb_on_the_wire(admin):
    for number, job in enumerate(make_jobs(100, tags=["etl"], description="Contacts and deals, both ways")):
        at = [after(-60 * place - number) for place in range(40)]
        Run.objects.bulk_create(
            Run(job_id=job.pk, func=job.func, status="failed" if place % 9 == 0 else "succeeded", trigger="schedule",
                scheduled_time=at[place], queued_at=at[place], started_at=at[place],
                finished_at=after(3 + (place * 37 + number * 11) % 50, at[place]))
            for place in range(40)
        )  # fmt: skip
    response = admin.client.get(JOBS, headers={"Accept-Encoding": "gzip"})
    assert response["Content-Encoding"] == "gzip"
    assert len(response.content) < 150_000
    assert len(ids(admin.read(JOBS))) == 100


def test_texts_of_people_are_escaped(admin):
    evil = "<script>alert(1)</script>"
    make_job(name=evil, description=f'"{evil}', tags=[evil], error=evil, next_run_time=None)
    page = admin.read(JOBS)
    assert evil not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 4


def test_each_row_has_its_buttons_with_names_that_tell_them_apart(admin):
    make_job("nightly")
    make_job("off", paused=True, paused_at=NOW)
    page = admin.read(JOBS)
    button = 'form="row-action" formaction="/admin/cronzimus/job/nightly/run/">Run now<span class="visually-hidden">'
    assert f"{button}: nightly" in page
    assert cell(page, "buttons") == "Run now : nightly Pause : nightly More of nightly"
    assert "Resume : off" in text(page)
    assert "Pause : off" not in text(page)


def test_the_form_of_the_buttons_is_not_inside_the_form_of_the_list(admin):
    make_job()
    page = admin.read(JOBS)
    assert page.index('<form id="row-action"') > page.index("</form>", page.index('id="changelist-form"'))


def test_there_are_no_buttons_for_those_who_may_only_look(at_noon):
    make_job()
    page = Admin("view_job").read(JOBS)
    assert not [word for word in ("Run now", "action-select", "Duplicate", "data-new", "Delete") if word in page]
    assert ids(page) == ["job"]


def test_a_poll_gets_the_list_alone_and_304_while_nothing_changes(admin, at_noon):
    make_job(next_run_time=after(60))
    poll = {LIVE_HEADER: "1"}
    first = admin.client.get(JOBS, headers=poll)
    assert b"<html" not in first.content
    assert b'id="cronzimus-page"' in first.content
    at_noon.advance(5)
    assert admin.client.get(JOBS, headers={**poll, "If-None-Match": first["ETag"]}).status_code == 304
    Job.objects.update(paused=True, next_run_time=None)
    assert admin.client.get(JOBS, headers={**poll, "If-None-Match": first["ETag"]}).status_code == 200


def test_the_list_is_saved_as_a_table_and_as_json(admin):
    make_job("a", tags=["x", "y"], name="=1+1", trigger=DAILY, last_status="failed", last_run_at=after(-60))
    make_job("b", paused=True)
    response = admin.client.get(f"{JOBS}export/csv/", {"tag": "x"})
    lines = b"".join(response.streaming_content).decode().splitlines()
    assert response["Content-Disposition"] == 'attachment; filename="jobs-20300101T120000Z.csv"'
    assert lines[0].startswith("id,name,func,trigger,schedule,")
    assert lines[1].startswith("a,'=1+1,tests:record,")
    assert '"x, y",,2030-01-01T12:00:00Z,failed,2030-01-01T11:59:00Z,0,0' in lines[1]
    assert len(lines) == 2
    found = json.loads(b"".join(admin.client.get(f"{JOBS}export/json/").streaming_content))
    assert [(job["id"], job["state"], job["time_zone"]) for job in found] == [
        ("a", "running", "Europe/Berlin"), ("b", "paused", "UTC"),
    ]  # fmt: skip
    Job.objects.all().delete()
    assert json.loads(b"".join(admin.client.get(f"{JOBS}export/json/").streaming_content)) == []


def test_the_export_is_linked_with_the_filters_of_the_list(admin):
    make_jobs(2, tags=["x"])
    assert f'href="{JOBS}export/csv/?tag=x"' in admin.read(JOBS, tag="x")


def test_an_export_needs_the_permission_to_see_and_an_address_that_makes_sense(admin):
    assert Admin("view_run").client.get(f"{JOBS}export/csv/").status_code == 403
    assert admin.client.get(f"{JOBS}export/csv/", {"nonsense": "1"}).status_code == 400


def test_nothing_is_inline(admin):
    make_job()
    for page in (admin.read(JOBS), admin.read(f"{JOBS}add/"), admin.read(f"{JOBS}job/change/")):
        assert "style=" not in page
        assert "<style" not in page
        assert " onclick=" not in page
        assert "<script>" not in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"owner": "ann"}, ["a"]), ({"q": "owner:ANN"}, ["a", "b"]), ({"q": 'mail owner:"ann b"'}, ["b"]),
        ({"q": "owner:ann nothing"}, []),
    ],
)  # fmt: skip
def test_jobs_are_found_by_their_owner(admin, query, found):
    make_job("a", owner="ann")
    make_job("b", owner="Ann B", description="sends mail")
    make_job("c")
    assert ids(admin.read(JOBS, **query)) == found
