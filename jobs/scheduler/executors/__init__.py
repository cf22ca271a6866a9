"""The executors: each takes runs and has their functions called, in threads or in processes."""

from __future__ import annotations

from ...core.runs import Executor
from .base import ExecutorFactory, Hooks, RunExecutor
from .capacity import Executors
from .process import ProcessExecutor
from .thread import ThreadExecutor

__all__ = ["ExecutorFactory", "Executors", "Hooks", "RunExecutor", "local_executors"]


def local_executors(threads: int, processes: int) -> ExecutorFactory:
    """Return a factory of this machine's executors, with so many slots in threads and in processes."""
    return lambda hooks: {
        Executor.THREAD: ThreadExecutor(threads, hooks),
        Executor.PROCESS: ProcessExecutor(processes, hooks),
    }
