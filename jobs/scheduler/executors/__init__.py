"""What calls the functions: executors, each an APScheduler executor that is handed runs."""

from .base import Executor
from .process import ProcessExecutor
from .thread import ThreadExecutor

__all__ = ["Executor", "ProcessExecutor", "ThreadExecutor"]
