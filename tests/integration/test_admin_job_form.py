"""The form of a job in the admin: one validator, all problems at once, and writes through the services."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.utils.text import capfirst

from jobs import services
from jobs.admin.jobs.form import JobForm
from jobs.admin.jobs.policy_inputs import NO_MAX
from jobs.definitions.policies import POLICIES
from jobs.models import Job
from tests.conftest import thinned
from tests.fakes import NOW, after, make_job
from tests.integration.admin_support import (  # noqa: F401
    INTERVAL,
    JOBS,
    Admin,
    admin_fixture,
    at_noon_fixture,
    inputs,
    messages,
    problems,
)

pytestmark = pytest.mark.any_database

ADD = f"{JOBS}add/"
CHANGE = f"{JOBS}job/edit/"


def test_an_interval_job_is_added(admin):
    response = admin.send(ADD, id="new", **INTERVAL)
    job = Job.objects.get(pk="new")
    assert (job.name, job.func, job.trigger) == ("record", "tests:record", {"type": "interval", "seconds": 30})
    assert (job.anchor, job.next_run_time, job.paused) == (NOW, after(30), False)
    assert "Schedule of new: next run 2030-01-01 12:00:30 UTC." in messages(response)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ({"trigger": "cron", "hour": "9", "minute": "*/15"}, {"type": "cron", "hour": 9, "minute": "*/15"}),
        ({"trigger": "crontab", "crontab": "30 2 * * 1-5"}, {"type": "cron", "crontab": "30 2 * * 1-5"}),
        ({"trigger": "crontab", "crontab": "@daily"}, {"type": "cron", "crontab": "@daily"}),
        (
            {"trigger": "date", "run_date": "2030-06-01 10:00:00", "timezone": "Europe/Berlin"},
            {"type": "date", "run_date": "2030-06-01 10:00:00", "timezone": "Europe/Berlin"},
        ),
        (
            {"trigger": "interval", "hours": "1", "seconds": "", "jitter": "2.5", "start_date": "2030-01-02"},
            {"type": "interval", "hours": 1, "start_date": "2030-01-02 00:00:00", "jitter": 2.5},
        ),
        (
            {"trigger": "calendarinterval", "calendar_weeks": "2", "calendar_hour": "9", "end_date": "2031-03-03"},
            {"type": "calendarinterval", "weeks": 2, "hour": 9, "end_date": "2031-03-03"},
        ),
    ],
)
def test_every_kind_of_trigger_can_be_given(admin, given, stored):
    admin.send(ADD, id="new", **INTERVAL | given)
    assert Job.objects.get(pk="new").trigger == stored


def test_every_kind_of_trigger_is_shown_as_it_was_given(admin):
    definition = {"type": "calendarinterval", "months": 1, "hour": 9, "start_date": "2030-01-31 00:00:00"}
    make_job(trigger=definition)
    shown = inputs(admin.open(CHANGE))
    assert (shown["trigger"], shown["calendar_months"], shown["calendar_hour"]) == ("calendarinterval", "1", "9")
    assert "weeks" not in shown
    admin.save(CHANGE, name="Other")
    assert Job.objects.get(pk="job").trigger == definition


def test_problems_of_a_calendar_interval_are_shown_beside_its_inputs(admin):
    response = admin.send(ADD, id="new", **INTERVAL | {"trigger": "calendarinterval", "calendar_hour": "24"})
    assert list(problems(response)) == ["calendar_hour"]
    response = admin.send(ADD, id="new", **INTERVAL | {"trigger": "calendarinterval", "calendar_hour": "9"})
    assert list(problems(response)) == ["trigger"]


def test_inputs_of_other_kinds_of_trigger_do_not_count(admin):
    admin.send(ADD, id="new", **INTERVAL | {"crontab": "nonsense", "hour": "99", "run_date": "never"})
    assert Job.objects.get(pk="new").trigger == {"type": "interval", "seconds": 30}


def test_what_else_a_job_has_is_kept(admin):
    given = {
        "name": "Echo", "description": "one\r\ntwo", "tags": " a, b-c ,", "func": "tests:echo", "args": "[1]",
        "kwargs": "", "misfire_grace_time": "60", "max_instances": "3",
    }  # fmt: skip
    admin.send(ADD, id="new", **INTERVAL | given)
    job = Job.objects.get(pk="new")
    assert (job.name, job.description, job.tags) == ("Echo", "one\ntwo", ["a", "b-c"])
    assert (job.args, job.kwargs, job.misfire_grace_time, job.coalesce, job.max_instances) == ([1], {}, 60, False, 3)


def test_the_form_of_a_new_job_has_the_default_policies(admin, settings):
    settings.CRONZIMUS = settings.CRONZIMUS | {"JOB_DEFAULTS": {"misfire_grace_time": 7}}
    shown = inputs(admin.open(ADD))
    assert {name: shown[name] for name in ("trigger", "coalesce", "misfire_grace_time", "max_instances")} == {
        "trigger": "interval",
        "coalesce": "on",
        "misfire_grace_time": "7",
        "max_instances": "1",
    }


def test_an_empty_queue_is_the_usual_one(admin, settings):
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": "redis://host/0"}
    admin.send(ADD, id="new", **INTERVAL, queue="")
    assert Job.objects.get().queue == "cronzimus"


def test_without_a_broker_the_form_offers_neither_workers_nor_a_queue(admin):
    form = admin.open(ADD).context["adminform"].form
    assert "queue" not in form.fields
    assert "celery" not in dict(form.fields["executor"].widget.choices)


def test_every_policy_has_an_input(admin, settings):
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": "redis://host/0"}
    shown = set(inputs(admin.open(ADD))) | set(admin.open(ADD).context["adminform"].form.fields)
    assert set(POLICIES) - {"retries"} <= shown
    assert {f"retries_{name}" for name in ("max", "delay", "backoff", "max_delay", "jitter")} <= shown


def test_every_policy_is_kept(admin):
    given = {
        "executor": "process", "misfire_grace_time": "0", "max_instances": "2", "overlap": "queue", "queue_limit": "3",
        "timeout": "60", "priority": "-5", "concurrency_group": "db", "concurrency_limit": "4", "max_runs": "5",
        "pause_after": "5", "keep_runs": "6", "keep_days": "7", "keep_failed_days": "8",
    }  # fmt: skip
    admin.send(ADD, id="new", coalesce="on", **INTERVAL | given)
    job = Job.objects.get(pk="new")
    assert job.coalesce
    assert {name: str(getattr(job, name)) for name in given} == given


def test_policies_left_empty_are_null_where_that_means_something(admin):
    names = (
        "misfire_grace_time", "timeout", "max_runs", "pause_after", "keep_runs", "keep_days", "keep_failed_days",
        "retries",
    )  # fmt: skip
    admin.send(ADD, id="new", **INTERVAL)
    assert Job.objects.values_list(*names).get() == (None,) * 8


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ({"max": "3"}, {"max": 3, "delay": 10, "backoff": 2, "max_delay": 3600, "jitter": 0}),
        (
            {"max": "3", "delay": "0.5", "backoff": "1", "max_delay": "1e3", "jitter": "2"},
            {"max": 3, "delay": 0.5, "backoff": 1, "max_delay": 1000, "jitter": 2},
        ),
        ({"max": "0", "delay": "5"}, None),
        ({}, None),
    ],
)
def test_retries_become_the_apis_object(admin, given, stored):
    admin.send(ADD, id="new", **INTERVAL, **{f"retries_{name}": text for name, text in given.items()})
    assert Job.objects.get(pk="new").retries == stored


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"max": "101"}, {"max": "Must be a whole number from 0 to 100"}),
        ({"max": "1.5"}, {"max": "Must be a whole number from 0 to 100"}),
        ({"max": "many"}, {"max": "Must be a whole number from 0 to 100"}),
        ({"max": "1", "backoff": "0.5"}, {"backoff": "Must be a number from 1 to 100"}),
        ({"max": "1", "delay": "soon"}, {"delay": "Must be a number of seconds from 0 to"}),
        ({"max": "1", "delay": "1e999"}, {"delay": "Must be a number of seconds from 0 to"}),
        ({"max": "1", "jitter": "nan"}, {"jitter": "Must be a number of seconds from 0 to"}),
        ({"delay": "5"}, {"max": capfirst(NO_MAX)}),
        (
            {"max": "-1", "max_delay": "-1"},
            {
                "max": "Must be a whole number from 0 to 100",
                "max_delay": "Must be a number of seconds from 0 to",
            },
        ),
    ],
)
def test_what_is_wrong_with_retries_is_said_at_their_inputs(admin, given, wrong):
    response = admin.send(ADD, id="new", **INTERVAL, **{f"retries_{name}": text for name, text in given.items()})
    found = problems(response)
    assert set(found) == {f"retries_{name}" for name in wrong}
    assert all(found[f"retries_{name}"][0].startswith(message) for name, message in wrong.items())


@pytest.mark.parametrize(
    "name",
    [name for name in POLICIES if name not in ("coalesce", "retries")] + ["retries_max", "retries_delay"],
)
@pytest.mark.parametrize("value", thinned(["-1.5", "magic word", "9" * 30, "<script>alert(1)</script>", "\0"], every=3))
def test_a_wrong_policy_is_said_at_its_input_and_its_section_is_open(admin, settings, name, value):
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": "redis://host/0"}
    response = admin.send(ADD, id="new", **INTERVAL | {"retries_max": "1", name: value})
    if name in ("concurrency_group", "queue") and value in ("-1.5", "9" * 30):
        assert getattr(Job.objects.get(), name) == value
        return
    assert list(problems(response)) == [name]
    page = response.content.decode()
    assert "<script>alert(1)" not in page
    open_section = page[: page.index(f'name="{name}"')].rpartition("<fieldset")[2]
    assert "<details" not in open_section


def is_folded(page: str, name: str) -> bool:
    """Tell whether the section of an input is folded."""
    before = page[: page.index(f'name="{name}"')]
    return before.count('<details class="fold"') > before.count("</fieldset></details>")


def test_sections_of_policies_are_folded_unless_the_job_has_its_own(admin, settings):
    make_job(retries={"max": 1, "delay": 10, "backoff": 2, "max_delay": 3600, "jitter": 0}, priority=3)
    page = admin.read(CHANGE)
    for name, folded in (("retries_max", False), ("priority", False), ("keep_runs", True), ("overlap", True)):
        assert is_folded(page, name) == folded
    settings.CRONZIMUS = settings.CRONZIMUS | {"JOB_DEFAULTS": {"keep_runs": 5}}
    page = admin.read(CHANGE)
    assert not is_folded(page, "keep_runs")


def test_the_defaults_of_the_site_may_have_retries(admin, settings):
    settings.CRONZIMUS = settings.CRONZIMUS | {
        "JOB_DEFAULTS": {"retries": {"max": 2, "delay": 1.5}, "overlap": "queue"}
    }
    shown = inputs(admin.open(ADD))
    assert (shown["retries_max"], shown["retries_delay"], shown["overlap"]) == ("2", "1.5", "queue")


def test_the_picker_offers_the_registered_functions_with_parameters_and_docstring(admin):
    page = admin.read(ADD)
    assert '<option value="tests:echo">tests:echo(value: Any = None): Return the argument.</option>' in page
    assert "tests:inspect(value: int): Return the injected arguments." in page


def test_all_problems_are_shown_at_once_each_at_its_field(admin):
    bad = {
        "name": "x" * 201, "tags": "a b", "func": "os:system", "args": "[NaN]", "kwargs": '{"a": 1, "a": 2}',
        "seconds": "-1", "timezone": "Mars", "misfire_grace_time": "soon", "max_instances": "0", "executor": "magic",
    }  # fmt: skip
    response = admin.send(ADD, id="no blanks", **INTERVAL | bad)
    assert set(problems(response)) == {"id", *bad}
    assert not Job.objects.exists()
    assert "os:system&#x27; is not a registered function" in response.content.decode()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("args", "{}", "Must be an array"),
        ("args", "[1", "Is not JSON"),
        ("args", "[1, 2]", "Too many positional arguments"),
        ("kwargs", "[]", "Must be an object"),
        ("kwargs", '{"nonsense": 1}', "Got an unexpected keyword argument"),
        ("seconds", "", "Needs at least one of"),
        ("seconds", "0", "The interval must be longer than 0"),
        ("max_instances", "", "Must be a whole number"),
    ],
)
def test_a_problem_is_said_in_words(admin, name, value, said):
    response = admin.send(ADD, id="new", **INTERVAL | {"func": "tests:echo", name: value})
    ((found,),) = problems(response).values()
    assert found.startswith(said)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"trigger": ""}, "trigger"),
        ({"trigger": "nonsense"}, "trigger"),
        ({"trigger": "crontab", "crontab": ""}, "crontab"),
        ({"trigger": "crontab", "crontab": "0 0 30 2 *"}, "crontab"),
        ({"trigger": "cron", "hour": "25"}, "hour"),
        ({"trigger": "cron", "day": "30", "month": "2"}, "day"),
        ({"trigger": "date", "run_date": ""}, "run_date"),
        ({"trigger": "date", "run_date": "2029-12-31 00:00:00"}, "run_date"),
        ({"end_date": "2029-01-01"}, "end_date"),
    ],
)
def test_a_trigger_that_is_none_or_never_fires_is_refused_at_its_field(admin, given, field):
    assert list(problems(admin.send(ADD, id="new", **INTERVAL | given))) == [field]


@pytest.mark.parametrize("name", ["id", "name", "description", "tags", "func", "args", "crontab", "timezone"])
@pytest.mark.parametrize(
    "value", thinned(["\0", "🙂" * 300, "\0" * 3000, "<script>alert(1)</script>", "[" * 5000], every=3)
)
def test_strange_text_is_refused_or_kept_and_breaks_nothing(admin, name, value):
    response = admin.send(ADD, **{"id": "new", **INTERVAL, name: value})
    assert response.status_code == 200
    assert "<script>alert(1)" not in response.content.decode()


def test_a_taken_id_is_said_at_the_id(admin):
    make_job()
    response = admin.send(ADD, id="job", **INTERVAL)
    assert problems(response) == {"id": ["Is taken by another job"]}


def test_an_id_taken_between_the_check_and_the_write_is_said_at_the_id(admin, monkeypatch):
    checks = []

    def check_late(form, job_id):
        checks.append(job_id)
        if len(checks) > 1:
            check(form, job_id)

    check = JobForm._check_free
    monkeypatch.setattr(JobForm, "_check_free", check_late)
    make_job()
    assert problems(admin.send(ADD, id="job", **INTERVAL)) == {"id": ["Is taken by another job"]}


@pytest.mark.parametrize(
    "trigger",
    [
        {"type": "interval", "weeks": 1, "seconds": 5, "jitter": 1.5},
        {"type": "cron", "hour": 9, "minute": "0", "timezone": "Europe/Berlin"},
        {"type": "cron", "crontab": "30 2 * * 1-5", "end_date": "2040-01-01T00:00:00+02:00"},
        {"type": "date", "run_date": "2030-01-01 13:00:00"},
    ],
)
def test_a_save_without_changes_changes_nothing(admin, at_noon, trigger):
    own = {
        "retries": {"max": 2, "delay": 0.5, "backoff": 1, "max_delay": 1e-7, "jitter": 10.0}, "timeout": 5,
        "concurrency_group": "db", "overlap": "replace", "priority": -1, "keep_days": 3, "paused_until": after(60),
    }  # fmt: skip
    make_job(trigger=trigger, tags=["a", "b"], description="one\ntwo ", kwargs={"a": [1, {"b": None}]}, **own)
    before = Job.objects.values().get()
    at_noon.advance(3)
    assert "was changed successfully" in messages(admin.save(CHANGE))[-1]
    assert Job.objects.values().get() == before


def test_an_edit_of_other_fields_leaves_the_schedule_alone(admin, at_noon):
    make_job(trigger={"type": "interval", "seconds": 10})
    at_noon.advance(3)
    admin.save(CHANGE, name="Renamed", description="new", owner="Team A", max_instances="2")
    job = Job.objects.get(pk="job")
    assert (job.name, job.owner, job.max_instances, job.updated_at) == ("Renamed", "Team A", 2, after(3))
    assert (job.anchor, job.next_run_time) == (after(-10), NOW)


def test_an_edit_of_the_trigger_starts_it_anew(admin, at_noon):
    make_job()
    at_noon.advance(3)
    admin.save(CHANGE, seconds="20")
    job = Job.objects.get(pk="job")
    assert (job.trigger, job.anchor, job.next_run_time) == ({"type": "interval", "seconds": 20}, after(3), after(23))


def test_a_trigger_of_another_kind_takes_the_place_of_the_first(admin):
    make_job()
    admin.save(CHANGE, trigger="crontab", crontab="0 13 * * *")
    assert Job.objects.get(pk="job").trigger == {"type": "cron", "crontab": "0 13 * * *"}


def test_a_date_that_has_passed_can_still_be_renamed(admin):
    make_job(trigger={"type": "date", "run_date": "2029-01-01 00:00:00"}, next_run_time=None)
    admin.save(CHANGE, name="Renamed")
    assert Job.objects.get(pk="job").name == "Renamed"


def test_an_edit_does_not_pause_resume_or_recount(admin):
    make_job(paused=True, run_count=7)
    Job.objects.filter(pk="job").update(run_count=8)
    admin.save(CHANGE, name="Renamed", seconds="20")
    job = Job.objects.get(pk="job")
    assert (job.paused, job.next_run_time, job.run_count) == (True, None, 8)


def test_the_id_can_not_be_changed(admin):
    make_job()
    assert 'name="id"' not in admin.read(CHANGE)
    admin.save(CHANGE, id="other")
    assert list(Job.objects.values_list("pk", flat=True)) == ["job"]


def test_saves_are_on_record(admin):
    make_job()
    admin.save(CHANGE, name="Renamed")
    assert LogEntry.objects.get().get_change_message() == "Changed Name."


def test_a_removed_job_has_no_form(admin):
    assert "doesn’t exist" in messages(admin.client.get(CHANGE, follow=True))[0]


def test_the_form_of_an_id_with_every_kind_of_character_opens(admin):
    make_job("A_b.c:d-e")
    admin.save(f"{JOBS}A_5Fb.c_3Ad-e/edit/", name="Renamed")
    assert Job.objects.get().name == "Renamed"


def test_a_job_is_removed_and_its_runs_stay(admin):
    make_job()
    run = services.run_job("job", now=NOW)
    admin.send(f"{JOBS}job/delete/", post="yes")
    run.refresh_from_db()
    assert not Job.objects.exists()
    assert (run.status, run.reason) == ("cancelled", "its job was removed")
