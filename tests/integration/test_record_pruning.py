"""Old rows of the audit, of versions and of alerts are deleted, a batch at a time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings

from jobs import services
from jobs.core.alerts import DeliveryState, IncidentState
from jobs.core.audit import Action
from jobs.models import AuditEvent, Channel, Delivery, Incident, JobVersion
from jobs.records import audit
from jobs.scheduler.pruner import RECORDS_SECONDS, REST_SECONDS, ROUND_SECONDS, Pruner
from jobs.scheduler.store.records import prune_records
from tests.fakes import NOW, FakeClock, after

from .plans import analyze, assert_reads, plan

pytestmark = pytest.mark.django_db

DAY = 86_400
LIMITS = override_settings(CRONZIMUS={"AUDIT_DAYS": 10, "ALERT_DAYS": 5})


def make_incident(days: float | None, **fields: Any) -> Incident:
    """Write an incident that recovered so many days ago; None: it is open."""
    over = {} if days is None else {"recovered_at": after(-days * DAY), "state": IncidentState.RECOVERED}
    defaults = {"job_id": "job", "kind": "failure", "opened_at": after(-100 * DAY), "last_at": after(-100 * DAY)}
    return Incident.objects.create(**{**defaults, **over, **fields})


def make_delivery(days: float, incident: Incident | None = None, state: str = DeliveryState.DELIVERED) -> Delivery:
    channel, _ = Channel.objects.get_or_create(name="ops", kind="email", target="ops@example.com")
    return Delivery.objects.create(
        channel=channel, incident=incident, reason="opened", payload={}, state=state, created_at=after(-days * DAY)
    )


@LIMITS
def test_old_entries_of_the_audit_are_deleted() -> None:
    for days in (11, 9):
        audit.record(Action.ALL_PAUSED, now=after(-days * DAY))
    assert not prune_records(NOW)
    assert [event.at for event in AuditEvent.objects.all()] == [after(-9 * DAY)]


@LIMITS
def test_old_messages_go_and_those_that_wait_stay() -> None:
    kept = [make_delivery(6, state=DeliveryState.PENDING), make_delivery(4)]
    make_delivery(6)
    make_delivery(6, state=DeliveryState.FAILED)
    prune_records(NOW)
    assert set(Delivery.objects.all()) == set(kept)


@LIMITS
def test_recovered_incidents_go_with_their_messages_and_open_ones_stay() -> None:
    old, recent, opened = make_incident(6), make_incident(4), make_incident(None)
    make_delivery(6, old)
    waiting = make_delivery(6, make_incident(6, kind="not_run"), state=DeliveryState.PENDING)
    prune_records(NOW)
    assert set(Incident.objects.all()) == {recent, opened, waiting.incident}


@LIMITS
def test_versions_of_a_removed_job_go_with_the_audit_and_those_of_others_stay() -> None:
    body = {"func": "tests:echo", "trigger": "interval", "seconds": 5}
    services.add_job({**body, "id": "removed"}, now=after(-20 * DAY))
    services.add_job({**body, "id": "there"}, now=after(-20 * DAY))
    services.remove_job("removed", now=after(-11 * DAY))
    prune_records(after(-2 * DAY))
    assert JobVersion.objects.count() == 2
    prune_records(NOW)
    assert [version.job_id for version in JobVersion.objects.all()] == ["there"]


@LIMITS
def test_a_batch_at_a_time() -> None:
    for _ in range(3):
        audit.record(Action.ALL_PAUSED, now=after(-11 * DAY))
    assert prune_records(NOW, limit=2)
    assert AuditEvent.objects.count() == 1
    assert not prune_records(NOW, limit=2)


@LIMITS
def test_the_pruner_comes_back_soon_while_there_is_more(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    answers, times = iter([True, False, False]), []
    monkeypatch.setattr("jobs.scheduler.pruner.prune_records", lambda now: times.append(now) or next(answers))
    pruner = Pruner(clock)
    for _ in range(int((REST_SECONDS + RECORDS_SECONDS) / ROUND_SECONDS) + 2):
        clock.advance(ROUND_SECONDS)
        pruner.work()
    assert [(at - NOW).total_seconds() for at in times] == [
        REST_SECONDS, REST_SECONDS + ROUND_SECONDS, REST_SECONDS + ROUND_SECONDS + RECORDS_SECONDS,
    ]  # fmt: skip


def test_each_look_reads_an_index() -> None:
    AuditEvent.objects.bulk_create(
        AuditEvent(at=NOW - timedelta(seconds=n), door="api", action="run_queued") for n in range(5000)
    )
    first = make_delivery(1)
    Delivery.objects.bulk_create(
        Delivery(channel=first.channel, reason="opened", payload={}, state="delivered", created_at=after(-n))
        for n in range(5000)
    )
    analyze()
    text = plan(lambda: prune_records(NOW))
    assert_reads(text, "audit_newest", "delivery_oldest", small=("incident", "jobversion"))
