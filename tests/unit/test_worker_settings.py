"""The settings of our Celery application: what is pinned, whatever the environment says, and what workers refuse."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery.backends.base import DisabledBackend
from celery.concurrency.prefork import TaskPool as Processes
from celery.concurrency.thread import TaskPool as Threads
from kombu import Connection

from jobs.scheduler.broker import make_app
from jobs.scheduler.executors.celery import CeleryTransport
from jobs.scheduler.store.dispatch import Dispatch
from jobs.worker import app as worker_app

REDIS, RABBITMQ = "redis://ours:6379/5", "amqp://ours:5672//"
BOTH = pytest.mark.parametrize("url", [REDIS, RABBITMQ])
SETTINGS = {
    "task_acks_late": False, "task_ignore_result": True, "task_publish_retry": False,
    "task_reject_on_worker_lost": False, "task_retry_on_worker_lost": False,
    "worker_pool": "threads", "worker_prefetch_multiplier": 1, "worker_disable_prefetch": False,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_hijack_root_logger": False, "worker_redirect_stdouts": False,
    "broker_connection_retry_on_startup": True, "broker_connection_max_retries": None,
    "broker_channel_error_retry": True,
    "broker_heartbeat": 10, "broker_connection_timeout": 2,
    "task_serializer": "json", "accept_content": ["json"], "result_backend": "disabled",
    "task_time_limit": None, "task_soft_time_limit": None,
    "worker_enable_remote_control": False, "worker_send_task_events": False,
    "task_default_queue": "cronzimus", "task_create_missing_queues": True,
    "worker_enable_prefetch_count_reduction": False,
}  # fmt: skip
"""The settings on which the guarantees rest, written down a second time."""


def changed(url: str) -> set[str]:
    """Return the settings that differ from Celery's defaults, or are set to them."""
    return set(make_app(url).conf.table(censored=False)) - {"deprecated_settings"}  # how Celery notes old names


# --- what is pinned --------------------------------------------------------------------------------------------------


@BOTH
def test_the_settings_on_which_the_guarantees_rest_are_pinned(url: str) -> None:
    conf = make_app(url).conf
    assert {name: conf[name] for name in SETTINGS} == SETTINGS
    assert changed(url) - SETTINGS.keys() == {"broker_url", "broker_transport_options"}


def test_the_one_task_is_acknowledged_early_and_never_tried_again_by_celery() -> None:
    task = worker_app.app.tasks["cronzimus.run"]
    options = ("acks_late", "ignore_result", "max_retries", "reject_on_worker_lost", "retry_on_worker_lost")
    assert {name: getattr(task, name) for name in options} == {
        "acks_late": False, "ignore_result": True, "max_retries": 0,
        "reject_on_worker_lost": False, "retry_on_worker_lost": False,
    }  # fmt: skip
    assert (task.time_limit, task.soft_time_limit, task.serializer) == (None, None, "json")


def test_a_worker_has_our_consumer() -> None:
    assert worker_app.app.conf.worker_consumer == "jobs.worker.consumer:GatedConsumer"


@pytest.mark.parametrize(
    ("url", "options"),
    [
        (
            REDIS,
            {"socket_timeout": 2, "socket_connect_timeout": 2, "health_check_interval": 5, "ack_emulation": False},
        ),
        # `CeleryTransport` has RabbitMQ confirm a batch at once: with `confirm_publish` each message waits for it.
        (RABBITMQ, {"read_timeout": 2, "write_timeout": 2, "confirm_publish": False}),
    ],
)
def test_a_silent_broker_is_given_up_after_two_seconds(url: str, options: dict[str, Any]) -> None:
    app = make_app(url)
    assert app.conf.broker_transport_options == options
    for connection in (app.connection_for_read(), app.connection_for_write()):
        assert connection.connect_timeout == 2
        assert connection.transport_options == options


# --- what is the team's own ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"])
def test_a_broker_in_the_environment_for_a_teams_own_celery_is_not_ours(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "amqp://theirs//")
    app = make_app(REDIS)
    connections = (app.connection_for_read(), app.connection_for_write(), app.connection())
    assert {(one.hostname, one.virtual_host) for one in connections} == {("ours", "5")}


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment of a team's own Celery application."""
    settings = "task_routes = {'*': {'queue': 'theirs'}}; task_compression = 'gzip'; broker_use_ssl = True\n"
    (tmp_path / "their_celery_settings.py").write_text(
        settings + "task_always_eager = True; include = ['no.such.module']; task_queues = {'theirs': {}}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("CELERY_CONFIG_MODULE", "their_celery_settings")
    monkeypatch.setenv("CELERY_LOADER", "no.such:Loader")
    monkeypatch.setenv("CELERY_RESULT_BACKEND", "no.such:Backend")


@pytest.mark.usefixtures("theirs")
def test_the_settings_of_a_teams_own_celery_are_not_ours() -> None:
    assert changed(RABBITMQ) - SETTINGS.keys() == {"broker_url", "broker_transport_options"}
    assert not make_app(RABBITMQ).connection_for_write().ssl
    assert isinstance(make_app(RABBITMQ).backend, DisabledBackend)


@pytest.mark.usefixtures("theirs")
def test_messages_go_where_jobs_say_whatever_a_teams_own_celery_says() -> None:
    assert CeleryTransport("memory://").publish([Dispatch(7, "ours", "0" * 32)]) == {}
    with Connection("memory://") as connection:
        message = connection.default_channel.basic_get("ours")
    assert message is not None
    assert "compression" not in message.headers


# --- what a worker refuses -------------------------------------------------------------------------------------------


@pytest.fixture
def with_broker(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have a broker; return the settings of a worker."""
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": REDIS}
    app = make_app(REDIS)
    app.conf.update(worker_consumer=worker_app.CONSUMER)
    monkeypatch.setattr(worker_app, "app", app)
    return app.conf


def problems(pool: Any = Threads, **options: Any) -> list[str]:
    return worker_app._problems(SimpleNamespace(pool_cls=pool, options={"prefetch_multiplier": 1, **options}))


def test_a_worker_with_our_settings_starts(with_broker: Any) -> None:
    assert problems(autoscale=None, beat=False, time_limit=None, purge=False) == []


def test_another_pool_is_refused(with_broker: Any) -> None:
    assert problems(Processes) == ["A worker of Cronzimus has slots of its own: leave out the option --pool."]


@pytest.mark.parametrize(
    ("name", "value", "option"),
    [
        ("autoscale", (4, 2), "--autoscale"), ("beat", True, "--beat"), ("time_limit", 5.0, "--time-limit"),
        ("soft_time_limit", 5.0, "--soft-time-limit"), ("max_tasks_per_child", 5, "--max-tasks-per-child"),
        ("max_memory_per_child", 5, "--max-memory-per-child"), ("pool_start_method", "spawn", "--pool-start-method"),
        ("prefetch_multiplier", 4, "--prefetch-multiplier"), ("statedb", "state", "--statedb"),
        ("task_events", True, "--task-events"), ("purge", True, "--purge"),
    ],
)  # fmt: skip
def test_an_option_that_does_nothing_here_or_harms_is_refused(
    with_broker: Any, name: str, value: Any, option: str
) -> None:
    (problem,) = problems(**{name: value})
    assert problem.endswith(f": leave out the option {option}.")


@pytest.mark.parametrize("name", [*SETTINGS, "broker_transport_options", "worker_consumer"])
def test_a_changed_setting_is_refused(with_broker: Any, name: str) -> None:
    with_broker[name] = "other"
    (problem,) = problems()
    assert problem.startswith(f"The setting {name} is 'other', and has to be ")
