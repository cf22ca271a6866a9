"""The dialog of a resume: it lists the fire times of the pause, and asks which of them run."""

from __future__ import annotations

import pytest

from jobs.models import Backfill, Job
from tests.fakes import NOW, after, make_job
from tests.integration.admin_support import JOBS, Admin, admin_fixture, at_noon_fixture, messages, text  # noqa: F401

ASK = f"{JOBS}job/resume/ask/"


def paused(seconds: float, **fields: object) -> Job:
    """Write a job that was paused some seconds ago; it fires every 10 seconds."""
    return make_job(paused=True, paused_at=after(-seconds), **{"anchor": after(-1_000_000), **fields})


@pytest.mark.parametrize(
    ("seconds", "said", "choices"),
    [
        (5, "One fire time fell into the pause: 12:00.", "None The one"),
        (25, "3 fire times fell into the pause: 11:59:40, 11:59:50 and 12:00:00.", "None The last All 3"),
        (7200, "720 fire times fell into the pause, the last ones at 11:59:20, 11:59:30, 11:59:40, ", "All 720"),
        (400_000, "40,000 fire times fell into the pause", "All 40,000 at most 10,000 run at once"),
    ],
)
def test_it_says_which_fire_times_fell_into_the_pause(admin, seconds, said, choices):
    paused(seconds)
    page = text(admin.read(ASK))
    assert said in page
    assert choices in page
    assert Job.objects.get().paused


def test_without_any_there_is_nothing_to_choose(admin):
    paused(5, trigger={"type": "cron", "crontab": "0 3 * * *"})
    page = admin.read(ASK)
    assert "No fire time fell into the pause." in text(page)
    assert 'name="missed"' not in page


@pytest.mark.parametrize(
    ("missed", "number", "said"),
    [
        ("none", 0, ""),
        ("last", 1, "; 1 fire time of the pause runs now"),
        ("all", 3, "; 3 fire times of the pause run now"),
    ],
)
def test_what_was_chosen_runs(admin, missed, number, said):
    paused(25)
    response = admin.send(f"{JOBS}job/resume/", missed=missed, next=f"{JOBS}?q=job")
    assert messages(response) == [f"Resumed: job (next run 2030-01-01 12:00:10 UTC{said})."]
    assert response.redirect_chain[-1][0] == f"{JOBS}?q=job"
    assert sum(Backfill.objects.values_list("fire_times", flat=True)) == number
    assert not Job.objects.get().paused


def test_another_choice_is_refused_in_words(admin):
    paused(25)
    (said,) = messages(admin.send(f"{JOBS}job/resume/", missed="some"))
    assert said == "Resume, not possible: job: missed: must be one of none, last, all."
    assert Job.objects.get().paused


def test_the_list_asks_only_where_there_is_something_to_choose(admin):
    make_job("long", paused=True, paused_at=after(-60))
    make_job("new", paused=True, paused_at=NOW)
    page = admin.read(JOBS, q="n")
    assert f'href="{JOBS}long/resume/ask/?next=%2Fadmin%2Fcronzimus%2Fjob%2F%3Fq%3Dn"' in page
    assert f'formaction="{JOBS}new/resume/"' in page


def test_cancel_leads_back_and_never_to_another_site(admin):
    paused(25)
    assert f'<a class="button plain" href="{JOBS}?q=a">Cancel</a>' in admin.read(ASK, next=f"{JOBS}?q=a")
    assert f'<a class="button plain" href="{JOBS}job/change/">Cancel</a>' in admin.read(ASK, next="//evil.example/")


def test_a_job_that_is_not_paused_or_not_there_is_not_asked_about(admin):
    make_job()
    assert messages(admin.client.get(ASK, follow=True)) == ["job is not paused."]
    assert admin.client.get(f"{JOBS}gone/resume/ask/").status_code == 404


@pytest.mark.parametrize(("permission", "status"), [("pause_job", 200), ("view_job", 403), ("run_job", 403)])
def test_it_needs_the_permission_to_pause(at_noon, permission, status):
    paused(25)
    assert Admin(permission).client.get(ASK).status_code == status


def test_a_damaged_trigger_breaks_nothing(admin):
    paused(25, trigger={"type": "nonsense"})
    assert "No fire time fell into the pause." in text(admin.read(ASK))
