"""The writes of people, through the admin, the API or commands. Each is one transaction."""

from .alerts import acknowledge_incident, record_channel, record_rule, save_rule, send_again, send_test
from .backfills import cancel_backfill, plan_backfill, start_backfill
from .control import drain_scheduler, pause_all, resume_all, resume_scheduler
from .declared import sync_declared_jobs
from .jobs import (
    add_job,
    duplicate_job,
    get_job,
    job_not_found,
    remove_job,
    tag_job,
    update_job,
)
from .pausing import pause_job, resume_job, resume_with, skip_next
from .runs import cancel_run, retry_run, run_job, run_test
from .tokens import create_token, disable_token, enable_token, find_token, is_secret, revoke_token, rotate_token, shown
from .versions import revert_job
from .zone_changes import follow_time_zones

__all__ = [
    "acknowledge_incident",
    "add_job",
    "cancel_backfill",
    "cancel_run",
    "create_token",
    "disable_token",
    "drain_scheduler",
    "duplicate_job",
    "enable_token",
    "find_token",
    "follow_time_zones",
    "get_job",
    "is_secret",
    "job_not_found",
    "pause_all",
    "pause_job",
    "plan_backfill",
    "record_channel",
    "record_rule",
    "remove_job",
    "resume_all",
    "resume_job",
    "resume_scheduler",
    "resume_with",
    "retry_run",
    "revert_job",
    "revoke_token",
    "rotate_token",
    "run_job",
    "run_test",
    "save_rule",
    "send_again",
    "send_test",
    "shown",
    "skip_next",
    "start_backfill",
    "sync_declared_jobs",
    "tag_job",
    "update_job",
]
