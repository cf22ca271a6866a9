"""The admin: jobs, their runs, the schedulers and the API's tokens. It knows `services`, and never the scheduler."""

from . import site
from .jobs.admin import JobAdmin
from .runs.admin import RunAdmin
from .schedulers.admin import SchedulerAdmin
from .tokens.admin import TokenAdmin

__all__ = ["JobAdmin", "RunAdmin", "SchedulerAdmin", "TokenAdmin", "site"]
