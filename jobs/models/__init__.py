"""The rows: what people define (`Job`), what happened (`Run`), and who made it happen (`Scheduler`)."""

from .change import announce
from .control import Control
from .idempotency import IdempotencyKey
from .job import Job
from .run import Run
from .scheduler import Scheduler

__all__ = ["Control", "IdempotencyKey", "Job", "Run", "Scheduler", "announce"]
