"""Run now, pause, resume and duplicate in the admin: by a row's button, on the job's page, and many at once."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry

from jobs import services
from jobs.admin.jobs.actions import copy_id
from jobs.core.exceptions import InvalidRequest
from jobs.models import Job, Run
from tests.fakes import NOW, after, make_job, make_jobs, make_run
from tests.integration.admin_support import JOBS, Admin, admin_fixture, at_noon_fixture, ids, messages, text  # noqa: F401

pytestmark = pytest.mark.any_database


def test_run_now_queues_a_run_in_the_persons_name_and_links_to_it(admin):
    make_job(paused=True)
    response = admin.send(f"{JOBS}job/run/")
    run = Run.objects.get()
    assert (run.job_id, run.status, run.trigger, run.actor, run.scheduled_time) == (
        "job",
        "queued",
        "manual",
        "root",
        NOW,
    )
    assert messages(response) == [f"Queued to run: job ( run {run.pk} )."]
    assert f'href="/admin/cronzimus/run/{run.pk}/change/"' in response.content.decode()


def test_pause_and_resume_stop_and_start_the_trigger(admin, at_noon):
    make_job()
    assert messages(admin.send(f"{JOBS}job/pause/")) == ["Paused: job."]
    assert Job.objects.get().next_run_time is None
    at_noon.advance(25)
    assert messages(admin.send(f"{JOBS}job/resume/")) == ["Resumed: job (next run 2030-01-01 12:00:30 UTC)."]
    assert Job.objects.get().next_run_time == after(30)


def test_pause_and_resume_twice_are_as_once(admin):
    make_job()
    for verb in ("pause", "pause", "resume", "resume"):
        assert len(messages(admin.send(f"{JOBS}job/{verb}/"))) == 1
    assert not Job.objects.get().paused


def test_duplicate_makes_a_paused_copy_and_links_to_it(admin):
    make_job(name="Original", tags=["a"], args=[1], trigger={"type": "cron", "hour": 9})
    response = admin.send(f"{JOBS}job/duplicate/")
    copy = Job.objects.get(pk="job-copy")
    assert (copy.name, copy.tags, copy.args, copy.trigger) == ("Original", ["a"], [1], {"type": "cron", "hour": 9})
    assert (copy.paused, copy.next_run_time) == (True, None)
    assert messages(response) == ["Duplicated as: job-copy , which is paused."]
    assert 'href="/admin/cronzimus/job/job-copy/change/"' in response.content.decode()


def test_copies_get_ids_that_are_free_and_fit(db):
    assert copy_id("job") == "job-copy"
    make_job("job-copy")
    make_job("job-copy-2")
    assert copy_id("job") == "job-copy-3"
    assert copy_id("x" * 64) == "x" * 59 + "-copy"
    make_job("x" * 59 + "-copy")
    assert copy_id("x" * 64) == "x" * 57 + "-copy-2"


def test_there_is_an_end_to_copies(db):
    make_job("job-copy")
    for number in range(2, 100):
        make_job(f"job-copy-{number}")
    with pytest.raises(InvalidRequest, match="99 copies"):
        copy_id("job")


def test_a_job_that_can_not_run_is_refused_in_words(admin):
    make_job(func="os:system")
    (said,) = messages(admin.send(f"{JOBS}job/run/"))
    assert said.startswith("Run now, not possible: job: func: 'os:system' is not a registered function")
    assert not Run.objects.exists()


@pytest.mark.parametrize("verb", ["run", "pause", "resume", "skip", "duplicate"])
@pytest.mark.parametrize("path", ["gone", "a/b", "%00", "add", "_00", "%F0%9F%99%82"])
def test_a_job_that_is_not_there_is_told_and_breaks_nothing(admin, verb, path):
    (said,) = messages(admin.send(f"{JOBS}{path}/{verb}/"))
    assert "not possible" in said


def test_the_button_leads_back_to_the_list_as_it_was(admin):
    make_job()
    response = admin.client.post(f"{JOBS}job/pause/", {"filters": "q=job&state=active"})
    assert response["Location"] == f"{JOBS}?q=job&state=active"


@pytest.mark.parametrize("filters", ["//evil.example", "https://evil.example/", "\r\nX: y", "&&&", "%%%"])
def test_the_way_back_never_leaves_the_list(admin, filters):
    make_job()
    response = admin.client.post(f"{JOBS}job/pause/", {"filters": filters})
    assert response["Location"].startswith(f"{JOBS}?") or response["Location"] == JOBS
    assert "\n" not in response["Location"]


def test_the_button_on_the_jobs_page_leads_back_to_it(admin):
    make_job("a_b")
    response = admin.client.post(f"{JOBS}a_5Fb/pause/", {"from_page": "1"})
    assert response["Location"] == f"{JOBS}a_5Fb/change/"


def test_what_was_done_is_on_the_jobs_record(admin):
    make_job()
    admin.send(f"{JOBS}job/pause/")
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.user, entry.get_change_message()) == ("job", admin.user, "Paused.")


def test_many_are_paused_resumed_and_run_at_once(admin):
    make_jobs(3, next_run_time=after(10))
    assert messages(admin.act("pause", "job-0", "job-1")) == ["Paused: job-0; job-1."]
    assert ids(admin.read(JOBS, state="paused")) == ["job-0", "job-1"]
    admin.act("resume", "job-1")
    assert ids(admin.read(JOBS, state="paused")) == ["job-0"]
    admin.act("run", "job-0", "job-2")
    assert sorted(Run.objects.values_list("job_id", flat=True)) == ["job-0", "job-2"]


def test_many_are_duplicated_at_once(admin):
    make_jobs(2)
    admin.act("duplicate", "job-0", "job-1")
    assert ids(admin.read(JOBS, o="id")) == ["job-0", "job-0-copy", "job-1", "job-1-copy"]


def test_one_that_is_refused_stops_none_of_the_others(admin):
    make_job("a")
    make_job("b", func="os:system")
    make_job("c")
    done, refused = messages(admin.act("run", "a", "b", "c"))
    assert done.startswith("Queued to run: a (")
    assert refused.startswith("Run now, not possible: b: func:")
    assert list(Run.objects.order_by("id").values_list("job_id", flat=True)) == ["a", "c"]


def test_a_message_names_some_and_counts_the_rest(admin):
    make_jobs(12)
    (said,) = messages(admin.act("pause", *(f"job-{number}" for number in range(12))))
    assert said.endswith(" and 2 more.")


def test_all_that_match_are_reached_across_pages(admin):
    make_jobs(120)
    asked = text(admin.act("pause", "job-0", select_across="1", post="").content.decode())
    assert "Pause 120 jobs job-0 ," in asked
    assert "and 100 more." in asked
    assert not Job.objects.filter(paused=True).exists()
    admin.act("pause", "job-0", select_across="1", expected="120")
    assert Job.objects.filter(paused=True).count() == 120


def test_a_bulk_action_follows_the_filter_of_the_address(admin):
    make_jobs(3, tags=["etl"])
    make_job("other")
    data = {"action": "pause", "index": 0, "_selected_action": "job-0", "select_across": "1", "post": "yes"}
    response = admin.client.post(f"{JOBS}?tag=etl", data)
    assert response["Location"] == f"{JOBS}?tag=etl"
    assert set(Job.objects.filter(paused=True).values_list("pk", flat=True)) == {"job-0", "job-1", "job-2"}


def test_a_list_that_changed_since_it_was_shown_is_asked_about_again(admin):
    make_jobs(3)
    asked = admin.act("pause", "job-0", select_across="1", expected="2").content.decode()
    assert "The list has changed since you chose: 3 jobs are in it now." in text(asked)
    assert not Job.objects.filter(paused=True).exists()


@pytest.mark.parametrize(
    ("action", "effects"),
    [
        ("run", ["One run of each is queued at once", "1 is running now: their new runs start", "1 is paused and"]),
        ("pause", ["They do not run by themselves", "1 is running now: their runs go on", "1 is paused already."]),
        ("resume", ["Their triggers go on from now.", "1 is not paused: nothing changes", "None The last of each"]),
        ("skip", ["is skipped, with a record", "1 has no fire time to come."]),
        ("duplicate", ["Each copy is paused"]),
        ("delete_selected", ["Their runs stay on record: 7 runs have ended so far.", "waiting ones are cancelled."]),
    ],
)  # fmt: skip
def test_the_effects_of_a_bulk_action_are_told_before(admin, action, effects):
    make_job("a", run_count=7)
    make_run("a", status="running", started_at=NOW)
    make_job("off", paused=True)
    page = text(admin.act(action, "a", "off", post="").content.decode())
    for effect in effects:
        assert effect in page
    assert Job.objects.count() == 2


def test_more_than_five_are_deleted_only_if_their_number_is_typed(admin):
    make_jobs(6)
    every = [f"job-{number}" for number in range(6)]
    assert "Type 6 to confirm" in text(admin.act("delete_selected", *every).content.decode())
    assert "the number of rows" in text(admin.act("delete_selected", *every, count="5").content.decode())
    assert Job.objects.count() == 6
    admin.act("delete_selected", *every, count=" 6 ")
    assert not Job.objects.exists()


@pytest.mark.parametrize(("missed", "number"), [("none", 0), ("last", 1), ("all", 3)])
def test_many_are_resumed_with_the_fire_times_of_their_pauses(admin, missed, number):
    make_job("a", paused=True, paused_at=after(-25), anchor=after(-100))
    (said,) = messages(admin.act("resume", "a", missed=missed))
    some = {0: "", 1: "; 1 fire time of the pause runs now", 3: "; 3 fire times of the pause run now"}[number]
    assert said == f"Resumed: a (next run 2030-01-01 12:00:10 UTC{some})."


def test_many_are_tagged_and_untagged(admin):
    make_job("a", tags=["x"])
    make_job("b")
    admin.act("tag", "a", "b", tag="new", remove="")
    assert [job.tags for job in Job.objects.order_by("pk")] == [["x", "new"], ["new"]]
    admin.act("tag", "a", "b", tag="new", remove="yes")
    assert [job.tags for job in Job.objects.order_by("pk")] == [["x"], []]
    assert "This field is required" in admin.act("tag", "a", tag="").content.decode()
    assert "Tag, not possible: a: tags" in messages(admin.act("tag", "a", tag="no blanks"))[0]


def test_many_are_removed_after_a_confirmation_and_their_runs_stay(admin):
    make_jobs(3, next_run_time=after(10))
    admin.send(f"{JOBS}job-0/run/")
    asked = text(admin.act("delete_selected", "job-0", "job-1", post="").content.decode())
    assert "Delete 2 jobs job-0 , job-1 . This cannot be undone." in asked
    assert Job.objects.count() == 3
    assert messages(admin.act("delete_selected", "job-0", "job-1")) == ["Deleted: job-0; job-1."]
    assert ids(admin.read(JOBS)) == ["job-2"]
    assert Run.objects.get().status == "cancelled"


def test_one_that_was_removed_meanwhile_does_not_stop_a_removal(admin, monkeypatch):
    make_jobs(2)
    remove = services.remove_job
    monkeypatch.setattr(services, "remove_job", lambda job_id, now: [remove(job_id, now=now) for _ in range(2)])
    (said,) = messages(admin.act("delete_selected", "job-0", "job-1"))
    assert said.startswith("Delete, not possible: job-0: there is no job")
    assert not Job.objects.exists()


@pytest.mark.parametrize("verb", ["run", "pause", "resume", "skip", "duplicate", "preview", "pause-until"])
def test_a_get_does_nothing(admin, verb):
    make_job()
    assert admin.client.get(f"{JOBS}job/{verb}/").status_code == 405


@pytest.mark.parametrize("verb", ["run", "pause", "resume", "skip", "duplicate", "preview", "pause-until"])
def test_a_post_from_another_site_is_refused(at_noon, verb):
    make_job()
    assert Admin(superuser=True, csrf=True).client.post(f"{JOBS}job/{verb}/").status_code == 403
