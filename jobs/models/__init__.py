"""The rows: what people define (`Job`), what happened (`Run`), and who made it happen (`Scheduler`)."""

from .change import announce
from .job import Job
from .run import Run
from .scheduler import Scheduler

__all__ = ["Job", "Run", "Scheduler", "announce"]
