"""The Celery workers on the page of schedulers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ...models import Worker
from .. import charts
from ..times import Times
from .states import badge, worker_state


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRow:
    """A worker on the page."""

    key: str
    name: str
    state: SafeString
    heartbeat: SafeString | str
    queues: SafeString
    load: SafeString | str
    version: str
    started: SafeString | str


def worker_rows(found: Sequence[Worker], times: Times) -> list[WorkerRow]:
    """Return the rows of workers."""
    return [_row(worker, times) for worker in found]


def _row(worker: Worker, times: Times) -> WorkerRow:
    queues = worker.queues if isinstance(worker.queues, list) else []
    return WorkerRow(
        key=worker.pk, name=worker.name, version=worker.version, started=times.ago(worker.started_at),
        state=badge(worker_state(worker, times.now)),
        heartbeat=times.ago(worker.heartbeat_at),
        queues=format_html_join(" ", '<span class="tag">{}</span>', ((str(queue),) for queue in queues)),
        load=_load(worker),
    )  # fmt: skip


def _load(worker: Worker) -> SafeString | str:
    if not worker.slots:  # it was told to stop, or its processes do not start
        return f"{worker.running_runs:,}"
    words = f"{worker.running_runs:,} of {worker.slots:,}"
    return format_html("{}{}", words, charts.load_bar(worker.running_runs, worker.slots))
