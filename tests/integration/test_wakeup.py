"""A change in the database wakes the scheduler, and so does a connection that was lost and is back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta

import pytest
from django.db import connection, transaction

from jobs import services
from jobs.core.clock import SystemClock
from jobs.models import Run, announce
from jobs.scheduler import wakeup
from jobs.scheduler.store import changes
from jobs.scheduler.store.clock import DatabaseClock, Reading
from jobs.scheduler.wakeup import Watcher
from tests.fakes import NOW, after, make_job, make_run
from tests.waiting import until

from .conftest import in_thread

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def rung() -> Iterator[threading.Event]:
    """Set whenever the watcher sees a change; clear when a test begins."""
    event = threading.Event()
    watcher = Watcher(event.set)
    watcher.start()
    assert event.wait(60)
    event.clear()
    yield event
    end(watcher)


def end(watcher: Watcher) -> None:
    """End `watcher`, which `stop` waits for no longer than a scheduler may."""
    watcher.stop()
    watcher.join(60)
    assert not watcher.is_alive()


WISHES = {
    "add": lambda: services.add_job(
        {"id": "new", "func": "tests:echo", "trigger": "interval", "seconds": 10}, now=NOW
    ),
    "update": lambda: services.update_job("job", {"seconds": 20}, now=NOW),
    "pause": lambda: services.pause_job("job", now=NOW),
    "resume": lambda: services.resume_job("paused", now=NOW),
    "run": lambda: services.run_job("job", now=NOW),
    "remove": lambda: services.remove_job("job", now=NOW),
    "skip next": lambda: services.skip_next("job", now=NOW),
    "pause all": lambda: services.pause_all(now=NOW),
    "cancel": lambda: services.cancel_run(Run.objects.get(status="queued").pk, now=NOW),
    "retry": lambda: services.retry_run(Run.objects.get(status="failed").pk, now=NOW),
}  # fmt: skip


@transaction.atomic
def make_rows() -> None:
    make_job()
    make_job("paused", paused=True)
    make_run("paused")
    make_run("paused", status="failed", scheduled_time=after(-10))


@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES)
def test_what_people_ask_for_wakes_the_scheduler(rung: threading.Event, wish: object) -> None:
    in_thread(make_rows)()
    until(lambda: rung.is_set() or connection.vendor == "postgresql")
    rung.clear()
    in_thread(wish)()  # type: ignore[arg-type]
    assert rung.wait(60)


@pytest.mark.usefixtures("postgresql_only")
def test_a_change_that_is_rolled_back_wakes_nobody(rung: threading.Event) -> None:
    with transaction.atomic():
        announce()
        transaction.set_rollback(True)
    assert not rung.wait(0.2)


@pytest.mark.usefixtures("postgresql_only")
def test_a_watcher_whose_connection_is_cut_listens_again(
    rung: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeup, "RECONNECT_SECONDS", 0.05)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid()"
        )
    assert rung.wait(60)  # it rings once by itself: something may have been missed
    rung.clear()
    announce()
    assert rung.wait(60)


@pytest.mark.usefixtures("sqlite_only")
def test_without_inotify_the_watcher_looks_at_the_data_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "watch_file", lambda path: nullcontext())
    rung = threading.Event()
    watcher = Watcher(rung.set)
    watcher.start()
    assert rung.wait(60)
    rung.clear()
    in_thread(make_rows)()
    assert rung.wait(60)
    end(watcher)


def test_the_clock_is_the_databases() -> None:
    clock = DatabaseClock()
    clock.synchronise()
    assert abs((SystemClock().now() - clock.now()).total_seconds()) < 60
    before = clock.now()
    assert clock.now() >= before
    assert before.utcoffset() is not None


@pytest.mark.usefixtures("postgresql_only")
def test_a_jump_of_the_machines_clock_does_not_move_the_databases(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = DatabaseClock()
    clock.synchronise()
    before = clock.now()
    monkeypatch.setattr("jobs.core.clock.SystemClock.now", lambda self: NOW)
    assert 0 <= (clock.now() - before).total_seconds() < 60


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_jump_of_the_clock_is_noticed(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    clock = DatabaseClock()
    clock.synchronise()
    clock.synchronise()
    assert clock.jumped_at == float("-inf")
    read = clock._read
    reading = read()
    moved = reading._replace(ahead=reading.ahead + timedelta(seconds=seconds))
    monkeypatch.setattr(clock, "_read", lambda: moved)
    before = clock.monotonic()
    clock.synchronise()
    assert before <= clock.jumped_at <= clock.monotonic()
    noticed = clock.jumped_at
    clock.synchronise()
    assert clock.jumped_at == noticed


def difference(clock: DatabaseClock) -> float:
    """Return the seconds by which it is ahead of its monotonic one."""
    while True:  # until nothing delays the readings, which have to be of one instant
        before, now, later = clock.monotonic(), clock.now().timestamp(), clock.monotonic()
        if later - before < 0.05:
            return now - before


@pytest.mark.parametrize("late", [3.0, 17.0, 33.0])
def test_an_answer_that_was_long_on_its_way_is_no_jump_and_moves_nothing(
    monkeypatch: pytest.MonkeyPatch, late: float
) -> None:
    clock = DatabaseClock()
    clock.synchronise()
    read, known = clock._read, difference(clock)
    for seconds in (late, -late):  # on the way there, and on the way back
        reading = read()
        on_its_way = timedelta(seconds=late / 2)
        slow = Reading(reading.ahead + timedelta(seconds=seconds / 2), on_its_way + reading.doubt)
        monkeypatch.setattr(clock, "_read", lambda slow=slow: slow)
        clock.synchronise()
    assert clock.jumped_at == float("-inf")
    assert abs(difference(clock) - known) < 0.1


def test_a_jump_is_noticed_although_the_answer_was_long_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = DatabaseClock()
    clock.synchronise()
    reading = clock._read()
    slow = Reading(reading.ahead + timedelta(hours=1), timedelta(seconds=8))
    monkeypatch.setattr(clock, "_read", lambda: slow)
    clock.synchronise()
    assert clock.jumped_at > float("-inf")
