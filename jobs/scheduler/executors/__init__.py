"""The executors: each takes runs and calls their functions in threads, in processes, or through workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...core.runs import Executor
from .base import ExecutorFactory, Executors, Hooks, RunExecutor
from .process import ProcessExecutor
from .thread import ThreadExecutor

if TYPE_CHECKING:
    from .remote import Transport

__all__ = ["ExecutorFactory", "Executors", "Hooks", "RunExecutor", "executors", "local_executors", "transport"]


def executors(threads: int, processes: int, broker_url: str) -> ExecutorFactory:
    """Return the factory of a scheduler's executors; with the URL of a broker, it makes the one for workers too."""
    make_local = local_executors(threads, processes)
    return make_local if not broker_url else lambda hooks: {**make_local(hooks), **_remote(broker_url, hooks)}


def _remote(broker_url: str, hooks: Hooks) -> dict[str, RunExecutor]:
    # Imported here, so that a scheduler without workers does not load it.
    from .remote import RemoteExecutor

    return {Executor.CELERY: RemoteExecutor(transport(broker_url), hooks)}


def transport(broker_url: str) -> Transport:
    """Return the carrier of messages to workers. Only this function knows which one it is."""
    from .celery import CeleryTransport

    return CeleryTransport(broker_url)


def local_executors(threads: int, processes: int) -> ExecutorFactory:
    """Return a factory of this machine's executors, with `threads` and `processes` slots."""
    return lambda hooks: {
        Executor.THREAD: ThreadExecutor(threads, hooks),
        Executor.PROCESS: ProcessExecutor(processes, hooks),
    }
