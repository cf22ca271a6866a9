"""The executors: each takes runs and has their functions called, in threads or in processes."""

from .base import Executor
from .process import ProcessExecutor
from .thread import ThreadExecutor

__all__ = ["Executor", "ProcessExecutor", "ThreadExecutor"]
