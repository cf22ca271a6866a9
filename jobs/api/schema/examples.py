"""Examples of answers, for the description of the API. A test compares each with its schema."""

from __future__ import annotations

from typing import Any

Example = dict[str, Any]

DEFINITION: Example = {
    "name": "Nightly report", "description": "", "owner": "Team A", "tags": ["reports"],
    "func": "cronzimus.controller.task:task", "args": [], "kwargs": {},
    "trigger": {"type": "cron", "crontab": "30 2 * * *", "timezone": "Europe/Berlin"}, "paused": False,
    "executor": "thread", "queue": "cronzimus", "misfire_grace_time": 3600, "coalesce": True, "max_instances": 1,
    "overlap": "skip", "queue_limit": 10, "timeout": None, "retries": None, "priority": 0, "concurrency_group": "",
    "concurrency_limit": 1, "max_runs": None, "pause_after": None, "keep_runs": None, "keep_days": 90,
    "keep_failed_days": None,
}  # fmt: skip
JOB: Example = DEFINITION | {
    "id": "nightly", "next_run_time": "2027-03-01 02:30:00", "next_run_time_iso": "2027-03-01T02:30:00+01:00",
    "state": "running", "paused_at": None, "paused_by": "", "paused_until": None, "pause_reason": "",
    "args": ["<Database instance>"], "trigger_description": "at 02:30 every day (Europe/Berlin)", "warnings": [],
    "error": "", "run_count": 58, "failure_count": 1, "last_status": "succeeded",
    "last_run_at": "2027-02-28T01:30:00.007000Z", "created_at": "2027-01-01T09:00:00Z",
    "updated_at": "2027-01-04T10:12:00Z", "version": 3,
}  # fmt: skip
LISTED_JOB: Example = {
    "id": "nightly", "name": "Nightly report", "trigger": "cron[crontab='30 2 * * *']",
    "next_run_time": "2027-03-01 02:30:00", "next_run_time_iso": "2027-03-01T02:30:00+01:00", "state": "running",
}  # fmt: skip
LISTED_RUN: Example = {
    "id": 812, "job_id": "nightly", "func": "cronzimus.controller.task:task", "status": "failed", "reason": "",
    "trigger": "schedule", "actor": "", "scheduled_time": "2027-02-28T01:30:00Z",
    "queued_at": "2027-02-28T01:30:00.004000Z", "started_at": "2027-02-28T01:30:00.006000Z",
    "finished_at": "2027-02-28T01:30:00.007000Z", "attempt": 1, "fire_times": 1, "executor": "thread", "version": 3,
    "result": None, "error": "ValueError: no rows", "duration": 0.001, "scheduler": "web-1-4711-9f86d081",
    "progress": None, "worker": None, "queue": None, "dispatches": None, "dispatched_at": None,
    "waits_for": None,
}  # fmt: skip
RUN: Example = LISTED_RUN | {
    "traceback": 'Traceback (most recent call last):\n  File "shop/reports.py", line 9, in send\nValueError: no rows\n',
    "traceparent": None,
}
LINK = "http://localhost:5000/scheduler/runs?cursor=bzE3OTU5NTI5NDcwMDAwMDBfNg"
RUNS: Example = {"next": LINK, "previous": None, "results": [LISTED_RUN]}
VERSION: Example = {
    "version": 3, "at": "2027-01-04T10:12:00Z", "actor": "anna", "door": "admin", "action": "job_updated",
    "reverted_to": None, "changes": {"owner": ["", "Team A"]},
}  # fmt: skip
WHOLE_VERSION: Example = VERSION | {"definition": DEFINITION}
AUDIT: Example = {
    "next": None, "previous": None,
    "results": [
        {
            "id": 90, "at": "2027-01-04T10:12:00Z", "actor": "anna", "door": "api", "token": "czm_8dJ2kQ0z",
            "address": "10.0.0.7", "request_id": "f3a9", "action": "job_updated", "job_id": "nightly", "object_id": "",
            "changes": {"owner": ["", "Team A"]},
        }
    ],
}  # fmt: skip
BACKFILL: Example = {
    "id": 3, "job_id": "nightly", "state": "running", "from": "2026-12-31T23:00:00Z", "to": "2027-01-31T22:59:59Z",
    "only": "missing", "max_active": 1, "runs": 31, "queued": 5, "statuses": {"succeeded": 4, "running": 1},
    "actor": "anna", "created_at": "2027-03-01T09:00:00Z", "ended_at": None, "queued_until": "2027-01-05T01:30:00Z",
}  # fmt: skip
SCHEDULERS: Example = {
    "paused": False, "paused_at": None, "actor": "", "reason": "",
    "schedulers": [
        {
            "id": "web-1-4711-9f86d081", "hostname": "web-1", "pid": 4711, "version": "0.2.0", "zone_data": "2026f",
            "broker": "", "started_at": "2027-02-01T00:00:00Z", "heartbeat_at": "2027-02-28T01:00:03Z", "alive": True,
            "threads": 10, "processes": 2, "queued": 0, "running": 3, "drained_at": None, "clock_skew": 0.002,
            "memory": 92_274_688,
        }
    ],
    "backlog": {"due_jobs": 0, "oldest_due_seconds": 0.0, "waiting_runs": 0, "oldest_waiting_seconds": 0.0},
}  # fmt: skip
FIRE_TIMES: Example = {
    "fire_times": ["2027-03-27T02:30:00+01:00", "2027-03-28T03:00:00+02:00"],
    "description": "at 02:30 every day (Europe/Berlin)",
    "warnings": [
        {
            "code": "skipped_by_clock",
            "message": "The clock skips 02:30 on 2027-03-28 (Europe/Berlin): it fires at 03:00 instead.",
        }
    ],
}
FUNCTION: Example = {
    "func": "shop.job_functions:send_reminders", "name": "send_reminders",
    "description": "Remind everybody whose deadline is near.",
    "parameters": [{"name": "days", "required": True, "kind": "positional_or_keyword", "annotation": "int"}],
    "injected": [{"name": "context", "type": "RunContext"}],
}  # fmt: skip
