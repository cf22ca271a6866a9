"""How a worker waits for its broker, and what it logs meanwhile."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import pytest
from celery.exceptions import WorkerShutdown
from celery.worker import state
from celery.worker.consumer import Consumer

from jobs.worker import reconnecting
from jobs.worker.reconnecting import ReconnectingConsumer


class Connection:
    """A connection to a broker that refuses it for some reasons, one after the other."""

    connection_errors: tuple[type[Exception], ...] = (ConnectionError,)
    channel_errors: tuple[type[Exception], ...] = (LookupError,)

    def __init__(self, *reasons: Exception) -> None:
        """Refuse it for `reasons`."""
        self._reasons = list(reasons)

    def ensure_connection(self, **options: Any) -> None:
        """Try once."""
        assert options["max_retries"] == 0
        if self._reasons:
            raise self._reasons.pop(0)

    def as_uri(self) -> str:
        """Return its address."""
        return "redis://host"


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> ReconnectingConsumer:
    monkeypatch.setattr(reconnecting, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(Consumer, "on_ready", lambda self: None)
    monkeypatch.setattr(Consumer, "on_connection_error_after_connected", lambda self, exc: warn())
    caplog.set_level(logging.INFO)
    made = ReconnectingConsumer.__new__(ReconnectingConsumer)
    made.connection, made.channel_errors = Connection(), Connection.channel_errors
    return made


def warn() -> None:
    """Warn as Celery does."""
    warnings.warn("a setting", reconnecting.CPendingDeprecationWarning, stacklevel=2)


def actions(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.__dict__["action"] for record in caplog.records]


def test_each_reason_is_logged_once_and_so_is_the_end(
    consumer: ReconnectingConsumer, caplog: pytest.LogCaptureFixture
) -> None:
    refused, denied = ConnectionError("refused"), LookupError("no such vhost")
    connection = Connection(refused, refused, denied, refused, denied)
    assert consumer.ensure_connected(connection) is connection
    consumer.on_ready()
    assert actions(caplog) == ["broker_unreachable"] * 2 + ["broker_reached"]
    assert "redis://host: refused;" in caplog.messages[0]
    assert caplog.records[0].exc_info is None


def test_a_connection_that_breaks_and_is_back_at_once_is_one_line(
    consumer: ReconnectingConsumer, caplog: pytest.LogCaptureFixture
) -> None:
    consumer.ensure_connected(Connection())
    consumer.on_ready()
    consumer.on_connection_error_after_connected(ConnectionError("reset"))
    consumer.ensure_connected(Connection())
    consumer.on_ready()
    assert actions(caplog) == ["broker_reconnected"]


def test_a_connection_that_breaks_before_it_works_is_an_outage_and_waits(
    consumer: ReconnectingConsumer, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        consumer.ensure_connected(Connection())
        consumer.on_connection_error_after_connected(ConnectionError("not allowed"))
    consumer.ensure_connected(Connection())
    consumer.on_ready()
    assert actions(caplog) == ["broker_unreachable", "broker_reached"]


def test_a_refusal_is_an_outage_only_if_it_comes_again(
    consumer: ReconnectingConsumer, caplog: pytest.LogCaptureFixture
) -> None:
    for said in ([], ["broker_unreachable"]):
        consumer.ensure_connected(Connection())
        consumer.on_connection_error_after_connected(LookupError("another type"))
        assert actions(caplog) == said


def test_an_error_that_is_not_the_brokers_is_raised(consumer: ReconnectingConsumer) -> None:
    with pytest.raises(ZeroDivisionError):
        consumer.ensure_connected(Connection(ZeroDivisionError()))


def test_a_worker_that_is_told_to_stop_waits_no_longer(
    consumer: ReconnectingConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "should_stop", 0)
    with pytest.raises(WorkerShutdown):
        consumer.ensure_connected(Connection(*[ConnectionError()] * 3))
