"""The page of a run: the error first, the output, the waterfall, and the reason why it ran or did not."""

from __future__ import annotations

import re

import pytest

from jobs.core.output import HEAD, gap_line
from jobs.core.runs import RunStatus
from jobs.models import Run
from tests.fakes import NOW, after, make_job, make_run, make_scheduler
from tests.integration.admin_support import JOBS, RUNS, Admin, admin_fixture, at_noon_fixture, text  # noqa: F401

pytestmark = pytest.mark.any_database

TRACEBACK = """Traceback (most recent call last):
  File "/srv/.venv/lib/python3.12/site-packages/cronzimus/calls/runner.py", line 120, in execute
    value = call()
  File "/srv/app/crm/jobs.py", line 41, in sync
    deals = client.fetch()
  File "/srv/.venv/lib/python3.12/site-packages/urllib3/pool.py", line 7, in urlopen
    raise Timeout
crm.client.Timeout: no answer
"""


def read(admin, **fields):
    return admin.read(f"{RUNS}{make_run(**fields).pk}/change/")


def lines(admin, run_id, **query):
    return admin.read(f"{RUNS}{run_id}/log/", **query)


def section(page, start, end="</section>"):
    found = page[page.index(start) :]
    return text(found[: found.index(end)])


def test_the_head_shows_the_way_that_the_run_took(admin):
    page = read(
        admin, id=7, status="succeeded", queued_at=after(0.003), started_at=after(0.038), finished_at=after(2.5)
    )
    assert section(page, "<h1>", "</ol>") == "Run 7 succeeded due 12:00:00 queued +3 ms started +38 ms succeeded +2.5 s"


def test_the_facts_name_what_there_is_to_know(admin):
    make_job(retries={"max": 2})
    page = read(
        admin, id=7, status="failed", trigger="retry", attempt=2, started_at=NOW, scheduler_id="web-1:4", actor="ana",
        concurrency_group="crm", fire_times=3, progress_done=5, progress_total=9,
    )  # fmt: skip
    facts = section(page, "<h2>This run", "</section>")
    for shown in ("retry, ana", "3 fire times", "2 of 3", "Scheduler web-1:4", "Group crm", "Progress 5 of 9",
                  "Finished now"):  # fmt: skip
        assert shown in facts


@pytest.mark.parametrize(
    ("dispatches", "said"),
    [(1, "Sent to the queue 5 s ago"), (3, "Sent to the queue 5 s ago, 3 times"), (0, None)],
)
def test_a_run_says_when_and_how_often_it_was_sent_to_its_queue(admin, dispatches, said):
    sent = {"dispatches": dispatches, "dispatched_at": after(-5) if dispatches else None}
    page = read(admin, status="running", executor="celery", queue="reports", scheduler_id="w1", started_at=NOW, **sent)
    facts = section(page, "<h2>This run", "</section>").replace(" ,", ",")
    assert "Worker w1" in facts
    assert "Queue reports" in facts
    if said is None:
        assert "Sent to the queue" not in facts
    else:
        assert re.search(rf"{said}(?!, \d)", facts)


def test_the_error_comes_first_with_its_traceback_and_how_often_it_was_seen(admin):
    make_job()
    for number in range(1, 4):
        make_run(status="failed", error=f"Timeout: no answer in {number} s", scheduled_time=after(-number * 900))
    make_run(status="failed", error="Other: no", scheduled_time=after(-9999))
    page = read(admin, status="failed", error="Timeout: no answer in 9 s\nmore", traceback=TRACEBACK)
    card = section(page, '<section class="panel error-card"')
    assert card.startswith("Timeout: no answer in 9 s Seen 4 times in 7 days , first 11:15:00")
    assert "… 1 frame of cronzimus" in card
    assert "<mark>  File &quot;/srv/app/crm/jobs.py&quot;" in page
    assert page.index("error-card") < page.index("log-panel")
    assert "Same error" in page


def test_a_long_error_does_not_fill_the_heading(admin):
    make_job()
    page = read(admin, status="failed", error=f"Timeout: {'x' * 4000}\nsecond line")
    heading = section(page, "<h2>Timeout", "</h2>")
    assert (len(heading), heading[-1]) == (301, "…")
    assert section(page, 'aria-label="Error"', "</pre>").endswith(f"{'x' * 4000} second line")


def test_a_traceback_without_frames_of_libraries_is_shown_as_it_is(admin):
    page = read(admin, status="failed", error="E: no", traceback='Traceback\n  File "/srv/a.py", line 1, in f\nE: no\n')
    assert "frames-all" in page
    assert "Our code" not in page


def test_the_log_is_numbered_with_colours_as_classes_and_problems_marked(admin):
    page = read(admin, status="succeeded", output="one\n\x1b[32mtwo\x1b[0m\nWARNING a: hm\nERROR a: <b>\nten%\rdone\n")
    assert '<li data-n="1"><span>one</span></li>' in page
    assert '<li data-n="2"><span><span class="ansi-g">two</span></span></li>' in page
    assert '<li data-n="3" class="warn">' in page
    assert '<li data-n="4" class="bad"><span>ERROR a: &lt;b&gt;</span></li>' in page
    assert "<span>done</span>" in page
    assert "ended 5 lines, " in section(page, "<h2>Log")


def test_the_lines_of_a_log_have_their_times_and_standard_error_is_marked(admin):
    page = read(
        admin, id=7, status="succeeded", started_at=NOW, output="one\ntwo\nERROR three\nfour",
        output_marks="[[0,5,0],[4,1007,1],[20,61000,0]]",
    )  # fmt: skip
    assert '<li data-n="1"><time>12:00:00.005</time><span>one</span></li>' in page
    assert '<li data-n="2" class="err"><time>12:00:01.007</time><span>two</span></li>' in page
    assert '<li data-n="3" class="bad err"><time>12:00:01.007</time>' in page
    assert '<li data-n="4"><time>12:01:01.000</time><span>four</span></li>' in page
    assert "data-times" in page
    later = '<li data-n="4"><time>12:01:01.000</time><span>four</span></li></ol>'
    assert lines(admin, 7, offset=20, line=4).endswith(later)
    assert '<li data-n="1"><time>12:00:00.005</time>' in lines(admin, 7, until=4)


def test_lines_after_a_gap_have_their_own_times(admin):
    page = read(
        admin, status="succeeded", started_at=NOW, output="a\n" + "x" * (HEAD - 2) + gap_line(5000) + "b\nc\n",
        output_omitted=5000, output_marks=f"[[0,0,0],[2,1,1],[{HEAD},2,0],[{HEAD + 5002},4,1]]",
    )  # fmt: skip
    assert "<time>12:00:00.002</time><span>b</span>" in page
    assert 'class="err"><time>12:00:00.004</time><span>c</span>' in page


@pytest.mark.parametrize("marks", ["damaged", "[[0,99999999999999999,0]]"])
def test_a_log_with_damaged_marks_shows_its_lines(admin, marks):
    assert "<span>one</span>" in read(admin, status="succeeded", started_at=NOW, output="one", output_marks=marks)


def test_a_line_that_looks_like_a_gap_is_a_line(admin):
    assert "[, characters left out]" in read(admin, status="succeeded", output="[, characters left out]\n")


@pytest.mark.parametrize(
    ("status", "said"),
    [("queued", "waiting It has not started yet."), ("running", "waiting"), ("succeeded", "It wrote nothing.")],
)  # fmt: skip
def test_a_log_without_lines_says_why(admin, status, said):
    shown = section(read(admin, status=status, started_at=NOW), "<h2>Log")
    assert " ".join(said.split()[:1]) in shown
    assert said.split(" ", 1)[-1] in shown


def test_a_long_log_shows_its_end_and_the_earlier_lines_when_asked(admin):
    output = "".join(f"line {number}\n" for number in range(1, 2001))
    page = read(admin, id=7, status="succeeded", output=output)
    assert "Show 1500 earlier lines" in text(page)
    assert 'data-n="1501"' in page
    assert 'data-n="1500"' not in page
    first = len("".join(f"line {number}\n" for number in range(1, 1501)))
    assert f'data-first="{first}"' in page
    earlier = lines(admin, 7, until=first)
    assert earlier.count("<li") == 1500
    assert '<li data-n="1500"><span>line 1500</span></li></ol>' in earlier


def test_what_is_left_out_of_a_log_is_said(admin):
    tail = "the end\n"
    make_run(id=7, status="succeeded", output="x" * (HEAD - 1) + "\n" + gap_line(5000) + tail, output_omitted=5000)
    page = admin.read(f"{RUNS}7/change/")
    assert "5000 characters of the middle are left out" in text(page)
    assert '<li class="gap" data-n="…"><span>[5,000 characters left out]</span></li>' in page
    assert "the end" in lines(admin, 7, offset=HEAD + 5000, line=9)


def test_a_log_is_followed_from_where_the_reader_is(admin):
    make_run(id=7, status="running", started_at=NOW, output="one\ntwo\nthr")
    page = admin.read(f"{RUNS}7/change/")
    assert 'data-offset="8" data-line="3" data-state="running"' in page
    assert '<li data-n="3" data-open><span>thr</span></li>' in page
    Run.objects.update(output="one\ntwo\nthree\nfour\n")
    assert lines(admin, 7, offset=8, line=3) == (
        '<ol data-offset="19" data-line="5" data-state="running">'
        '<li data-n="3"><span>three</span></li><li data-n="4"><span>four</span></li></ol>'
    )
    Run.objects.update(status="succeeded", finished_at=NOW)
    assert lines(admin, 7, offset=19, line=5) == '<ol data-offset="19" data-line="5" data-state="ended"></ol>'


@pytest.mark.parametrize(
    "query", [{"offset": "x"}, {"offset": "9" * 30}, {"until": "-1"}, {"offset": "99", "line": "0"}]
)
def test_a_strange_place_in_a_log_breaks_nothing(admin, query):
    make_run(id=7, status="succeeded", output="one\n")
    assert "<ol" in lines(admin, 7, **query)


def test_a_log_is_downloaded_as_it_was_written(admin):
    make_run(id=7, output="\x1b[32mä\x1b[0m\n")
    response = admin.open(f"{RUNS}7/download/")
    assert response.content.decode() == "\x1b[32mä\x1b[0m\n"
    assert response["Content-Disposition"] == 'attachment; filename="run-7.log"'


@pytest.mark.parametrize("part", ["log", "download"])
def test_a_log_needs_the_permission_to_see_runs(at_noon, part):
    make_run(id=7, output="secret")
    assert Admin("view_job").client.get(f"{RUNS}7/{part}/").status_code == 403
    assert Admin("view_run", name="bo").client.get(f"{RUNS}7/{part}/").status_code == 200
    assert Admin("view_run", name="cy").client.get(f"{RUNS}8/{part}/").status_code == 404


def test_where_the_time_went_is_drawn_with_all_attempts(admin):
    make_run(id=1, status="failed", queued_at=after(0.1), started_at=after(0.5), finished_at=after(10))
    page = read(admin, id=2, attempt=2, trigger="retry", status="failed", queued_at=after(10), started_at=after(20),
                finished_at=after(30.5))  # fmt: skip
    shown = section(page, "<h2>Where the time went")
    assert "20.0 s of work, 10.5 s of waiting" in shown
    assert "Until it was queued 100 ms Waited for a free slot 400 ms Attempt 1 9.5 s Waited to be tried again 10.0 s " \
           "Attempt 2, this run 10.5 s" in shown  # fmt: skip


def test_the_wait_of_a_workers_run_is_drawn_before_and_after_its_message_was_sent(admin):
    waits = {"queued_at": after(0.1), "executor": "celery", "queue": "reports"}
    page = read(admin, id=1, status="succeeded", dispatched_at=after(3.1), started_at=after(3.5), finished_at=after(9),
                **waits)  # fmt: skip
    assert "Waited to be sent to its queue 3.0 s Waited in the queue for a worker 400 ms Ran 5.5 s" in section(
        page, "<h2>Where the time went"
    )
    shown = section(
        read(admin, id=2, scheduled_time=after(-9), **waits | {"queued_at": after(-8)}), "<h2>Where the time went"
    )
    assert "Waited to be sent to its queue" in shown
    assert "in the queue for a worker" not in shown
    again = read(admin, id=3, scheduled_time=after(-99), dispatched_at=after(-30), dispatches=2,
                 **waits | {"queued_at": after(-99)})  # fmt: skip
    assert "Until it was queued 0 ms Waited for a worker, sent 2 times 1 m 39 s" in section(
        again, "<h2>Where the time went"
    )


def test_a_cancel_that_was_asked_for_is_said_with_what_comes_next(admin):
    fields = {"started_at": NOW, "cancel_requested_at": after(-24), "reason": "cancelled by ana", "scheduler_id": "s1"}
    said = "Cancel asked 24 s ago by ana; still running. Its process gets SIGTERM, and SIGKILL for what is left"
    for number, executor in enumerate(("process", "celery"), start=1):
        assert said in text(
            read(admin, id=number, status="running", executor=executor, scheduled_time=after(number), **fields)
        )
    page = text(read(admin, id=3, status="running", scheduled_time=after(3), **fields))
    assert "still running. Its function goes on until it looks at RunContext.cancelled" in page


def test_a_lost_run_says_what_was_decided(admin):
    make_run(id=1, status="lost", reason="its scheduler's lease ended without a heartbeat")
    page = text(admin.read(f"{RUNS}1/change/"))
    assert "Its scheduler's lease ended without a heartbeat. No attempt was left, so it counts as failed." in page
    make_run(id=2, attempt=2, trigger="retry")
    assert "Attempt 2 was queued in its place." in text(admin.read(f"{RUNS}1/change/"))


def test_a_running_run_is_held_against_how_long_it_usually_takes(admin):
    make_job()
    for number in range(1, 5):
        at = after(-number * 1000)
        make_run(scheduled_time=at, status="succeeded", started_at=at, finished_at=after(-number * 1000 + 48))
    make_scheduler()
    page = text(read(admin, status="running", started_at=after(-127), scheduler_id="s1"))
    assert "2 m 07 s , usually 48.0 s; longer than 95 % of its runs" in page
    assert "Heartbeat now" in page


def test_a_result_is_a_tree_and_a_call_is_written_as_python_has_it(admin):
    page = read(admin, status="succeeded", result={"rows": [1, "ä"]}, args=[1], kwargs={"a": None}, func="tests:echo")
    assert "rows [2] 0 1 1 &quot;ä&quot;".replace("&quot;", '"') in text(page)
    assert "tests:echo(1, a=null)" in text(page)


def test_a_fire_time_that_did_not_run_says_so_first_and_names_the_run_in_its_way(admin):
    make_job()
    make_run(id=3, status="succeeded", scheduled_time=after(-60), started_at=after(-60), finished_at=after(-9))
    page = read(admin, status="skipped", reason="run 3 was active; max_instances is 1")
    assert "This fire time did not run. Run 3 was active; max_instances is 1." in text(page)
    assert "Why did it not run?" in page
    assert "Run 3 was still going (51.0 s). Its max_instances is 1. The overlap policy is skip" in text(page)
    assert "Where the time went" not in page


def test_texts_of_programs_are_escaped_in_every_part(admin):
    evil = "<script>alert(1)</script>"
    texts = dict.fromkeys(("job_id", "output", "error", "traceback"), evil)
    make_run(id=7, status="failed", result=[evil], kwargs={evil: evil}, **texts)
    path = f"{RUNS}7/"
    assert evil not in admin.read(f"{path}change/")
    assert evil not in lines(admin, 7)


def test_those_who_may_only_look_have_nothing_to_press(at_noon):
    make_job()
    make_run(id=7, status="failed")
    page = Admin("view_run").read(f"{RUNS}7/change/")
    assert "Retry<" not in page
    assert "Run with other arguments" not in page


def test_the_number_of_queries_does_not_grow(admin, statements):
    make_job()
    make_run(id=1, status="failed", error="E: no")
    with statements() as few:
        admin.open(f"{RUNS}1/change/")
    for number in range(2, 40):
        make_run(id=number, status=RunStatus.FAILED, error="E: no", attempt=number)
    with statements() as many:
        admin.open(f"{RUNS}1/change/")
    assert len(many) <= len(few) + 1
    assert len(many) <= 22
