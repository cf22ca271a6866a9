"""Incidents: one for each streak of failures, told by rules, over when the job has recovered."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.db.models import JSONField, Value

from jobs import services
from jobs.alerts import End, acknowledge, observe, outbox, scheduler_lost
from jobs.alerts.watch import watch
from jobs.core.alerts import DeliveryState, IncidentState
from jobs.core.exceptions import InvalidRequest
from jobs.core.runs import RunStatus
from jobs.models import AlertRule, Channel, Delivery, Incident, Job, Run
from jobs.scheduler.incidents import IncidentWatch
from tests.fakes import NOW, outcome

pytestmark = pytest.mark.django_db

BODY: dict[str, Any] = {"id": "a", "func": "tests:record", "trigger": "interval", "hours": 1}
EVERYTHING = ["failure", "recovery", "not_run", "too_long", "deadline", "scheduler"]


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def make_rule(name: str = "r", **fields: Any) -> AlertRule:
    channel, _ = Channel.objects.get_or_create(name="c", kind="email", target="ops@example.com")
    rule = AlertRule.objects.create(**{"name": name, "events": EVERYTHING, **fields})
    rule.channels.add(channel)
    return rule


@pytest.fixture
def job() -> Job:
    return services.add_job(BODY, now=NOW)


def end(status: str, minutes: float = 0, error: str = "ValueError: no", **fields: Any) -> None:
    given = {"job_id": "a", "run_id": 7, "status": RunStatus(status), "error": error, "at": at(minutes), **fields}
    observe([End(**given)], at(minutes))


def told() -> list[str]:
    return list(Delivery.objects.order_by("id").values_list("reason", flat=True))


def told_by() -> list[str]:
    return list(Delivery.objects.order_by("id").values_list("rule__name", flat=True))


def test_a_job_recovers_right_after_it_has_failed(job: Job) -> None:
    runs = IncidentWatch()
    runs.refresh(NOW)
    for number, status in enumerate((RunStatus.FAILED, RunStatus.SUCCEEDED), 1):
        runs.ended([outcome(number, job_id=job.pk, status=status)], at(number))
    assert Incident.objects.get().state == IncidentState.RECOVERED


def test_many_failures_and_recoveries_at_once_cost_as_few_statements_as_one(statements: Any) -> None:
    make_rule()
    make_rule("again", tag="t")
    numbers = []
    for names in (["one"], [f"job-{number}" for number in range(50)]):
        for name in names:
            services.add_job({**BODY, "id": name, "tags": ["t"]}, now=NOW)
        for status, error in (("failed", "first"), ("failed", "second"), ("succeeded", "")):
            ends = [End(name, 7, RunStatus(status), error, NOW) for name in names]
            with statements() as found:
                observe(ends, NOW)
            numbers.append(len(found))
    assert Delivery.objects.count() == 51 * 3 * 2
    assert set(Incident.objects.values_list("state", "count")) == {("recovered", 2)}
    spare = 1  # SQLite takes some hundred variables in one statement
    assert all(many <= one + spare for one, many in zip(numbers[:3], numbers[3:], strict=True)), numbers


def test_runs_of_one_job_that_end_at_once_are_told_one_by_one(job: Job) -> None:
    make_rule()
    statuses = ("failed", "failed", "succeeded", "failed")
    errors = ("one", "two", "", "three")
    observe([End("a", 7, RunStatus(status), error, NOW) for status, error in zip(statuses, errors, strict=True)], NOW)
    assert list(Incident.objects.order_by("id").values_list("state", "count")) == [("recovered", 2), ("open", 1)]
    assert told() == ["opened", "changed", "recovered", "opened"]
    payloads = Delivery.objects.order_by("id").values_list("payload", flat=True)
    assert [payload["data"]["count"] for payload in payloads] == [1, 2, 2, 1]
    assert [payload["data"]["error"] for payload in payloads] == ["one", "two", "two", "three"]


@pytest.mark.parametrize("status", ["failed", "timed_out", "lost"])
def test_the_first_unsuccessful_run_opens_an_incident(job: Job, status: str) -> None:
    end(status)
    incident = Incident.objects.get()
    assert (incident.kind, incident.state, incident.count) == ("failure", "open", 1)
    assert (incident.first_run, incident.last_run, incident.error) == (7, 7, "ValueError: no")


def test_a_streak_is_one_incident(job: Job) -> None:
    for minute in range(5):
        end("failed", minute, run_id=minute)
    incident = Incident.objects.get()
    assert (incident.count, incident.first_run, incident.last_run) == (5, 0, 4)


def test_a_success_recovers_it_and_the_next_failure_opens_another(job: Job) -> None:
    end("failed")
    end("succeeded", 1)
    end("failed", 2)
    states = Incident.objects.order_by("id").values_list("state", flat=True)
    assert list(states) == [IncidentState.RECOVERED, IncidentState.OPEN]


@pytest.mark.parametrize("status", ["cancelled"])
def test_a_cancelled_run_changes_nothing(job: Job, status: str) -> None:
    end(status)
    end("failed", 1)
    end(status, 2)
    assert Incident.objects.get().count == 1


def test_an_attempt_that_is_tried_again_does_not_count(job: Job) -> None:
    end("failed", is_final=False)
    assert not Incident.objects.exists()


def test_errors_that_alternate_are_told_once_each(job: Job) -> None:
    make_rule()
    for minute in range(10):
        end("failed", minute, "ValueError: no" if minute % 2 else "KeyError: no")
    assert told() == ["opened", "changed"]


@pytest.mark.parametrize("status", ["missed", "skipped"])
def test_a_fire_time_that_did_not_run_is_an_incident_of_its_own(job: Job, status: str) -> None:
    end("failed")
    end(status, 1)
    assert set(Incident.objects.values_list("kind", flat=True)) == {"failure", "not_run"}
    end("succeeded", 2)
    assert not Incident.objects.open().exists()


def test_successes_of_healthy_jobs_write_nothing(job: Job, statements: Any) -> None:
    with statements() as found:
        end("succeeded")
    assert len(found) == 1


def save_rule(minutes: float, **values: Any) -> AlertRule:
    values = {"events": EVERYTHING, **values}
    return services.save_rule("r", values, recipients="ops@example.com", channels=None, now=at(minutes), changes={})


def test_a_new_rule_sends_no_incident_that_is_open_already(job: Job) -> None:
    end("failed")
    save_rule(1)
    end("failed", 2)
    assert told() == []
    end("succeeded", 3)
    assert told() == []
    end("failed", 4)
    assert told() == ["opened"]


def test_a_new_rule_sends_another_error_of_an_open_incident_and_then_its_recovery(job: Job) -> None:
    end("failed")
    save_rule(1)
    end("failed", 2, "KeyError: no")
    end("succeeded", 3)
    assert told() == ["changed", "recovered"]


def test_a_new_rule_repeats_an_open_incident_after_a_day(job: Job) -> None:
    end("failed")
    save_rule(1)
    watch(at(24 * 60))
    assert told() == []
    watch(at(24 * 60 + 1))
    assert told() == ["repeated"]


def test_a_new_rule_sends_an_incident_that_comes_to_its_number_later(job: Job) -> None:
    end("failed")
    end("failed", 1)
    save_rule(2, after=3)
    end("failed", 3)
    assert told() == ["opened"]


@pytest.mark.parametrize("before", [{"enabled": False}, {"tag": "other"}, {"job_id": "b"}, {"events": ["lost"]}])
def test_a_rule_that_is_turned_on_or_widened_sends_no_incident_that_is_open_already(
    job: Job, before: dict[str, Any]
) -> None:
    save_rule(0, **before)
    end("failed", 1)
    save_rule(2, enabled=True, tag="", job_id=None, events=EVERYTHING)
    end("failed", 3)
    assert told() == []


def test_a_rule_with_a_tag_is_quiet_about_the_jobs_with_it_alone(job: Job) -> None:
    services.add_job({**BODY, "id": "tagged", "tags": ["t"]}, now=NOW)
    end("failed")
    end("failed", job_id="tagged")
    save_rule(1, tag="t")
    assert [bool(one.notified) for one in Incident.objects.order_by("job_id")] == [False, True]


def test_a_streak_is_told_once_and_its_recovery_once(job: Job) -> None:
    make_rule()
    for minute in range(5):
        end("failed", minute)
    end("succeeded", 6)
    end("succeeded", 7)
    assert told() == ["opened", "recovered"]


def test_another_error_is_told_again(job: Job) -> None:
    make_rule()
    end("failed", 0, "ValueError: 5")
    end("failed", 1, "ValueError: 6")
    end("failed", 2, "TypeError: 6")
    assert told() == ["opened", "changed"]


def test_a_rule_may_wait_for_some_failures_in_a_row(job: Job) -> None:
    make_rule(after=3)
    end("failed")
    end("failed", 1)
    assert told() == []
    end("failed", 2)
    assert told() == ["opened"]


def test_a_recovery_from_what_was_not_told_is_not_told(job: Job) -> None:
    make_rule(after=3)
    end("failed")
    end("succeeded", 1)
    assert told() == []


def test_a_rule_without_recovery_tells_none(job: Job) -> None:
    make_rule(events=["failure"])
    end("failed")
    end("succeeded", 1)
    assert told() == ["opened"]


def test_a_rule_for_lost_runs_tells_of_those_alone(job: Job) -> None:
    make_rule(events=["lost"])
    end("failed")
    assert told() == []
    end("lost", 1)
    assert told() == ["opened"]


@pytest.mark.parametrize(("fields", "number"), [({"job_id": "a"}, 1), ({"job_id": "b"}, 0), ({"tag": "x"}, 1),
                                                ({"tag": "y"}, 0), ({"enabled": False}, 0), ({}, 1)])  # fmt: skip
def test_a_rule_is_about_a_job_a_tag_or_all(fields: dict[str, Any], number: int) -> None:
    services.add_job(BODY | {"tags": ["x"]}, now=NOW)
    make_rule(**fields)
    end("failed")
    assert len(told()) == number


def test_a_channel_that_is_off_gets_nothing(job: Job) -> None:
    make_rule()
    Channel.objects.update(enabled=False)
    end("failed")
    assert told() == []


def test_each_rule_tells_by_itself(job: Job) -> None:
    make_rule("one")
    make_rule("two", after=2)
    end("failed")
    end("failed", 1)
    assert told() == ["opened", "opened"]


def test_an_open_incident_is_repeated_once_a_day_until_it_is_acknowledged(job: Job) -> None:
    make_rule()
    end("failed")
    watch(at(60))
    assert told() == ["opened"]
    watch(at(24 * 60))
    watch(at(25 * 60))
    assert told() == ["opened", "repeated"]
    acknowledge(Incident.objects.get().pk, actor="somebody", now=at(26 * 60))
    watch(at(72 * 60))
    assert told() == ["opened", "repeated"]


def test_an_incident_that_is_over_cannot_be_acknowledged(job: Job) -> None:
    end("failed")
    end("succeeded", 1)
    with pytest.raises(InvalidRequest, match="no open incident"):
        acknowledge(Incident.objects.get().pk, actor="", now=at(2))


def test_quiet_hours_defer_a_message(job: Job) -> None:
    hour = NOW.hour
    make_rule(quiet_from=time(hour), quiet_until=time((hour + 2) % 24), timezone="UTC")
    end("failed")
    assert outbox.take(10, now=at(1)) == []
    assert len(outbox.take(10, now=at(121))) == 1


def test_what_recovers_in_quiet_hours_is_not_told_at_all(job: Job) -> None:
    make_rule(quiet_from=time(NOW.hour), quiet_until=time((NOW.hour + 2) % 24), timezone="UTC")
    end("failed")
    end("succeeded", 5)
    assert [(one.reason, one.state) for one in Delivery.objects.all()] == [("opened", DeliveryState.DROPPED)]


def test_a_message_says_which_job_failed_and_why(job: Job) -> None:
    make_rule()
    run = Run.objects.create(
        job=job, func="f", status="failed", trigger="schedule", scheduled_time=NOW, finished_at=NOW
    )
    end("failed", run_id=run.pk)
    payload = Delivery.objects.get().payload
    assert (payload["specversion"], payload["type"], payload["subject"]) == ("1.0", "cronzimus.incident.opened", "a")
    assert payload["data"]["text"] == "job a failed once: ValueError: no"
    assert payload["data"]["run_status"] == "failed"


def test_a_lost_scheduler_is_told() -> None:
    make_rule()
    scheduler_lost(["host:1:abc"], NOW)
    scheduler_lost(["host:2:def"], at(1))
    assert told() == ["opened", "opened"]
    assert not Incident.objects.open().exists()


def running(job: Job, minutes: float, **fields: Any) -> Run:
    return Run.objects.create(
        job=job,
        func="f",
        status="running",
        trigger="schedule",
        scheduled_time=at(minutes),
        started_at=at(minutes),
        **fields,
    )


def test_a_run_that_takes_longer_than_its_rule_allows_is_told_once(job: Job) -> None:
    make_rule(too_long_seconds=600)
    running(job, 0)
    watch(at(9))
    assert told() == []
    watch(at(11))
    watch(at(12))
    assert told() == ["opened"]
    end("succeeded", 13)
    assert told() == ["opened", "recovered"]


def test_several_runs_of_a_job_that_take_too_long_are_told_once(job: Job) -> None:
    make_rule(too_long_seconds=600)
    running(job, 0)
    running(job, 0.5)
    for minute in (11, 12, 13):
        watch(at(minute))
    assert told() == ["opened"]
    assert Incident.objects.get().count == 1


def test_each_rule_tells_of_a_run_by_its_own_limit(job: Job) -> None:
    make_rule("soon", too_long_seconds=600)
    make_rule("late", too_long_seconds=1200)
    running(job, 0)
    watch(at(11))
    watch(at(12))
    assert told_by() == ["soon"]
    watch(at(21))
    assert told_by() == ["soon", "late"]


def test_too_long_may_go_by_how_long_the_last_runs_took(job: Job) -> None:
    make_rule(too_long_factor=2)
    for minute in range(60):
        Run.objects.create(
            job=job, func="f", status="succeeded", trigger="schedule", scheduled_time=at(minute - 100),
            started_at=at(minute - 100), finished_at=at(minute - 99),
        )  # fmt: skip
    running(job, 0)
    watch(at(1.5))
    assert told() == []
    watch(at(2.5))
    assert told() == ["opened"]


def test_a_deadline_that_passes_without_a_success_is_told_even_if_nothing_ran(job: Job) -> None:
    Job.objects.update(created_at=NOW - timedelta(days=3))
    make_rule(deadline=time(NOW.hour, NOW.minute), timezone="UTC")
    watch(at(-1))
    assert told() == []
    watch(at(1))
    watch(at(2))
    assert told() == ["opened"]


@pytest.mark.parametrize("notified", [5, None, ["r"]])
def test_an_incident_whose_notifications_are_damaged_keeps_no_deadline_from_being_told(job: Job, notified: Any) -> None:
    Job.objects.update(created_at=NOW - timedelta(days=3))
    make_rule(deadline=time(NOW.hour, NOW.minute), timezone="UTC")
    watch(at(1))
    Incident.objects.update(notified=notified if notified is not None else Value(None, JSONField()))
    watch(at(2))
    assert told() == ["opened", "opened"], "nobody knows any more that it was told"


def test_each_rule_tells_of_its_own_deadline(job: Job) -> None:
    Job.objects.update(created_at=NOW - timedelta(days=3))
    make_rule("noon", deadline=time(NOW.hour, NOW.minute), timezone="UTC")
    make_rule("later", deadline=time(NOW.hour + 1, NOW.minute), timezone="UTC")
    watch(at(1))
    watch(at(2))
    assert told_by() == ["noon"]
    watch(at(61))
    assert told_by() == ["noon", "later"]


def test_a_deadline_is_met_by_a_success_of_the_day(job: Job) -> None:
    Job.objects.update(created_at=NOW - timedelta(days=3))
    make_rule(deadline=time(NOW.hour, NOW.minute), timezone="UTC")
    Run.objects.create(
        job=job,
        func="f",
        status="succeeded",
        trigger="schedule",
        scheduled_time=at(-5),
        started_at=at(-5),
        finished_at=at(-4),
    )
    watch(at(1))
    assert told() == []


FRIDAY, SATURDAY = datetime(2030, 1, 4, tzinfo=UTC), datetime(2030, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("trigger", "by", "day", "tells"),
    [
        ({"type": "cron", "crontab": "0 3 * * mon-fri"}, time(9), FRIDAY, True),
        ({"type": "cron", "crontab": "0 3 * * mon-fri"}, time(9), SATURDAY, False),
        ({"type": "cron", "crontab": "30 23 * * *"}, time(2), FRIDAY, True),
        ({"type": "cron", "crontab": "30 12 * * mon-fri"}, time(9), FRIDAY, True),
        ({"type": "cron", "crontab": "30 12 * * mon-fri"}, time(9), SATURDAY + timedelta(days=1), False),
        ({"type": "calendarinterval", "weeks": 1, "hour": 3, "start_date": "2030-01-04"}, time(9), SATURDAY, False),
        ({"type": "date", "run_date": "2030-02-01 00:00:00"}, time(9), FRIDAY, False),
        ({"type": "interval", "days": 3}, time(9), FRIDAY, False),
        ({"type": "interval", "hours": 6}, time(9), FRIDAY, True),
    ],
)
def test_a_deadline_is_about_the_days_on_which_the_job_is_to_run(
    trigger: Any, by: time, day: datetime, tells: bool
) -> None:
    services.add_job({"id": "a", "func": BODY["func"], "trigger": trigger}, now=NOW)
    Job.objects.update(created_at=NOW - timedelta(days=3), anchor=datetime(2029, 12, 31, tzinfo=UTC))
    make_rule(deadline=by, timezone="UTC")
    watch(day + timedelta(hours=9, minutes=1))
    assert told() == (["opened"] if tells else [])


@pytest.mark.parametrize(("finished", "tells"), [(datetime(2030, 1, 3, 23, 40, tzinfo=UTC), False), (NOW, True)])
def test_the_run_of_the_evening_before_meets_a_deadline_at_night(finished: datetime, tells: bool) -> None:
    trigger = {"type": "cron", "crontab": "30 23 * * *"}
    job = services.add_job({"id": "a", "func": BODY["func"], "trigger": trigger}, now=NOW)
    Job.objects.update(created_at=NOW - timedelta(days=3), last_status="succeeded", last_run_at=finished)
    Run.objects.create(
        job=job, func="f", status="succeeded", trigger="schedule", scheduled_time=finished - timedelta(minutes=10),
        started_at=finished - timedelta(minutes=10), finished_at=finished,
    )  # fmt: skip
    make_rule(deadline=time(2), timezone="UTC")
    watch(FRIDAY + timedelta(hours=2, minutes=1))
    assert told() == (["opened"] if tells else [])


def test_a_job_that_has_had_all_its_runs_misses_no_deadline(job: Job) -> None:
    Job.objects.update(created_at=NOW - timedelta(days=3), max_runs=2, claimed_count=2)
    make_rule(deadline=time(NOW.hour, NOW.minute), timezone="UTC")
    watch(at(1))
    assert told() == []


def test_a_rule_that_is_made_after_the_deadline_was_told_tells_it_as_well(job: Job) -> None:
    Job.objects.update(created_at=NOW - timedelta(days=3))
    make_rule(deadline=time(NOW.hour, NOW.minute), timezone="UTC")
    watch(at(1))
    make_rule("later", deadline=time(NOW.hour, NOW.minute), timezone="UTC")
    watch(at(2))
    assert told() == ["opened", "opened"]


@pytest.mark.parametrize("number", [1, 12])
def test_a_look_at_deadlines_costs_the_same_for_many_jobs(number: int, statements: Any) -> None:
    for index in range(number):
        services.add_job(BODY | {"id": f"j{index}"}, now=NOW - timedelta(days=3))
    make_rule(deadline=time(NOW.hour, NOW.minute), timezone="UTC")
    watch(at(1))
    with statements() as seen:
        watch(at(2))
    assert len(seen) <= 12


def test_an_incident_whose_job_has_succeeded_since_recovers_when_looked_at(job: Job) -> None:
    end("failed")
    Job.objects.update(last_status="succeeded", last_run_at=at(5))
    watch(at(6))
    assert Incident.objects.get().state == IncidentState.RECOVERED


def test_at_most_one_incident_of_a_kind_is_open(job: Job) -> None:
    end("failed")
    from django.db import IntegrityError, transaction

    with pytest.raises(IntegrityError), transaction.atomic():
        Incident.objects.create(job=job, kind="failure", opened_at=NOW, last_at=NOW)


def test_a_rule_whose_time_zone_is_gone_has_that_of_the_site(job: Job) -> None:
    make_rule(timezone="Mars/Olympus", quiet_from=time(NOW.hour - 1), quiet_until=time(NOW.hour + 1))
    end("failed")
    assert Delivery.objects.get().next_attempt_at == NOW + timedelta(hours=1)
