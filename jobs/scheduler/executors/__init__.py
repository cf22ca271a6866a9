"""What calls the functions: executors, each an APScheduler executor that is handed runs."""

from .base import Executor
from .thread import ThreadExecutor

__all__ = ["Executor", "ThreadExecutor"]
