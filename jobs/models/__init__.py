"""The tables: definitions (`Job`), the record of runs (`Run`), the processes that run them (`Scheduler`), and more."""

from .alerts import AlertRule, Channel, Delivery, Incident
from .audit import AuditEvent
from .backfill import Backfill
from .control import Control
from .idempotency import IdempotencyKey
from .job import Job
from .run import Run
from .scheduler import Scheduler, announce
from .statistics import RollUp, RunHour, RunTotal, SiteHour, SiteTotal, Uncounted
from .token import Token
from .version import JobVersion
from .worker import Worker

__all__ = [
    "AlertRule",
    "AuditEvent",
    "Backfill",
    "Channel",
    "Control",
    "Delivery",
    "IdempotencyKey",
    "Incident",
    "Job",
    "JobVersion",
    "RollUp",
    "Run",
    "RunHour",
    "RunTotal",
    "Scheduler",
    "SiteHour",
    "SiteTotal",
    "Token",
    "Uncounted",
    "Worker",
    "announce",
]
