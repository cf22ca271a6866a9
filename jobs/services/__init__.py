"""The writes that people ask for, in the admin, over the API or by commands: each is one transaction."""

from .control import pause_all, resume_all
from .declared import sync_declared_jobs
from .jobs import add_job, duplicate_job, get_job, pause_job, remove_job, resume_job, skip_next, update_job
from .runs import cancel_run, retry_run, run_job

__all__ = [
    "add_job",
    "cancel_run",
    "duplicate_job",
    "get_job",
    "pause_all",
    "pause_job",
    "remove_job",
    "resume_all",
    "resume_job",
    "retry_run",
    "run_job",
    "skip_next",
    "sync_declared_jobs",
    "update_job",
]
