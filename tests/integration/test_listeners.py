"""The listeners that the settings name: they hear of every event, and harm nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from apscheduler.events import EVENT_SCHEDULER_STARTED, SchedulerEvent
from apscheduler.schedulers.blocking import BlockingScheduler
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from jobs.models import Job
from jobs.scheduler import listeners
from jobs.scheduler.listeners import listening

EVENT = SchedulerEvent(EVENT_SCHEDULER_STARTED)
heard: list[Any] = []


def hear(event: Any) -> None:
    """Note the event."""
    heard.append(event)


async def hear_async(event: Any) -> None: ...


def generate(event: Any) -> Iterator[Any]:
    """Yield the event."""
    yield event


def deaf() -> None: ...


not_callable = 5


@pytest.fixture(autouse=True)
def _nothing_heard() -> None:
    heard.clear()


def dispatch(scheduler: BlockingScheduler, count: int = 1) -> None:
    for _ in range(count):
        scheduler._dispatch_event(EVENT)


@pytest.fixture
def scheduler() -> BlockingScheduler:
    """A scheduler that need not run."""
    return BlockingScheduler()


def test_listeners_are_loaded_by_their_names() -> None:
    assert listeners.load([f"{__name__}:hear"]) == [hear]
    assert listeners.load([]) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hear", "is not of the form 'module:name'"),
        ("nowhere:hear", "there is no module 'nowhere'"),
        (f"{__name__}:heer", "has no 'heer'; did you mean 'hear'?"),
        (f"{__name__}:not_callable", "is not a function"),
        (f"{__name__}:hear_async", "is async: a listener must be a plain function"),
        (f"{__name__}:generate", "is a generator: calling it would do nothing"),
        (f"{__name__}:deaf", "must take one argument, the event"),
    ],
)
def test_a_name_that_is_not_a_listener_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match="^" + name) as caught:
        listeners.load([f"{__name__}:hear", name])
    assert message in str(caught.value)


@pytest.mark.django_db
def test_a_wrong_listener_stops_the_start_and_the_message_names_the_setting(settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"LISTENERS": ["nowhere:hear"]}
    with pytest.raises(CommandError, match="LISTENERS: nowhere:hear: there is no module 'nowhere'"):
        call_command("runscheduler", "--once")


def test_listeners_hear_every_event_in_order_before_the_scheduler_has_ended(scheduler: BlockingScheduler) -> None:
    more: list[Any] = []
    with listening(scheduler, [hear, more.append]):
        dispatch(scheduler, 500)
    assert heard == more == [EVENT] * 500
    dispatch(scheduler)
    assert len(heard) == 500


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1), KeyboardInterrupt()], ids=repr)
def test_a_listener_that_raises_is_logged_and_the_others_hear(
    scheduler: BlockingScheduler, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    def fail(event: Any) -> None:
        raise error

    with listening(scheduler, [fail, hear]):
        dispatch(scheduler, 2)
    assert heard == [EVENT] * 2
    assert [record.action for record in caplog.records] == ["listener_failed"] * 2


def test_a_slow_listener_does_not_delay_the_scheduler(
    scheduler: BlockingScheduler, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listeners, "MAX_WAITING", 2)
    monkeypatch.setattr(listeners, "DRAIN_SECONDS", 0.1)
    called, go_on = threading.Event(), threading.Event()

    def wait(event: Any) -> None:
        called.set()
        go_on.wait(60)

    with listening(scheduler, [wait]):
        dispatch(scheduler)
        assert called.wait(60)
        dispatch(scheduler, 3)  # two wait, one is dropped
    actions = [record.action for record in caplog.records]
    assert actions.count("event_dropped") >= 1
    assert actions[-1] == "listeners_abandoned"
    go_on.set()


def test_at_the_end_no_event_is_said_to_be_dropped_where_none_was(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listeners, "MAX_WAITING", 1)
    calls, free = threading.Event(), threading.Event()

    def hold(event: Any) -> None:
        calls.set()
        free.wait(60)

    thread = listeners.ListenerThread([hold])
    thread.start()
    thread.put(EVENT)
    calls.wait(60)
    thread.put(EVENT)  # the queue is full
    threading.Timer(0.1, free.set).start()
    thread.stop()
    assert caplog.messages == []


@pytest.mark.django_db(transaction=True)
def test_a_listener_may_use_the_database_and_leave_a_transaction_open(scheduler: BlockingScheduler) -> None:
    counts: list[int] = []

    def leave_open(event: Any) -> None:
        transaction.atomic().__enter__()
        counts.append(Job.objects.count())
        assert len(connection.savepoint_ids) == 0

    with listening(scheduler, [leave_open]):
        dispatch(scheduler, 2)
    assert counts == [0, 0]
    assert not connection.in_atomic_block
