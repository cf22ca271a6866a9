"""A scheduler's lease: acquired, renewed, ended by others, and released."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest
from django.db import OperationalError

from jobs import __version__, services
from jobs.core.runs import host_of
from jobs.models import Scheduler
from jobs.scheduler.lease import Lease
from jobs.scheduler.lease_time import HEARTBEAT_SECONDS, LEASE_SECONDS
from tests.fakes import NOW, FakeClock, after, by

from .conftest import failing_database

pytestmark = pytest.mark.django_db


@pytest.fixture
def lease(clock: FakeClock) -> Lease:
    lease = Lease(clock, threads=7, processes=3)
    lease.acquire()
    return lease


def row(lease: Lease) -> Scheduler:
    return Scheduler.objects.get(pk=lease.scheduler_id)


def test_a_lease_that_was_not_acquired_is_not_held(clock: FakeClock) -> None:
    assert not Lease(clock, 1, 1).held


def test_acquiring_writes_a_row_with_host_process_and_version(lease: Lease) -> None:
    found = row(lease)
    assert (found.pid, found.version, found.threads, found.processes) == (os.getpid(), __version__, 7, 3)
    assert found.hostname == socket.gethostname()[:100]
    assert lease.scheduler_id.startswith(f"{found.hostname}-{found.pid}-")
    assert host_of(lease.scheduler_id) == found.hostname


def test_its_row_says_which_broker_it_uses_without_credentials(lease: Lease, settings: Any) -> None:
    assert row(lease).broker == ""
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": f"redis://:secret@{'h' * 200}"}
    lease.acquire()
    assert row(lease).broker == f"redis://{'h' * 142}", "as much as fits"


def test_acquiring_starts_the_lease(lease: Lease) -> None:
    found = row(lease)
    assert (found.started_at, found.heartbeat_at, found.stopped_at) == (NOW, NOW, None)
    assert found.lease_until == after(LEASE_SECONDS)
    assert lease.held


def test_each_lease_has_its_own_id(lease: Lease) -> None:
    first = lease.scheduler_id
    lease.acquire()
    assert lease.scheduler_id != first


def test_it_is_held_until_it_ends(lease: Lease, clock: FakeClock) -> None:
    clock.advance(LEASE_SECONDS - 0.001)
    assert lease.held
    clock.advance(0.001)
    assert not lease.held


def test_it_ends_here_no_later_than_others_think(lease: Lease, clock: FakeClock) -> None:
    clock.advance(LEASE_SECONDS)
    assert not lease.held
    assert list(Scheduler.objects.dead(clock.now())) == [row(lease)]


def test_a_heartbeat_is_due_well_before_the_lease_ends(lease: Lease, clock: FakeClock) -> None:
    assert lease.due == clock.monotonic() + HEARTBEAT_SECONDS
    assert HEARTBEAT_SECONDS * 2 < LEASE_SECONDS


def test_renewing_extends_the_lease(lease: Lease, clock: FakeClock) -> None:
    clock.advance(5)
    assert lease.renew(queued=3, running=2)
    found = row(lease)
    assert (found.heartbeat_at, found.lease_until) == (after(5), after(5 + LEASE_SECONDS))
    assert (found.queued_runs, found.running_runs) == (3, 2)
    clock.advance(LEASE_SECONDS - 1)
    assert lease.held


def test_a_lease_that_ran_out_can_be_renewed_unless_others_ended_it(lease: Lease, clock: FakeClock) -> None:
    clock.advance(LEASE_SECONDS * 10)
    assert lease.renew(queued=0, running=0)
    assert lease.held


def test_a_lease_that_others_ended_is_not_renewed(lease: Lease, clock: FakeClock) -> None:
    clock.advance(LEASE_SECONDS + 1)
    Scheduler.objects.update(stopped_at=clock.now())
    assert not lease.renew(queued=0, running=0)
    assert not lease.held
    assert row(lease).stopped_at == clock.now()


def test_a_lease_whose_row_is_gone_is_not_renewed(lease: Lease) -> None:
    Scheduler.objects.all().delete()
    assert not lease.renew(queued=0, running=0)


def test_a_lease_that_could_not_be_renewed_is_not_extended(lease: Lease, clock: FakeClock) -> None:
    clock.advance(LEASE_SECONDS - 1)
    with failing_database(OperationalError("gone")), pytest.raises(OperationalError):
        lease.renew(queued=0, running=0)
    clock.advance(1)
    assert not lease.held


def test_after_others_ended_it_a_new_lease_can_be_acquired(lease: Lease, clock: FakeClock) -> None:
    clock.advance(LEASE_SECONDS + 1)
    Scheduler.objects.update(stopped_at=clock.now())
    lease.renew(queued=0, running=0)
    lease.acquire()
    assert lease.held
    assert list(Scheduler.objects.alive(clock.now())) == [row(lease)]


def test_a_heartbeat_says_how_far_the_clock_is_off(lease: Lease) -> None:
    lease.renew(queued=0, running=0, skew=-2.5)
    assert row(lease).clock_skew == -2.5


def test_a_heartbeat_says_how_much_memory_the_process_holds(lease: Lease) -> None:
    lease.renew(queued=0, running=0, memory=90_000_000)
    assert row(lease).memory == 90_000_000


def test_a_heartbeat_finds_out_that_it_is_drained_and_that_it_is_not_any_more(lease: Lease, statements: Any) -> None:
    found = []
    for drain in (services.drain_scheduler, services.resume_scheduler):
        with by("ana"):
            drain(lease.scheduler_id, now=NOW)
        assert lease.renew(queued=0, running=0)
        found.append(lease.drained)
        with statements() as made:
            assert lease.renew(queued=0, running=0)
        assert len(made) == 1
    assert found == [True, False]


def test_a_drained_scheduler_that_needs_a_new_lease_stays_drained(lease: Lease) -> None:
    services.drain_scheduler(lease.scheduler_id, now=NOW)
    lease.renew(queued=0, running=0)
    lease.acquire()
    assert row(lease).drained_at == NOW
    assert lease.renew(queued=0, running=0)
    assert lease.drained


def test_releasing_notes_the_stop(lease: Lease, clock: FakeClock) -> None:
    lease.renew(queued=1, running=1)
    clock.advance(2)
    lease.release()
    found = row(lease)
    assert (found.stopped_at, found.queued_runs, found.running_runs) == (after(2), 0, 0)
    assert not lease.held


def test_releasing_a_lease_that_others_ended_leaves_its_row_unchanged(lease: Lease, clock: FakeClock) -> None:
    Scheduler.objects.update(stopped_at=after(1))
    clock.advance(2)
    lease.release()
    assert row(lease).stopped_at == after(1)


def test_a_long_host_name_fits(lease: Lease, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "h" * 255)
    lease.acquire()
    row(lease).full_clean()
