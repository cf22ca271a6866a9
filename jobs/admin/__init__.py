"""The admin: jobs, their runs, the schedulers and the API's tokens. It knows `services`, and never the scheduler."""

from . import job_admin, run_admin, scheduler_admin, site, token_admin

__all__ = ["job_admin", "run_admin", "scheduler_admin", "site", "token_admin"]
