"""Aids in the form of a job: typed arguments, sentences on the policies, and conflicts of two editors."""

from __future__ import annotations

import html
import json
import re
import shlex

import pytest

from jobs import register, services
from jobs.core.audit import Door, Origin, acting
from jobs.functions import registry
from jobs.models import Job, Run
from jobs.transfer.files import load
from tests.fakes import NOW, after, make_job, make_run, make_worker
from tests.integration.admin_support import (  # noqa: F401
    INTERVAL,
    JOBS,
    Admin,
    admin_fixture,
    at_noon_fixture,
    inputs,
    messages,
    problems,
    text,
)

pytestmark = pytest.mark.any_database

ADD, EDIT = f"{JOBS}add/", f"{JOBS}job/edit/"
TYPED = {**INTERVAL, "func": "tests:typed", "typed": "tests:typed"}


@pytest.fixture(autouse=True)
def function(monkeypatch):
    """A function with typed parameters."""
    monkeypatch.setattr(registry, "_functions", dict(registry._functions))

    @register("tests:typed")
    def typed(index: str, size: int = 500, full: bool = False) -> None:
        """Write the index."""


def preview(admin, path=f"{JOBS}job/preview/", **given) -> str:
    return admin.client.post(path, {**INTERVAL, **given}).content.decode()


def test_the_inputs_of_the_chosen_function_are_shown(admin):
    page = admin.client.post(f"{JOBS}arguments/", {"func": "tests:typed"}).content.decode()
    assert 'name="typed" value="tests:typed"' in page
    assert "Write the index." in page
    assert 'name="arg-size"' in page
    given = {"func": "tests:typed", "kwargs": '{"index": "products"}'}
    assert 'value="products"' in admin.client.post(f"{JOBS}arguments/", given).content.decode()
    typed = {"func": "tests:typed", "typed": "tests:typed", "arg-index": "kept"}
    assert 'value="kept"' in admin.client.post(f"{JOBS}arguments/", typed).content.decode()
    other = {"func": "tests:typed", "typed": "tests:record", "arg-index": "gone"}
    assert "gone" not in admin.client.post(f"{JOBS}arguments/", other).content.decode()
    assert "Choose a function first." in admin.client.post(f"{JOBS}arguments/", {"func": ""}).content.decode()


@pytest.mark.parametrize(("permission", "path", "status"), [
    ("view_job", f"{JOBS}job/arguments/", 200), ("add_job", f"{JOBS}arguments/", 200),
    ("view_job", f"{JOBS}arguments/", 403), ("view_run", f"{JOBS}job/arguments/", 403),
])  # fmt: skip
def test_the_inputs_need_the_permission_to_see_or_add(at_noon, permission, path, status):
    make_job()
    assert Admin(permission).client.post(path, {"func": "tests:typed"}).status_code == status


def test_typed_arguments_are_saved(admin):
    admin.send(ADD, id="new", **TYPED, **{"arg-index": "products", "arg-size": "7", "arg-full": "yes"})
    job = Job.objects.get()
    assert (job.args, job.kwargs) == ([], {"index": "products", "size": 7, "full": True})


def test_a_wrong_typed_argument_is_said_and_nothing_is_saved(admin):
    response = admin.send(ADD, id="new", **TYPED, **{"arg-index": "products", "arg-size": "many"})
    assert problems(response)["kwargs"] == ["Size: Must be a whole number"]
    assert not Job.objects.exists()


def test_without_typed_inputs_the_json_counts(admin):
    admin.send(ADD, id="new", **{**INTERVAL, "func": "tests:typed"}, kwargs='{"index": "a"}')
    assert Job.objects.get().kwargs == {"index": "a"}


def test_save_and_run_queues_a_run(admin):
    response = admin.save(ADD, id="new", **INTERVAL, _saverun="1")
    assert Run.objects.get().trigger == "manual"
    assert any(message.startswith("Queued to run: new") for message in messages(response))


def test_save_paused_adds_or_changes_a_paused_job(admin):
    admin.send(ADD, id="job", **INTERVAL, _savepaused="1")
    assert Job.objects.get().paused
    Job.objects.update(paused=False)
    admin.save(EDIT, name="Renamed", _savepaused="1")
    job = Job.objects.get()
    assert (job.name, job.paused) == ("Renamed", True)


@pytest.mark.parametrize("name", ["_saverun", "_savepaused"])
def test_to_save_and_run_or_paused_needs_the_permission(at_noon, name):
    staff = Admin("add_job", "view_job")
    assert staff.client.post(ADD, {"id": "new", **INTERVAL, name: "1"}).status_code == 403
    assert not Job.objects.exists()
    page = staff.read(ADD)
    assert name not in page


def test_what_another_editor_saved_is_not_written_over_unseen(admin):
    make_job(name="First")
    mine = inputs(admin.open(EDIT))
    admin.save(EDIT, name="Theirs")
    response = admin.send(EDIT, **{**mine, "name": "Mine"})
    page = text(response.content.decode())
    assert "root changed this job now , after you had opened it." in page
    assert "Name First Theirs Mine" in page
    assert Job.objects.get().name == "Theirs"
    again = inputs(response)
    assert again["version"] != mine["version"]
    admin.send(EDIT, **{**mine, "name": "Mine", "version": again["version"]})
    assert Job.objects.get().name == "Mine"


def test_a_conflict_tells_changes_of_both_apart_and_through_which_door_the_other_came(admin):
    make_job(name="First", owner="ops")
    mine = inputs(admin.open(EDIT))
    with acting(Origin(actor="ben", door=Door.API)):
        services.update_job("job", {"name": "Theirs"}, now=NOW)
    with acting(Origin(actor="cem", door=Door.ADMIN)):
        services.pause_job("job", now=NOW)
    page = text(admin.send(EDIT, **{**mine, "owner": "dev"}).content.decode())
    assert "ben changed this job now over the API, after you had opened it." in page
    assert "Name First Theirs unchanged: saving undoes the change" in page
    assert "Owner ops unchanged dev" in page


def test_a_conflict_without_versions_still_shows_what_differs(admin):
    make_job(name="First")
    mine = inputs(admin.open(EDIT))
    Job.objects.update(name="Theirs")
    page = text(admin.send(EDIT, **{**mine, "name": "Mine"}).content.decode())
    assert "Somebody changed this job" in page
    assert "Theirs Mine" in page


def test_a_conflict_shows_the_arguments_that_were_typed(admin):
    make_job(func="tests:echo", kwargs={"value": 1})
    mine = inputs(admin.open(EDIT)) | {"typed": "tests:echo", "arg-value": "3"}
    services.update_job("job", {"kwargs": {"value": 2}}, now=NOW)
    page = text(admin.send(EDIT, **mine).content.decode())
    assert 'Named arguments {"value": 1} {"value": 2} {"value": 3}' in page


@pytest.mark.parametrize("state", ["x", "9999999999999.x", "-1.x", "0.", "٣.x"])
def test_any_state_is_compared(admin, state):
    make_job(name="First")
    assert "after you had opened it" in text(
        admin.send(EDIT, **{**inputs(admin.open(EDIT)), "version": state}).content.decode()
    )


def test_a_pause_meanwhile_is_no_conflict(admin):
    make_job(name="First")
    mine = inputs(admin.open(EDIT))
    admin.send(f"{JOBS}job/pause/")
    admin.send(EDIT, **{**mine, "name": "Mine"})
    assert Job.objects.get().name == "Mine"


def job_that_takes(seconds: float) -> None:
    make_job(run_count=1)
    make_run(status="succeeded", started_at=NOW, finished_at=after(seconds))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "Every 30 s, runs take 1 m 10 s: 2 of 3 fire times are skipped."),
        ({"overlap": "queue"}, "runs take 1 m 10 s: runs queue up, and once 10 wait, further ones are skipped."),
        ({"overlap": "replace"}, "each run is cancelled by the next one before it ends."),
        ({"max_instances": "3"}, "Every 30 s, runs take 1 m 10 s: they do not overlap."),
        ({"timeout": "60"}, "A run usually takes 1 m 10 s: half of them are stopped."),
        ({"timeout": "600"}, "A run usually takes 1 m 10 s: it is stopped if it hangs."),
        ({"coalesce": "on"}, "After an outage of an hour 121 fire times are due at once: one run starts for the last"),
        ({"misfire_grace_time": "60"}, "After an outage of an hour 121 fire times are due at once: 3 of them run."),
    ],
)  # fmt: skip
def test_each_policy_is_explained_with_the_jobs_own_numbers(admin, given, said):
    job_that_takes(70)
    assert said in text(preview(admin, **given))


def test_a_job_that_never_ran_is_told_what_can_be_told(admin):
    make_job()
    page = text(preview(admin))
    assert "runs take" not in page
    assert "After an outage of an hour" in page


def test_the_retries_are_drawn_on_a_line(admin):
    make_job()
    page = preview(admin, retries_max="2", retries_delay="30", retries_backoff="2", retries_max_delay="3600")
    assert 'aria-label="Attempt 1 at once, attempt 2 after 30 s, attempt 3 after 1 m"' in page
    assert 'class="retries"' not in preview(admin)


@pytest.mark.parametrize("given", [{"retries_max": "x"}, {"retries_max": "9" * 18}, {"retries_backoff": "-"},
                                   {"timeout": "x", "max_instances": "0"}, {"overlap": "x"}])  # fmt: skip
def test_what_is_not_right_yet_breaks_no_preview(admin, given):
    job_that_takes(70)
    assert "Every 30 seconds." in text(preview(admin, **given))


# --- the job as a text, and suggestions ------------------------------------------------------------------------------


def texts(page: str) -> list[str]:
    """Return the texts to copy on a page: JSON, the file, and the call of the API."""
    return [html.unescape(found) for found in re.findall(r'<pre id="as-\w+"[^>]*>(.*?)</pre>', page, re.DOTALL)]


def test_a_new_job_is_shown_as_json_as_a_file_and_as_a_call(admin):
    as_json, as_file, call = texts(preview(admin, f"{JOBS}preview/", id="new", name="", owner="it's ops"))
    shown = json.loads(as_json)
    assert (shown["id"], shown["owner"], shown["trigger"]["type"]) == ("new", "it's ops", "interval")
    assert load(as_file).jobs == [shown]
    words = shlex.split(call.replace("\\\n", " "))
    assert words[:3] == ["curl", "-X", "POST"]
    assert words[-1] == "http://testserver/scheduler/jobs"
    assert json.loads(words[words.index("-d") + 1]) == shown
    assert not Job.objects.exists()


def test_the_call_for_a_stored_job_has_only_what_is_changed(admin):
    make_job(name="First")
    page = admin.read(EDIT)
    assert json.loads(texts(page)[0])["name"] == "First"
    assert "curl -X" not in page
    typed = {**inputs(admin.open(EDIT)), "name": "Second"}
    *_, call = texts(admin.client.post(f"{JOBS}job/preview/", typed).content.decode())
    words = shlex.split(call.replace("\\\n", " "))
    assert words[:3] == ["curl", "-X", "PATCH"]
    assert words[-3:] == ["-d", '{"name": "Second"}', "http://testserver/scheduler/jobs/job"]


def test_a_job_that_is_not_valid_yet_has_no_text(admin):
    page = preview(admin, f"{JOBS}preview/", id="no blanks")
    assert texts(page) == []
    assert "It shows once all that is typed is valid." in page


def test_values_of_other_jobs_are_suggested(admin):
    make_job("one", tags=["etl", "ops"], owner="ana", concurrency_group="crm")
    make_job("two", tags=["ops"], owner="ben")
    page = admin.read(ADD)
    assert re.findall('data-tag="(.*?)"', page) == ["ops", "etl"]
    assert '<datalist id="owners"><option value="ana"></option><option value="ben"></option></datalist>' in page
    assert '<datalist id="groups"><option value="crm"></option></datalist>' in page


def test_the_queues_of_workers_and_of_other_jobs_are_suggested(admin, settings):
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": "redis://host/0"}
    make_worker("w1", queues=["reports", "mail"])
    make_worker("gone", queues=["old"], stopped_at=NOW)
    make_job("two", executor="celery", queue="a<b", next_run_time=NOW)
    make_job("local", queue="unused", next_run_time=NOW)
    (offered,) = re.findall('<datalist id="queue-queues">(.*?)</datalist>', admin.read(ADD))
    assert re.findall('<option value="(.*?)"></option>', offered) == ["a&lt;b", "cronzimus", "mail", "reports"]
    assert 'list="queue-queues"' in admin.read(ADD)
