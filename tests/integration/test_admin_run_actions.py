"""Runs are cancelled and tried again in the admin: on their page, by a row's button, and many at once."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry

from jobs.admin.runs.admin import RunAdmin
from jobs.models import Run
from tests.fakes import NOW, after, make_job, make_run
from tests.integration.admin_support import RUNS, Admin, admin_fixture, at_noon_fixture, cell, messages, text  # noqa: F401

pytestmark = pytest.mark.any_database

EVIL = "<script>alert(1)</script>"


def act(admin, action, *run_ids, **data):
    return admin.send(RUNS, action=action, index=0, _selected_action=run_ids, **{"post": "yes", **data})


def test_a_run_that_has_not_started_is_cancelled_at_once(admin):
    make_run(id=7, status="queued")
    assert "Cancel ends it at once" in admin.read(f"{RUNS}7/change/")
    response = admin.send(f"{RUNS}7/cancel/", from_page="1")
    run = Run.objects.get()
    assert (run.status, run.reason, run.finished_at) == ("cancelled", "cancelled by root", NOW)
    assert messages(response) == ["Cancelled: run 7 ."]
    assert response.redirect_chain[-1][0] == f"{RUNS}7/change/"
    assert "Retry queues one more attempt" in response.content.decode()


@pytest.mark.parametrize(
    ("executor", "before", "after_it"),
    [
        ("process", "Cancel stops its process.", "its process is being stopped"),
        ("thread", "Cancel asks its function to stop: a thread cannot", "its function has been asked to stop"),
    ],
)
def test_the_page_says_what_cancel_does_and_that_it_was_asked_for(admin, executor, before, after_it):
    make_run(id=7, status="running", scheduler_id="s1", executor=executor, started_at=NOW)
    assert before in admin.read(f"{RUNS}7/change/")
    response = admin.send(f"{RUNS}7/cancel/", from_page="1")
    assert messages(response) == [f"Cancelled: run 7 ({after_it})."]
    assert Run.objects.get().cancel_requested_at == NOW
    assert "Cancel asked now by root; still running." in text(response.content.decode())
    assert cell(admin.read(RUNS), "state") == "running asked to stop"


def test_retry_queues_one_more_attempt_and_links_to_it(admin):
    make_job()
    make_run(id=7, status="failed", args=[1])
    response = admin.send(f"{RUNS}7/retry/", from_page="1")
    again = Run.objects.exclude(pk=7).get()
    assert (again.attempt, again.trigger, again.actor, again.args) == (2, "retry", "root", [1])
    assert messages(response) == [f"Queued to run again: run 7 as run {again.pk}, attempt 2 ."]
    assert "Attempt 1 · 2 queued of 2" in text(response.content.decode())
    assert f'href="{RUNS}{again.pk}/change/"' in response.content.decode()


@pytest.mark.parametrize(
    ("verb", "status", "said"),
    [("cancel", "succeeded", "has ended already: succeeded"), ("cancel", "timed_out", "has ended already: timed out"),
     ("retry", "running", "is running"), ("retry", "queued", "is queued")],
)  # fmt: skip
def test_what_is_not_possible_is_said_and_breaks_nothing(admin, verb, status, said):
    make_run(id=7, status=status)
    (message,) = messages(admin.send(f"{RUNS}7/{verb}/", from_page="1"))
    assert f"{verb.capitalize()}, not possible: 7: run 7" in message
    assert said in message


@pytest.mark.parametrize("verb", ["cancel", "retry"])
@pytest.mark.parametrize("path", ["99", "x", "%00", "9" * 30, "-1", "1/2", "%D9%A3", "add"])
def test_a_run_that_is_not_there_is_told(admin, verb, path):
    assert "not possible" in messages(admin.send(f"{RUNS}{path}/{verb}/", from_page="1"))[0]


@pytest.mark.parametrize("verb", ["cancel", "retry"])
def test_a_get_and_another_site_do_nothing(admin, verb):
    make_run(id=7, status="queued")
    assert admin.client.get(f"{RUNS}7/{verb}/").status_code == 405
    assert Admin(superuser=True, csrf=True).client.post(f"{RUNS}7/{verb}/").status_code == 403
    assert Run.objects.get().status == "queued"


def test_each_row_has_the_button_that_makes_sense(admin):
    make_run(id=7, status="failed")
    assert cell(admin.read(RUNS), "buttons") == "Log : run 7 Retry : run 7"
    Run.objects.update(status="queued", finished_at=None)
    page = admin.read(RUNS, status="queued")
    assert cell(page, "buttons") == "Log : run 7 Cancel : run 7"
    assert f'form="row-action" formaction="{RUNS}7/cancel/"' in page
    response = admin.client.post(f"{RUNS}7/cancel/", {"filters": "status=queued"})
    assert response["Location"] == f"{RUNS}?status=queued"


def test_many_are_cancelled_and_tried_again_at_once(admin):
    make_job()
    for number in (1, 2, 3):
        make_run(id=number, status="queued" if number < 3 else "failed", scheduled_time=after(number))
    done, refused = messages(act(admin, "cancel", 1, 2, 3))
    assert (done, refused) == (
        "Cancelled: run 2 ; run 1 .", "Cancel, not possible: 3: run 3 has ended already: failed.",
    )  # fmt: skip
    act(admin, "retry", 1, 3)
    assert sorted(Run.objects.filter(attempt=2).values_list("scheduled_time", flat=True)) == [after(1), after(3)]


@pytest.mark.parametrize(
    ("action", "effects"),
    [
        ("cancel", "Cancel 5 runs 5 , 3 , 2 , 4 , 1 . Of a (4) and b (1). 1 has not started, and ends at once. "
                   "2 run in processes, which are stopped. 1 runs in a thread: its function is asked to stop, and goes "
                   "on until it looks. 1 has ended already."),
        ("retry", "Retry 5 runs 5 , 3 , 2 , 4 , 1 . Of a (4) and b (1). Each gets one more attempt, with the same "
                  "arguments. 4 have not ended, and cannot be retried."),
    ],
)  # fmt: skip
def test_the_effects_are_told_before(admin, action, effects):
    make_run("a", id=1, status="queued")
    make_run("a", id=2, status="running", executor="process", scheduler_id="s1", scheduled_time=after(1))
    make_run("a", id=3, status="running", scheduler_id="s1", scheduled_time=after(2))
    make_run("b", id=4, status="failed")
    make_run("a", id=5, status="running", executor="celery", scheduler_id="w1", scheduled_time=after(3))
    before = list(Run.objects.order_by("pk").values())
    assert effects in text(act(admin, action, 1, 2, 3, 4, 5, post="").content.decode())
    assert list(Run.objects.order_by("pk").values()) == before


def test_all_that_match_the_filter_are_retried(admin):
    for number in range(3):
        make_run("a", id=number + 1, status="failed", scheduled_time=after(number))
    make_run("b", id=9, status="failed")
    data = {"action": "retry", "index": 0, "_selected_action": "1", "select_across": "1", "post": "yes"}
    response = admin.client.post(f"{RUNS}?status=failed&job=a", data)
    assert response["Location"] == f"{RUNS}?status=failed&job=a"
    assert sorted(Run.objects.filter(attempt=2).values_list("job_id", flat=True)) == ["a", "a", "a"]


def test_there_is_a_bound_to_how_many(admin, monkeypatch):
    monkeypatch.setattr(RunAdmin, "most_at_once", 2)
    for number in range(3):
        make_run(status="queued", scheduled_time=after(number))
    assert messages(act(admin, "cancel", 1, select_across="1")) == ["Nothing was done: choose at most 2 at once."]
    assert Run.objects.filter(status="queued").count() == 3


def test_what_was_done_is_on_the_runs_record(admin):
    make_run(id=7, status="queued")
    admin.send(f"{RUNS}7/cancel/")
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.get_change_message()) == ("7", "Cancelled.")
    assert "Cancelled." in admin.read(f"{RUNS}7/history/")


def test_the_page_shows_how_it_runs_and_until_when_it_waits(admin):
    make_run(id=7, status="queued", executor="process", timeout=90, available_at=after(30), reason="waits for a retry")
    page = text(admin.read(f"{RUNS}7/change/"))
    for shown in ("Executor process", "Timeout 1 m 30 s", "This run waits. It may start 12:00:30. Waits for a retry."):
        assert shown in page


def test_what_waits_no_more_is_not_said_to_wait(admin):
    make_run(id=7, status="failed", available_at=after(30))
    assert "It may start" not in text(admin.read(f"{RUNS}7/change/"))


def test_the_page_links_to_the_other_attempts_of_the_fire_time(admin):
    for attempt, status in enumerate(("failed", "timed_out", "running"), 1):
        make_run(id=attempt, attempt=attempt, status=status, started_at=NOW)
    make_run("other", id=9)
    make_run(id=10, scheduled_time=after(1))
    page = admin.read(f"{RUNS}2/change/")
    assert "Attempt 1 failed · 2 · 3 running of 3" in text(page)
    assert f'href="{RUNS}3/change/"' in page


@pytest.mark.parametrize(
    ("done", "total", "shown"), [(40, 100, "40 of 100"), (1200, None, "1,200"), (0, 0, "0 of 0"), (7, 3, "7 of 3")]
)
def test_progress_is_shown_in_the_list_and_on_the_page(admin, done, total, shown):
    make_run(id=7, status="running", progress_done=done, progress_total=total, started_at=NOW)
    page = admin.read(f"{RUNS}7/change/")
    assert f"Progress: {shown}" in text(page)
    assert ("<progress" in page) == bool(total)
    assert cell(admin.read(RUNS), "state") == f"running {shown}"


def test_texts_of_people_are_escaped_on_the_buttons_pages(admin):
    make_run(EVIL, id=7, status="queued", reason=EVIL, actor=EVIL, executor=EVIL[:20])
    for response in (admin.open(RUNS), admin.open(f"{RUNS}7/change/"), admin.send(f"{RUNS}7/cancel/")):
        assert EVIL not in response.content.decode()
    assert EVIL not in admin.send(f"{RUNS}7/retry/", from_page="1").content.decode()
