"""The Celery application through which runs reach workers, and its one task."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from celery import Celery
from celery.loaders.app import AppLoader

from ..core.brokers import tls_parameters
from ..models.job import DEFAULT_QUEUE

TASK = "cronzimus.run"
"""The name of the task."""
VERSION = 1
"""The version of the messages."""
TIMEOUT_SECONDS = 2.0
"""Time after which a broker that does not answer counts as gone."""
HEALTH_SECONDS = 5
"""Time after which a worker looks whether its connection to Redis is dead. RabbitMQ has heartbeats for that."""

PINNED: dict[str, Any] = {
    # A message is acknowledged before its run starts: the database decides who may start it, and has its outcome.
    "task_acks_late": False, "task_reject_on_worker_lost": False, "task_retry_on_worker_lost": False,
    "task_ignore_result": True,
    "task_publish_retry": False, "task_default_queue": DEFAULT_QUEUE, "task_create_missing_queues": True,
    "task_time_limit": None, "task_soft_time_limit": None,
    "task_serializer": "json", "accept_content": ["json"], "result_backend": "disabled",
    # Our own slots call the functions: Celery's pool never gets a task.
    "worker_pool": "threads", "worker_prefetch_multiplier": 1, "worker_disable_prefetch": False,
    "worker_cancel_long_running_tasks_on_connection_loss": False, "worker_enable_prefetch_count_reduction": False,
    "worker_hijack_root_logger": False, "worker_redirect_stdouts": False,
    # With remote control, everybody who can write to the broker could end workers, or make them load modules.
    "worker_enable_remote_control": False, "worker_send_task_events": False,
    "broker_connection_retry_on_startup": True, "broker_connection_max_retries": None,
    "broker_channel_error_retry": True,  # the worker lives on without the queue that the broker refuses
    "broker_heartbeat": 10, "broker_connection_timeout": TIMEOUT_SECONDS,
}  # fmt: skip
"""The settings of Celery on which the guarantees rest."""


class OwnSettings(AppLoader):
    """A loader without the settings of CELERY_CONFIG_MODULE, which are those of the team's own application.

    Routes, compression or a password of theirs would lead our messages astray.
    """

    def read_configuration(self, env: str = "") -> dict[str, Any]:
        """Return no settings."""
        return {}


class OneBrokerApp(Celery):
    """A Celery application all of whose connections lead to one broker, whatever Celery asks for.

    Celery itself prefers CELERY_BROKER_URL of the environment, which in a host project may be that of the team's own
    application. Nor does it load the backend of CELERY_RESULT_BACKEND: the database has the results.
    """

    url = ""
    backend_cls = "disabled"

    def connection_for_read(self, url: object = None, **options: Any) -> Any:
        """Return a connection for consumers."""
        return super().connection_for_read(self.url, **options)

    def connection_for_write(self, url: object = None, **options: Any) -> Any:
        """Return a connection for producers."""
        return super().connection_for_write(self.url, **options)


def make_app(url: str) -> Celery:
    """Return an application on the broker at `url`, apart from the project's own Celery application."""
    address = url.partition("?")[0]  # the parameters are for us: kombu reads those of Redis alone
    app = OneBrokerApp("cronzimus", broker=address, loader=OwnSettings, set_as_current=False, fixups=[])
    app.url = address
    app.conf.update(PINNED, **broker_settings(url))
    return app


def broker_settings(url: str) -> dict[str, Any]:
    """Return the settings of Celery that depend on the broker at `url`."""
    tls = tls_options(url)
    return {"broker_transport_options": transport_options(url)} | ({"broker_use_ssl": tls} if tls else {})


def message_of(run_id: int, dispatch_id: str) -> dict[str, Any]:
    """Return the arguments of the task for a run: only ids, since the database has the rest."""
    return {"v": VERSION, "run": run_id, "dispatch": str(UUID(dispatch_id))}


def read_message(headers: Any, body: Any) -> tuple[int, str]:
    """Return the ids of the run and of the dispatch in a message. Raises `ValueError` with the reason."""
    if not isinstance(headers, dict) or headers.get("task") != TASK:
        raise ValueError(f"it does not ask for the task {TASK}")
    if not isinstance(body, list | tuple) or len(body) != 3 or not isinstance(body[1], dict):
        raise ValueError("its body is not [args, kwargs, embed]")
    version, run_id, dispatch_id = (body[1].get(name) for name in ("v", "run", "dispatch"))
    if type(version) is not int or version != VERSION:  # True and 1.0 are equal to 1
        raise ValueError(f"it has version {version!r:.40}, and this worker knows version {VERSION}")
    if isinstance(run_id, bool) or not isinstance(run_id, int) or not 0 < run_id < 2**63:
        raise ValueError("it names no run")
    try:
        return run_id, UUID(dispatch_id).hex
    except (AttributeError, TypeError, ValueError):
        raise ValueError("it names no dispatch") from None


def transport_options(url: str) -> dict[str, Any]:
    """Return the options of a connection to the broker at `url`."""
    if urlsplit(url).scheme.startswith("redis"):
        timeouts = {"socket_timeout": TIMEOUT_SECONDS, "socket_connect_timeout": TIMEOUT_SECONDS}
        # kombu's emulation of acknowledgements delivers again, after an hour of its own, whatever any application has
        # not acknowledged in this database of Redis: also the messages of the team's workers. Ours need none.
        return {**timeouts, "health_check_interval": HEALTH_SECONDS, "ack_emulation": False}
    # The timeouts keep a silent broker from blocking. The publisher asks for confirmations itself (`CeleryTransport`).
    return {"confirm_publish": False, "read_timeout": TIMEOUT_SECONDS, "write_timeout": TIMEOUT_SECONDS}


def tls_options(url: str) -> dict[str, Any] | None:
    """Return the options of an encrypted connection to the broker at `url`; None for one that is not encrypted.

    kombu itself would verify no certificate of `rediss://`, and no host's name of `amqps://`.
    """
    given = tls_parameters(url)
    if given is None or urlsplit(url).scheme == "rediss":
        return given
    files = ("ca_certs", "certfile", "keyfile")
    options = {name: given[f"ssl_{name}"] for name in files if f"ssl_{name}" in given}
    options["cert_reqs"] = ssl.VerifyMode[f"CERT_{given['ssl_cert_reqs'].upper()}"]
    if given["ssl_check_hostname"]:  # py-amqp compares the certificate with the name that it is given
        options["server_hostname"] = urlsplit(url).hostname
    return options
