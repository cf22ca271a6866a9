"""The operations of the API: bodies, answers and refusals, from which `generator` makes the description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...core.audit import Action, Door
from ...core.runs import JobState, RunStatus
from ..representations import JOB_FIELDS, RUN_FIELDS
from . import examples
from .components import (
    COUNT,
    FLAG,
    INSTANT,
    READY,
    TEXT,
    Schema,
    array,
    done,
    nullable,
    one_of,
    record,
    ref,
    whole,
)

JSON = "application/json"

JOBS, RUNS, ALL, BACKFILLS, TOOLS, HEALTH = "Jobs", "Runs", "Scheduling", "Backfills", "Tools", "Health"
"""The groups of operations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one address.

    `answer` is the schema of the answer with status 200. `refusals` are the codes of its errors beside the common ones.
    `example` is an example of its body, and `shows` one of its answer.
    """

    name: str
    group: str
    answer: Schema
    query: Mapping[str, Schema] = field(default_factory=dict)
    headers: tuple[str, ...] = ()
    body: Schema | None = None
    needs_body: bool = False
    refusals: tuple[str, ...] = ()
    example: Any = None
    shows: Any = None
    unavailable: Schema | None = None
    """The schema of the answer with status 503, if it is not that of all errors."""
    media: Mapping[str, Schema] = field(default_factory=dict)
    """The schemas of other media types than JSON."""


HEADERS: dict[str, Schema] = {
    "If-Match": {**TEXT, "description": "Entity tags of the job, or `*`: write only if nobody has changed it since."},
    "If-None-Match": {**TEXT, "description": "Entity tags, or `*`: write only if the job is none of these."},
    "Idempotency-Key": {
        "type": "string", "pattern": r"^[\x21-\x7e]{1,255}$",
        "description": "A key of this request. Sent again with it, it is answered as before, and not done again.",
    },
}  # fmt: skip
"""The headers of requests that write."""
READ_HEADERS: dict[str, Schema] = {
    "If-Match": {**TEXT, "description": "Entity tags, or `*`: refuse with 412 if the answer has none of them."},
    "If-None-Match": {**TEXT, "description": "Entity tags, or `*`: answer with 304 if the answer has one of them."},
}
"""The headers of requests that read."""
SWITCH = one_of(["1", "0", "true", "false"])
FIELDS_OF_JOB = array(one_of(JOB_FIELDS), minItems=1)
FIELDS_OF_RUN = array(one_of(RUN_FIELDS), minItems=1)
LIST_QUERY: dict[str, Schema] = {
    "state": one_of(JobState), "q": TEXT, "tag": TEXT, "owner": TEXT, "full": SWITCH, "fields": FIELDS_OF_JOB,
    "limit": whole(1, 1000), "offset": whole(0, 10**9),
}  # fmt: skip
RUN_QUERY: dict[str, Schema] = {
    "status": one_of(RunStatus), "since": TEXT, "until": TEXT, "limit": whole(1, 500), "cursor": TEXT,
    "fields": FIELDS_OF_RUN, "format": one_of(["json", "csv", "jsonl"]),
}  # fmt: skip
WRONG_JOB = ("INVALID_REQUEST", "INVALID_FUNCTION", "INVALID_ARGUMENTS", "INVALID_TRIGGER")
FOUND_JOB, FOUND_RUN = ("JOB_NOT_FOUND",), ("RUN_NOT_FOUND",)
QUEUED = done("queued", run_id=COUNT)
EXPORT: dict[str, Schema] = {"text/csv": TEXT, "application/x-ndjson": TEXT}
NOTHING = record({}, [])
MISSED = record({"missed": ref("Missed")}, [])
INTERVAL = {"id": "nightly", "func": "cronzimus.controller.task:task", "trigger": "interval", "seconds": 10}
CHANGE: dict[str, Any] = {"trigger": "interval", "seconds": 30}
OPERATIONS: dict[str, Operation] = {
    # --- jobs ---
    "JobViewSet.list": Operation(
        name="listJobs", group=JOBS, query=LIST_QUERY, refusals=("INVALID_REQUEST",),
        answer={"anyOf": [array(ref("ListedJob")), array(ref("SomeOfJob"))]}, shows=[examples.LISTED_JOB],
    ),
    "JobViewSet.create": Operation(
        name="addJob", group=JOBS, body=ref("NewJob"), needs_body=True, answer=done("added"), example=INTERVAL,
        headers=("Idempotency-Key",), refusals=(*WRONG_JOB, "JOB_EXISTS", "IDEMPOTENCY_KEY_REUSED"),
        shows={"id": "nightly", "status": "added"},
    ),
    "JobViewSet.bulk": Operation(
        name="changeJobs", group=JOBS, body=ref("BulkRequest"), needs_body=True, answer=ref("BulkAnswer"),
        headers=("Idempotency-Key",), refusals=("INVALID_REQUEST", "IDEMPOTENCY_KEY_REUSED"),
        example={"action": "pause", "filter": {"tag": "reports"}},
        shows={"results": [{"id": "nightly", "status": "paused"}]},
    ),
    "JobViewSet.retrieve": Operation(
        name="showJob", group=JOBS, query={"fields": FIELDS_OF_JOB}, answer={"anyOf": [ref("Job"), ref("SomeOfJob")]},
        refusals=("INVALID_REQUEST", *FOUND_JOB), shows=examples.JOB,
    ),
    "JobViewSet.update.put": Operation(
        name="putJob", group=JOBS, query={"upsert": SWITCH}, headers=("If-Match", "If-None-Match"), body=ref("JobPut"),
        needs_body=True, answer=done(["updated", "added"]), example=CHANGE,
        refusals=(*WRONG_JOB, *FOUND_JOB, "JOB_EXISTS", "PRECONDITION_FAILED"),
        shows={"id": "nightly", "status": "updated"},
    ),
    "JobViewSet.update.patch": Operation(
        name="changeJob", group=JOBS, headers=("If-Match", "If-None-Match"), body=ref("JobChange"), needs_body=True,
        answer=done("updated"), example=CHANGE, refusals=(*WRONG_JOB, *FOUND_JOB, "PRECONDITION_FAILED"),
        shows={"id": "nightly", "status": "updated"},
    ),
    "JobViewSet.destroy": Operation(
        name="removeJob", group=JOBS, headers=("If-Match", "If-None-Match"), answer=done("removed"),
        refusals=(*FOUND_JOB, "PRECONDITION_FAILED"), shows={"id": "nightly", "status": "removed"},
    ),
    "JobViewSet.pause": Operation(
        name="pauseJob", group=JOBS, body=record({"until": nullable(TEXT)}, []),
        answer=done("paused", paused_until=INSTANT), refusals=("INVALID_REQUEST", *FOUND_JOB),
        example={"until": "2027-06-01T08:00:00Z"},
        shows={"id": "nightly", "status": "paused", "paused_until": "2027-06-01T08:00:00Z"},
    ),
    "JobViewSet.resume": Operation(
        name="resumeJob", group=JOBS, body=MISSED, answer=done("resumed", backfill_id=COUNT, runs=COUNT),
        refusals=(*WRONG_JOB, *FOUND_JOB), example={"missed": "last"}, shows={"id": "nightly", "status": "resumed"},
    ),
    "JobViewSet.skip": Operation(
        name="skipFireTime", group=JOBS, body=NOTHING, refusals=("INVALID_REQUEST", "INVALID_TRIGGER", *FOUND_JOB),
        answer=done("skipped", next_run_time=nullable(TEXT), next_run_time_iso=nullable(INSTANT)),
        shows={"id": "nightly", "status": "skipped", "next_run_time": "2027-03-02 02:30:00",
               "next_run_time_iso": "2027-03-02T02:30:00+01:00"},
    ),
    "JobViewSet.run": Operation(
        name="runJob", group=JOBS, body=record({"args": array({}), "kwargs": {"type": "object"}}, []), answer=QUEUED,
        headers=("Idempotency-Key",), refusals=(*WRONG_JOB, *FOUND_JOB, "IDEMPOTENCY_KEY_REUSED"),
        example={"kwargs": {}}, shows={"id": "nightly", "status": "queued", "run_id": 812},
    ),
    # --- runs ---
    "RunViewSet.list": Operation(
        name="listRuns", group=RUNS, query={**RUN_QUERY, "job": TEXT}, answer=ref("RunPage"), media=EXPORT,
        refusals=("INVALID_REQUEST",), shows=examples.RUNS,
    ),
    "RunViewSet.of_job": Operation(
        name="listRunsOfJob", group=RUNS, query=RUN_QUERY, answer=ref("RunPage"), media=EXPORT,
        refusals=("INVALID_REQUEST", *FOUND_JOB), shows=examples.RUNS,
    ),
    "RunViewSet.retrieve": Operation(
        name="showRun", group=RUNS,
        query={"fields": array(one_of([*RUN_FIELDS, "traceback", "traceparent"]), minItems=1)},
        answer={"anyOf": [ref("Run"), ref("SomeOfRun")]}, refusals=("INVALID_REQUEST", *FOUND_RUN),
        shows=examples.RUN,
    ),
    "RunViewSet.log": Operation(
        name="readOutput", group=RUNS, query={"offset": whole(0, 2**31 - 2)}, refusals=("INVALID_REQUEST", *FOUND_RUN),
        answer=record({"run_id": COUNT, "offset": COUNT, "next_offset": COUNT, "output": TEXT, "finished": FLAG}),
        shows={"run_id": 7, "offset": 0, "next_offset": 6, "output": "hello\n", "finished": False},
    ),
    "RunViewSet.cancel": Operation(
        name="cancelRun", group=RUNS, body=NOTHING, refusals=("INVALID_REQUEST", *FOUND_RUN, "RUN_FINISHED"),
        answer=record({"id": COUNT, "status": one_of(["cancelled", "cancelling"]), "how": TEXT}),
        shows={"id": 812, "status": "cancelling", "how": "the process of the run is being stopped"},
    ),
    "RunViewSet.retry": Operation(
        name="retryRun", group=RUNS, body=NOTHING, headers=("Idempotency-Key",),
        refusals=("INVALID_REQUEST", *FOUND_RUN, "RUN_ACTIVE", "IDEMPOTENCY_KEY_REUSED"),
        answer=record({"id": COUNT, "status": one_of(["queued"]), "run_id": COUNT, "attempt": COUNT}),
        shows={"id": 812, "status": "queued", "run_id": 813, "attempt": 2},
    ),
    # --- versions, and the audit ---
    "VersionsView.get": Operation(
        name="listVersions", group=JOBS, answer=array(ref("JobVersion")), refusals=FOUND_JOB, shows=[examples.VERSION],
    ),
    "VersionView.get": Operation(
        name="showVersion", group=JOBS, query={"against": whole(1, 2**31 - 1)}, answer=ref("WholeJobVersion"),
        refusals=("INVALID_REQUEST", *FOUND_JOB, "VERSION_NOT_FOUND"), shows=examples.WHOLE_VERSION,
    ),
    "RevertView.post": Operation(
        name="revertJob", group=JOBS, headers=("If-Match", "If-None-Match"), body=NOTHING,
        answer=done("reverted", version=COUNT),
        refusals=(*WRONG_JOB, *FOUND_JOB, "VERSION_NOT_FOUND", "JOB_EXISTS", "PRECONDITION_FAILED"),
        shows={"id": "nightly", "status": "reverted", "version": 3},
    ),
    "AuditView.get": Operation(
        name="listAudit", group=ALL, answer=ref("AuditPage"), media=EXPORT, refusals=("INVALID_REQUEST",),
        query={"actor": TEXT, "action": one_of(Action), "door": one_of(Door), "job": TEXT, "since": TEXT, "until": TEXT,
               "limit": whole(1, 500), "cursor": TEXT, "format": one_of(["json", "csv", "jsonl"])},
        shows=examples.AUDIT,
    ),
    # --- backfills ---
    "JobBackfillView.get": Operation(
        name="listBackfills", group=BACKFILLS, answer=array(ref("Backfill")), refusals=FOUND_JOB,
        shows=[examples.BACKFILL],
    ),
    "JobBackfillView.post": Operation(
        name="startBackfill", group=BACKFILLS, needs_body=True, headers=("Idempotency-Key",),
        body=record({"from": TEXT, "to": TEXT, "only": one_of(["missing", "all"]), "max_active": whole(1, 1000),
                     "dry_run": FLAG}, ["from", "to"]),
        answer={"oneOf": [
            record({"id": TEXT, "status": one_of(["started"]), "backfill_id": COUNT, "runs": COUNT}),
            record({"id": TEXT, "status": one_of(["dry_run"]), "runs": COUNT, "left_out": COUNT,
                    "fire_times": array(INSTANT)}),
        ]},
        refusals=(*WRONG_JOB, *FOUND_JOB, "IDEMPOTENCY_KEY_REUSED"), example={"from": "2027-01-01", "to": "2027-01-31"},
        shows={"id": "nightly", "status": "started", "backfill_id": 3, "runs": 31},
    ),
    "BackfillView.get": Operation(
        name="showBackfill", group=BACKFILLS, answer=ref("Backfill"), refusals=("BACKFILL_NOT_FOUND", *FOUND_JOB),
        shows=examples.BACKFILL,
    ),
    "BackfillCancelView.post": Operation(
        name="cancelBackfill", group=BACKFILLS, body=NOTHING,
        answer=record({"backfill_id": COUNT, "status": one_of(["cancelled"])}),
        refusals=("INVALID_REQUEST", "BACKFILL_NOT_FOUND", *FOUND_JOB),
        shows={"backfill_id": 3, "status": "cancelled"},
    ),
    # --- all of them ---
    "SchedulersView.get": Operation(
        name="showSchedulers", group=ALL, answer=ref("Schedulers"), shows=examples.SCHEDULERS,
    ),
    "PauseView.post": Operation(
        name="pauseAll", group=ALL, body=record({"reason": {"type": "string", "maxLength": 500}}, []),
        answer=record({"status": one_of(["paused"])}), refusals=("INVALID_REQUEST",), example={"reason": "migration"},
        shows={"status": "paused"},
    ),
    "ResumeView.post": Operation(
        name="resumeAll", group=ALL, body=MISSED,
        answer=record({"status": one_of(["resumed"]), "message": TEXT}, ["status"]),
        refusals=("INVALID_REQUEST",), example={"missed": "none"}, shows={"status": "resumed"},
    ),
    # --- tools ---
    "PreviewView.post": Operation(
        name="previewTrigger", group=TOOLS, body=ref("PreviewRequest"), needs_body=True,
        answer=record({"fire_times": array(INSTANT), "description": TEXT, "warnings": array(ref("Warning"))}),
        refusals=("INVALID_REQUEST", "INVALID_TRIGGER"),
        example={"trigger": "cron", "crontab": "30 2 * * *", "timezone": "Europe/Berlin", "count": 2},
        shows=examples.FIRE_TIMES,
    ),
    "FunctionsView.get": Operation(
        name="listFunctions", group=TOOLS, answer=array(ref("Function")), shows=[examples.FUNCTION],
    ),
    "MetricsView.get": Operation(
        name="readMetrics", group=TOOLS, answer={}, media={"text/plain": TEXT}, refusals=("NOT_FOUND",),
    ),
    "SchemaView.get": Operation(
        name="showSchema", group=TOOLS, answer={"type": "object", "required": ["openapi", "info", "paths"]},
        refusals=("NOT_FOUND",),
        shows={"openapi": "3.1.0", "info": {"title": "Cronzimus", "version": "0.2.0"}, "paths": {}},
    ),
    "DocsView.get": Operation(
        name="readDocs", group=TOOLS, query={"open": TEXT}, answer={}, media={"text/html": TEXT},
        refusals=("NOT_FOUND",),
    ),
    # --- health ---
    "HealthView.get": Operation(
        name="checkHealth", group=HEALTH, answer=record({"status": one_of(["running"])}), shows={"status": "running"},
    ),
    "LiveView.get": Operation(
        name="checkLife", group=HEALTH, answer=record({"status": one_of(["alive"])}), shows={"status": "alive"},
    ),
    "ReadyView.get": Operation(
        name="checkReadiness", group=HEALTH, answer=record({"status": one_of(["ready"]), **READY}, ["status"]),
        shows={"status": "ready"}, unavailable=record({"error": TEXT, "code": TEXT, **READY}, ["error", "code"]),
    ),
}  # fmt: skip
"""The operations, by view and by method, or by action of a set of views."""
