"""The services: each is one transaction, and does not disturb the scheduler."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from jobs import services
from jobs.core.exceptions import (
    CronzimusError,
    InvalidArguments,
    InvalidFunction,
    InvalidRequest,
    InvalidTrigger,
    JobExists,
    JobNotFound,
)
from jobs.core.runs import JobState, RunStatus, RunTrigger
from jobs.definitions import validation
from jobs.models import Job, Run
from jobs.scheduler.store import admission, claims
from jobs.selectors.states import job_state
from jobs.services import declared
from tests.fakes import NOW, after, by, make_job, make_run

pytestmark = pytest.mark.django_db

ROOMS = {"thread": 5}
BODY = {"id": "job", "func": "tests:echo", "trigger": "interval", "seconds": 10}


def add(*, now: Any = NOW, **fields: Any) -> Job:
    return services.add_job({**BODY, **fields}, now=now)


def stored(job_id: str = "job") -> Job:
    return Job.objects.get(pk=job_id)


# --- add -------------------------------------------------------------------------------------------------------------


def test_a_new_job_is_due_one_interval_later() -> None:
    add()
    assert stored().next_run_time == after(10)


def test_a_new_job_has_the_defaults() -> None:
    job = add()
    assert (job.name, job.args, job.kwargs, job.tags, job.description) == ("echo", [], {}, [], "")
    assert (job.executor, job.misfire_grace_time, job.coalesce, job.max_instances) == ("thread", None, True, 1)
    assert (job.paused, job.run_count, job.last_status, job.declaration) == (False, 0, "", None)


@override_settings(CRONZIMUS={"JOB_DEFAULTS": {"coalesce": False, "misfire_grace_time": 60}})
def test_a_new_job_has_the_sites_policies_unless_it_names_its_own() -> None:
    job = add(misfire_grace_time=5)
    assert (job.coalesce, job.misfire_grace_time) == (False, 5)


def test_an_interval_is_anchored_at_a_whole_second() -> None:
    job = add(now=after(0.6))
    assert (job.anchor, job.next_run_time) == (NOW, after(10))


def test_a_date_in_the_future_is_due_then() -> None:
    assert add(trigger="date", run_date=after(60).isoformat(), seconds=None).next_run_time == after(60)


def test_a_date_that_has_just_gone_by_is_due_at_once() -> None:
    job = add(trigger="date", run_date=after(-0.5).isoformat(), seconds=None)
    assert job.next_run_time == after(-0.5)
    assert len(claims.claim_due("s1", ROOMS, NOW).runs) == 1


def test_a_date_within_the_grace_is_due_at_once() -> None:
    job = add(trigger="date", run_date=after(-50).isoformat(), seconds=None, misfire_grace_time=60)
    assert job.next_run_time == after(-50)


def test_a_date_beyond_the_grace_is_refused() -> None:
    with pytest.raises(InvalidTrigger, match="lies in the past"):
        add(trigger="date", run_date=after(-70).isoformat(), seconds=None, misfire_grace_time=60)


def test_a_paused_job_can_be_added() -> None:
    job = add(paused=True)
    assert (job.paused, job.next_run_time) == (True, None)


def test_an_id_is_given_once() -> None:
    add()
    with pytest.raises(JobExists):
        add(seconds=99)
    assert stored().trigger == {"type": "interval", "seconds": 10}


@pytest.mark.parametrize(
    ("wrong", "error", "field"),
    [
        ({"id": "no spaces"}, InvalidRequest, "id"),
        ({"func": "os:system"}, InvalidFunction, "func"),
        ({"args": [1, 2]}, InvalidArguments, "args"),
        ({"kwargs": {"nobody": 1}}, InvalidArguments, "kwargs"),
        ({"args": "abc"}, InvalidArguments, "args"),
        ({"seconds": 0}, InvalidTrigger, "seconds"),
        ({"trigger": "never"}, InvalidTrigger, "trigger"),
        ({"max_instances": 0}, InvalidRequest, "max_instances"),
        ({"coalesce": "yes"}, InvalidRequest, "coalesce"),
        ({"misfire_grace_time": -1}, InvalidRequest, "misfire_grace_time"),
        ({"secnods": 5}, InvalidRequest, "secnods"),
        ({"args": ["\x00"]}, InvalidArguments, "args"),
    ],
    ids=repr,
)
def test_what_is_wrong_is_refused_by_name_and_nothing_is_written(
    wrong: dict[str, Any], error: type[CronzimusError], field: str
) -> None:
    with pytest.raises(error) as caught:
        add(**wrong)
    assert set(caught.value.fields) == {field}
    assert not Job.objects.exists()


# --- update ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "given"), [(1, True), (True, 1), (0, False), ({"a": 1}, {"a": True})])
def test_values_that_only_python_takes_for_equal_are_told_apart(before: Any, given: Any) -> None:
    add(args=[before])
    services.update_job("job", {"args": [given]}, now=NOW)
    assert repr(stored().args) == repr([given])


def test_a_number_in_another_form_leaves_the_stored_one() -> None:
    add(args=[1])
    services.update_job("job", {"args": [1.0]}, now=NOW)
    assert repr(stored().args) == "[1]"


def test_a_trigger_that_only_python_takes_for_the_stored_one_is_refused() -> None:
    add(seconds=1)
    with pytest.raises(InvalidTrigger, match="whole number"):
        services.update_job("job", {"seconds": True}, now=NOW)


@pytest.mark.parametrize(
    "edit",
    [
        {"name": "other"}, {"args": [5]}, {"func": "tests:record"}, {"max_instances": 3}, {"coalesce": False},
        {"description": "text"}, {"tags": ["a"]}, {"misfire_grace_time": 5}, {"seconds": 10},
        {"trigger": {"type": "interval", "seconds": 10}}, {"trigger": "interval", "seconds": 10},
    ],
    ids=repr,
)  # fmt: skip
def test_an_edit_of_anything_but_the_trigger_leaves_the_schedule_alone(edit: dict[str, Any]) -> None:
    before = add()
    services.update_job("job", edit, now=after(7))
    job = stored()
    assert (job.anchor, job.next_run_time) == (before.anchor, before.next_run_time)


def test_an_edit_of_an_overdue_job_leaves_it_due() -> None:
    add()
    services.update_job("job", {"name": "other"}, now=after(500))
    assert stored().next_run_time == after(10)


def test_an_edit_writes_what_it_names_only() -> None:
    add(args=[1])
    Job.objects.update(run_count=5, next_run_time=after(20), error="")
    services.update_job("job", {"name": "other"}, now=after(7))
    job = stored()
    assert (job.name, job.args, job.run_count, job.next_run_time, job.updated_at) == (
        "other", [1], 5, after(20), after(7)
    )  # fmt: skip


def test_an_edit_that_changes_nothing_writes_nothing() -> None:
    add()
    services.update_job("job", {"name": "echo", "seconds": 10}, now=after(7))
    assert stored().updated_at == NOW


def test_a_new_trigger_counts_from_now() -> None:
    add()
    services.update_job("job", {"seconds": 60}, now=after(7))
    job = stored()
    assert (job.anchor, job.next_run_time) == (after(7), after(67))


def test_a_new_trigger_drops_what_was_due() -> None:
    add()
    services.update_job("job", {"seconds": 60}, now=after(100))
    assert claims.claim_due("s1", ROOMS, after(159)).runs == []
    assert len(claims.claim_due("s1", ROOMS, after(160)).runs) == 1


def test_a_new_trigger_of_a_paused_job_leaves_it_paused() -> None:
    add()
    services.pause_job("job", now=after(1))
    services.update_job("job", {"seconds": 60}, now=after(2))
    assert (stored().paused, stored().next_run_time) == (True, None)


def test_a_new_trigger_mends_a_broken_job() -> None:
    add()
    Job.objects.update(trigger=[], error="its trigger cannot be understood: …", next_run_time=None)
    services.update_job("job", {"trigger": {"type": "interval", "seconds": 5}}, now=after(2))
    job = stored()
    assert (job.error, job.next_run_time) == ("", after(7))


def test_a_wrong_edit_changes_nothing() -> None:
    add()
    with pytest.raises(InvalidRequest):
        services.update_job("job", {"name": "other", "max_instances": 0}, now=after(1))
    assert stored().name == "echo"


def test_an_edit_between_two_claims_is_in_force_for_the_second() -> None:
    add(args=["before"])
    assert claims.claim_due("s1", ROOMS, after(10)).runs[0].args == ["before"]
    services.update_job("job", {"args": ["after"]}, now=after(11))
    Run.objects.update(status=RunStatus.SUCCEEDED, finished_at=after(11))
    assert claims.claim_due("s1", ROOMS, after(20)).runs[0].args == ["after"]


# --- pause and resume ------------------------------------------------------------------------------------------------


def test_a_paused_job_does_not_fire() -> None:
    add()
    services.pause_job("job", now=after(1))
    assert claims.claim_due("s1", ROOMS, after(100)).runs == []


def test_what_was_due_when_it_was_paused_does_not_fire_either() -> None:
    add()
    services.pause_job("job", now=after(35))
    services.resume_job("job", now=after(36))
    assert claims.claim_due("s1", ROOMS, after(39.9)).runs == []


def test_a_resumed_job_goes_on_from_now_in_its_old_rhythm() -> None:
    add()
    services.pause_job("job", now=after(1))
    job = services.resume_job("job", now=after(34))
    assert (job.next_run_time, job.anchor) == (after(40), NOW)
    run = claims.claim_due("s1", ROOMS, after(40)).runs[0]
    assert run.scheduled_time == after(40)
    assert Run.objects.get().fire_times == 1


def test_a_pause_leaves_no_run() -> None:
    add()
    services.pause_job("job", now=after(1))
    services.resume_job("job", now=after(1000))
    claims.claim_due("s1", ROOMS, after(1005))
    assert not Run.objects.exists()


def test_pausing_twice_is_pausing_once() -> None:
    add()
    services.pause_job("job", now=after(1))
    services.pause_job("job", now=after(2))
    assert (stored().paused, stored().updated_at) == (True, after(1))


def test_resuming_a_job_that_is_not_paused_leaves_its_schedule_alone() -> None:
    add()
    services.resume_job("job", now=after(95))
    assert stored().next_run_time == after(10)


def test_a_date_that_passed_during_a_pause_does_not_fire() -> None:
    add(trigger="date", run_date=after(10).isoformat(), seconds=None)
    services.pause_job("job", now=after(1))
    assert services.resume_job("job", now=after(20)).next_run_time is None


def test_a_pause_lets_active_runs_go_on() -> None:
    add()
    claims.claim_due("s1", ROOMS, after(10))
    services.pause_job("job", now=after(11))
    assert Run.objects.get().status == RunStatus.QUEUED


# --- remove ----------------------------------------------------------------------------------------------------------


def test_the_history_of_a_removed_job_stays() -> None:
    add()
    make_run(status=RunStatus.SUCCEEDED)
    services.remove_job("job", now=after(1))
    assert not Job.objects.exists()
    assert Run.objects.get().job_id == "job"


def test_the_waiting_runs_of_a_removed_job_are_cancelled() -> None:
    add()
    services.run_job("job", now=after(1))
    services.remove_job("job", now=after(2))
    run = Run.objects.get()
    assert (run.status, run.reason, run.finished_at) == (RunStatus.CANCELLED, "its job was removed", after(2))


def test_the_runs_that_a_scheduler_has_taken_go_on_after_a_removal() -> None:
    add()
    claims.claim_due("s1", ROOMS, after(10))
    services.remove_job("job", now=after(11))
    assert Run.objects.get().status == RunStatus.QUEUED


def test_the_id_of_a_removed_job_can_be_given_again() -> None:
    add()
    services.remove_job("job", now=after(1))
    assert add(now=after(2)).next_run_time == after(12)


# --- run now ---------------------------------------------------------------------------------------------------------


def test_a_run_that_is_asked_for_waits_for_any_scheduler() -> None:
    add(args=[5])
    with by("ann"):
        run = services.run_job("job", now=after(1))
    (held,) = admission.admit("s1", ROOMS, after(3))
    assert (held.id, held.func, held.args) == (run.pk, "tests:echo", [5])
    stored_run = Run.objects.get()
    assert (stored_run.trigger, stored_run.actor, stored_run.scheduled_time) == (RunTrigger.MANUAL, "ann", after(1))


def test_a_run_that_is_asked_for_leaves_the_schedule_alone() -> None:
    add()
    services.run_job("job", now=after(1))
    assert stored().next_run_time == after(10)


def test_a_paused_job_can_be_run() -> None:
    add()
    services.pause_job("job", now=after(1))
    services.run_job("job", now=after(2))
    assert len(admission.admit("s1", ROOMS, after(3))) == 1


def test_a_run_can_have_arguments_of_its_own() -> None:
    add(args=[1])
    services.run_job("job", now=after(1), args=[2], kwargs={})
    assert (Run.objects.get().args, stored().args) == ([2], [1])


def test_a_run_with_arguments_that_do_not_fit_is_refused() -> None:
    add()
    with pytest.raises(InvalidArguments):
        services.run_job("job", now=after(1), args=[1, 2, 3])
    assert not Run.objects.exists()


def test_a_run_of_an_unknown_function_is_refused() -> None:
    make_job(func="gone:away")
    with pytest.raises(InvalidFunction):
        services.run_job("job", now=after(1))


def test_two_runs_can_be_asked_for_in_the_same_instant() -> None:
    add()
    first, second = (services.run_job("job", now=after(1)) for _ in range(2))
    assert first.scheduled_time != second.scheduled_time


def test_a_run_asked_for_at_the_very_instant_of_a_fire_time_does_not_take_its_place() -> None:
    add()
    services.run_job("job", now=after(10))
    claimed = claims.claim_due("s1", ROOMS, after(10))
    assert len(claimed.runs) + len(claimed.born_finished) == 1
    assert Run.objects.filter(trigger=RunTrigger.SCHEDULE, scheduled_time=after(10)).count() == 1


def test_a_run_asked_for_at_the_latest_of_several_fire_times_does_not_take_its_place() -> None:
    add()
    services.run_job("job", now=after(30))
    claims.claim_due("s1", ROOMS, after(31))
    assert Run.objects.get(trigger=RunTrigger.SCHEDULE).fire_times == 3


# --- duplicate -------------------------------------------------------------------------------------------------------


def test_a_copy_is_paused_and_has_the_same_definition() -> None:
    add(args=[1], tags=["a"], max_instances=3, description="text", misfire_grace_time=9)
    services.duplicate_job("job", "copy", now=after(5))
    original, copy = stored(), stored("copy")
    names = (*validation.DEFINITION_FIELDS, *validation.POLICY_FIELDS, "trigger")
    assert [getattr(copy, name) for name in names] == [getattr(original, name) for name in names]
    assert (copy.paused, copy.next_run_time, copy.run_count) == (True, None, 0)


def test_a_copy_needs_an_id_of_its_own() -> None:
    add()
    with pytest.raises(JobExists):
        services.duplicate_job("job", "job", now=after(5))


# --- unknown jobs ----------------------------------------------------------------------------------------------------

WISHES = {
    "get": lambda job_id: services.get_job(job_id),
    "update": lambda job_id: services.update_job(job_id, {"name": "other"}, now=NOW),
    "pause": lambda job_id: services.pause_job(job_id, now=NOW),
    "resume": lambda job_id: services.resume_job(job_id, now=NOW),
    "remove": lambda job_id: services.remove_job(job_id, now=NOW),
    "run": lambda job_id: services.run_job(job_id, now=NOW),
    "skip next": lambda job_id: services.skip_next(job_id, now=NOW),
    "duplicate": lambda job_id: services.duplicate_job(job_id, "copy", now=NOW),
}


@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES)
@pytest.mark.parametrize("job_id", ["nobody", "", "a\x00b", "\ud800", "x" * 5000], ids=ascii)
def test_a_wish_for_an_unknown_job_is_refused(wish: Any, job_id: str) -> None:
    with pytest.raises(JobNotFound) as caught:
        wish(job_id)
    str(caught.value).encode()


# --- the last runs ----------------------------------------------------------------------------------------------------


def had_its_runs(**fields: Any) -> None:
    """Add a job that has had the two runs that it may have."""
    add(max_runs=2)
    Job.objects.update(claimed_count=2, next_run_time=None, **fields)


def test_a_job_that_had_its_runs_is_not_due_again_with_another_trigger() -> None:
    had_its_runs()
    services.update_job("job", {"seconds": 60}, now=after(5))
    assert stored().next_run_time is None


def test_a_job_that_had_its_runs_is_not_due_again_when_it_is_resumed() -> None:
    had_its_runs(paused=True)
    services.resume_job("job", now=after(5))
    assert (stored().paused, stored().next_run_time) == (False, None)


def test_a_job_that_had_its_runs_is_not_due_after_a_pause_until_an_instant() -> None:
    had_its_runs()
    services.pause_job("job", now=after(5), until=after(60))
    assert stored().next_run_time is None


def test_a_job_that_may_have_no_more_runs_than_it_had_is_not_due_again() -> None:
    add()
    Job.objects.update(claimed_count=2)
    services.update_job("job", {"max_runs": 2}, now=after(5))
    assert stored().next_run_time is None
    services.update_job("job", {"max_runs": 3}, now=after(5))
    assert stored().next_run_time == after(10)


# --- declared jobs ---------------------------------------------------------------------------------------------------


def sync(*declarations: dict[str, Any], now: Any = NOW) -> None:
    services.sync_declared_jobs(declarations, now=now)


def test_a_declared_job_is_added() -> None:
    sync(BODY)
    assert stored().next_run_time == after(10)


def test_the_same_declaration_changes_nothing() -> None:
    sync(BODY)
    before = Job.objects.values().get()
    sync(BODY, now=after(100))
    assert Job.objects.values().get() == before


def test_the_same_declaration_does_not_resume_a_paused_job() -> None:
    sync(BODY)
    services.pause_job("job", now=after(1))
    sync(BODY, now=after(2))
    assert stored().paused


def test_the_same_declaration_does_not_undo_an_edit() -> None:
    sync(BODY)
    services.update_job("job", {"seconds": 60, "name": "edited"}, now=after(1))
    sync(BODY, now=after(2))
    assert (stored().trigger["seconds"], stored().name, stored().anchor) == (60, "edited", after(1))


def test_the_same_declaration_does_not_bring_back_a_date_that_ran() -> None:
    once = {"id": "job", "func": "tests:echo", "trigger": "date", "run_date": after(10).isoformat()}
    sync(once)
    claims.claim_due("s1", ROOMS, after(10))
    sync(once, now=after(1000))
    assert stored().next_run_time is None


def test_a_changed_declaration_changes_the_job() -> None:
    sync(BODY)
    sync({**BODY, "seconds": 60, "args": [1]}, now=after(5))
    assert (stored().trigger, stored().args, stored().next_run_time) == (
        {"type": "interval", "seconds": 60}, [1], after(65)
    )  # fmt: skip


def test_a_changed_declaration_with_the_same_trigger_leaves_the_schedule_alone() -> None:
    sync(BODY)
    sync({**BODY, "args": [1]}, now=after(5))
    assert (stored().anchor, stored().next_run_time) == (NOW, after(10))


def test_a_changed_declaration_does_not_resume_a_paused_job() -> None:
    sync(BODY)
    services.pause_job("job", now=after(1))
    sync({**BODY, "seconds": 60}, now=after(2))
    assert (stored().paused, stored().next_run_time) == (True, None)


FULL = {
    **BODY, "jitter": 3, "name": "Declared", "description": "told", "tags": ["a"], "args": [1], "timeout": 60,
    "retries": {"max": 3}, "misfire_grace_time": 5,
}  # fmt: skip


def test_what_a_changed_declaration_no_longer_names_gets_its_default(settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"JOB_DEFAULTS": {"misfire_grace_time": 99}}
    sync(FULL)
    sync(BODY, now=after(5))
    job = stored()
    assert (job.name, job.description, job.tags, job.args) == ("echo", "", [], [])
    assert (job.timeout, job.retries, job.misfire_grace_time) == (None, None, 99)
    assert job.trigger == {"type": "interval", "seconds": 10}


def test_what_a_changed_declaration_no_longer_names_stays_where_it_was_edited() -> None:
    sync(FULL)
    services.update_job("job", {"name": "edited", "args": [2], "retries": {"max": 1}}, now=after(1))
    sync(BODY, now=after(5))
    job = stored()
    assert (job.name, job.args, job.retries["max"], job.timeout) == ("edited", [2], 1, None)


def test_a_declaration_that_differs_in_the_type_of_a_value_is_another_one() -> None:
    sync({**BODY, "args": [1]})
    sync({**BODY, "args": [True]}, now=after(5))
    assert stored().args[0] is True


@pytest.mark.parametrize("damaged", [5, [], {"retries": 5, "func": None, "args": "x"}], ids=repr)
def test_a_damaged_record_of_the_last_declaration_does_no_harm(damaged: Any) -> None:
    sync(FULL)
    Job.objects.update(declaration=damaged)
    sync(BODY, now=after(5))
    assert (stored().declaration, stored().name) == (BODY, "Declared")


def test_a_declaration_of_a_job_that_people_made_takes_it_over() -> None:
    add(seconds=99)
    sync(BODY, now=after(1))
    assert stored().trigger == {"type": "interval", "seconds": 10}


def test_a_wrong_declaration_is_named_by_its_place() -> None:
    with pytest.raises(InvalidRequest) as caught:
        sync(BODY, {"id": "b", "func": "tests:echo", "trigger": "interval", "seconds": 1, "coalesce": 5})
    assert list(caught.value.fields) == ["JOBS[1].coalesce"]


def test_all_wrong_declarations_are_named_at_once_and_none_is_made() -> None:
    with pytest.raises(InvalidFunction) as caught:
        sync(BODY, {**BODY, "id": "b", "func": "os:system"}, BODY, {**BODY, "id": "c", "seconds": 0})
    assert list(caught.value.fields) == ["JOBS[1].func", "JOBS[2].id", "JOBS[3].seconds"]
    assert not Job.objects.exists()


def test_a_wrong_declaration_keeps_the_class_of_its_error() -> None:
    with pytest.raises(InvalidFunction, match=r"JOBS\[0\]\.func: "):
        sync({**BODY, "func": "gone:away"})


@pytest.mark.parametrize("declaration", [{}, {"id": 5}, {"id": None}, {"id": "a\x00b"}, {"id": "\ud800"}], ids=ascii)
def test_a_declaration_without_a_proper_id_is_named(declaration: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        sync(declaration)
    assert "JOBS[0].id" in caught.value.fields


def test_a_wrong_change_of_a_declaration_is_named_and_changes_nothing() -> None:
    sync(BODY)
    with pytest.raises(InvalidRequest, match=r"JOBS\[0\]\.max_instances"):
        sync({**BODY, "max_instances": 0})
    assert stored().max_instances == 1


OVER: dict[str, dict[str, Any]] = {
    "a date that has passed": {"trigger": "date", "run_date": "2029-12-31T23:00:00Z"},
    "a local date that has passed": {"trigger": "date", "run_date": "2029-12-31", "timezone": "Asia/Tokyo"},
    "an interval whose end has passed": {"trigger": "interval", "seconds": 5, "end_date": "2029-12-31"},
    "a window that has passed": {"trigger": "cron", "hour": 9, "start_date": "2029-01-01", "end_date": "2029-12-31"},
    "a year that has passed": {"trigger": "cron", "year": 2029},
    "the last fire time before the end has passed": {"trigger": "cron", "hour": 11, "end_date": "2030-01-01 13:00:00"},
}
ONCE = {"id": "once", "func": "tests:echo"}


@pytest.mark.parametrize("trigger", OVER.values(), ids=OVER)
def test_a_declared_job_whose_time_has_passed_is_completed_with_a_warning(
    trigger: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    sync({**ONCE, **trigger}, BODY)
    once = services.get_job("once")
    assert job_state(once, NOW) == (JobState.COMPLETED, "")
    assert stored().next_run_time == after(10)
    (warning,) = (record for record in caplog.records if record.levelname == "WARNING")
    assert "once" in warning.getMessage()
    assert claims.claim_due("s1", ROOMS, after(1)).jobs == 0


@pytest.mark.parametrize("trigger", OVER.values(), ids=OVER)
def test_a_declaration_changed_to_a_time_that_has_passed_completes_its_job(trigger: dict[str, Any]) -> None:
    sync({**ONCE, "trigger": "interval", "seconds": 5})
    sync({**ONCE, **trigger}, now=after(1))
    assert job_state(services.get_job("once"), after(1)) == (JobState.COMPLETED, "")


def test_a_declared_date_that_has_just_passed_runs_within_its_grace() -> None:
    late = {"trigger": "date", "run_date": after(-20).isoformat(), "misfire_grace_time": 60}
    sync({**ONCE, **late})
    assert services.get_job("once").next_run_time == after(-20)


@pytest.mark.parametrize(
    ("trigger", "field"),
    [
        ({"trigger": "date", "run_date": "2029-02-30"}, "run_date"),
        ({"trigger": "cron", "month": 2, "day": 30}, "day"),
        ({"trigger": "interval", "seconds": 5, "start_date": "2029-02-01", "end_date": "2029-01-01"}, "end_date"),
        ({"trigger": "date", "run_date": "2029-12-31", "timezone": "Mars/Olympus"}, "timezone"),
    ],
)
def test_a_declaration_of_a_wrong_form_is_refused_whatever_the_time(trigger: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidTrigger) as caught:
        sync({**ONCE, **trigger})
    assert list(caught.value.fields) == [f"JOBS[0].{field}"]


@pytest.mark.parametrize("trigger", OVER.values(), ids=OVER)
def test_a_job_whose_time_has_passed_is_copied(trigger: dict[str, Any]) -> None:
    sync({**ONCE, **trigger})
    copy = services.duplicate_job("once", "copy", now=after(1))
    assert (copy.trigger, copy.paused) == (services.get_job("once").trigger, True)
    services.resume_job("copy", now=after(2))
    assert job_state(services.get_job("copy"), after(2)) == (JobState.COMPLETED, "")


@pytest.mark.django_db(transaction=True)
def test_a_declared_job_that_another_scheduler_adds_meanwhile_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = declared.add_job

    def beaten(*args: Any, **kwargs: Any) -> Job:
        monkeypatch.setattr(declared, "add_job", real)
        sync(BODY)
        return real(*args, **kwargs)

    monkeypatch.setattr(declared, "add_job", beaten)
    sync(BODY, now=after(1))
    assert stored().created_at == NOW
