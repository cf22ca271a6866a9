"""The JSON Schemas of bodies and answers. Names, enums and bounds come from the code that checks them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...conf import conf
from ...core.audit import Action, Door
from ...core.runs import Executor, JobState, MissedChoice, Overlap, RunStatus, RunTrigger
from ...core.triggers import CRON_FIELDS, INTERVAL_UNITS, TRIGGER_FIELDS
from ...core.warnings import WarningCode
from ...definitions import validation
from ...definitions.policies import YEARS
from ...definitions.triggers import ALL_TRIGGER_FIELDS
from ...models.backfill import CANCELLED, DONE, RUNNING
from ...models.job import JOB_ID
from ..bulk import ACTIONS, FILTERS, MAX_ITEMS

Schema = dict[str, Any]
"""A JSON Schema."""

ANYTHING: Schema = {}
TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SECONDS: Schema = {"type": "number", "minimum": 0}
INSTANT: Schema = {"type": "string", "format": "date-time", "examples": ["2027-03-28T01:00:00Z"]}
TAG: Schema = {"type": "string", "pattern": r"^[\w.:-]{1,50}$"}
TAGS: Schema = {"type": "array", "items": TAG, "maxItems": validation.MAX_TAGS}


def ref(name: str) -> Schema:
    """Return a reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def nullable(schema: Schema) -> Schema:
    """Return a schema that allows null as well."""
    return {**schema, "type": [schema["type"], "null"]}


def one_of(names: Iterable[str]) -> Schema:
    """Return the schema of one of some texts."""
    return {"type": "string", "enum": [str(name) for name in names]}


def whole(low: int, high: int) -> Schema:
    """Return the schema of a whole number with bounds."""
    return {"type": "integer", "minimum": low, "maximum": high}


def text(most: int, least: int = 0) -> Schema:
    """Return the schema of a text with bounds of its length, in characters."""
    return {"type": "string", "maxLength": most, **({"minLength": least} if least else {})}


def array(items: Schema, **more: Any) -> Schema:
    """Return the schema of an array."""
    return {"type": "array", "items": items, **more}


def record(properties: dict[str, Schema], required: Iterable[str] | None = None, **more: Any) -> Schema:
    """Return the schema of an object with exactly these fields; all are required unless `required` names some."""
    needed = list(properties if required is None else required)
    return {
        "type": "object", "properties": properties, **({"required": needed} if needed else {}),
        "additionalProperties": False, **more,
    }  # fmt: skip


# --- triggers ---------------------------------------------------------------------------------------------------------

_UNIT = nullable({"type": "integer", "minimum": 0})
_CRON_FIELD: Schema = {
    "type": ["string", "integer", "null"],
    "description": "A number, or an expression: `*/15`, `9-17`, `mon-fri`. By fields, day and weekday must both match.",
}
_TRIGGER_FIELDS: dict[str, Schema] = {
    **dict.fromkeys((*INTERVAL_UNITS, "years", "months"), _UNIT),
    **dict.fromkeys(CRON_FIELDS, _CRON_FIELD),
    "crontab": nullable({**TEXT, "description": "Five fields as Debian's cron(8) reads them, or @daily and the like."}),
    "run_date": nullable(TEXT),
    "start_date": nullable(TEXT),
    "end_date": nullable({**TEXT, "description": "A date alone is that whole day."}),
    "jitter": nullable({"type": "number", "minimum": 0, "maximum": 604_800, "description": "Seconds."}),
    "timezone": nullable({**TEXT, "examples": ["Europe/Berlin"]}),
}
"""The fields of triggers. Null counts as not given."""
_CLOCK = dict.fromkeys(("hour", "minute", "second"), _UNIT)
"""The fields that are numbers in a calendar interval, and expressions in a cron trigger."""


def _trigger(kind: str) -> Schema:
    fields = {**_TRIGGER_FIELDS, **(_CLOCK if kind == "calendarinterval" else {})}
    properties = {"type": {"const": kind}, **{name: fields[name] for name in TRIGGER_FIELDS[kind]}}
    return record(properties, ["type"], title=kind)


TRIGGER: Schema = {
    "oneOf": [_trigger(kind) for kind in TRIGGER_FIELDS],
    "description": "A trigger as a GET shows it. The fields are those that were given.",
    "examples": [{"type": "interval", "seconds": 30}, {"type": "cron", "crontab": "30 2 * * *"}],
}
TRIGGER_INPUT: Schema = {
    "anyOf": [one_of(TRIGGER_FIELDS), ref("Trigger")],
    "description": "The type, with the trigger's fields beside it; or the trigger as an object.",
}

# --- jobs -------------------------------------------------------------------------------------------------------------

JOB_ID_SCHEMA: Schema = {"type": "string", "pattern": f"^{JOB_ID}$"}
RETRIES: Schema = {
    "type": ["object", "null"],
    "properties": {
        "max": whole(0, 100), "delay": {**SECONDS, "maximum": YEARS}, "max_delay": {**SECONDS, "maximum": YEARS},
        "backoff": {"type": "number", "minimum": 1, "maximum": 100}, "jitter": {**SECONDS, "maximum": YEARS},
    },
    "required": ["max"],
    "additionalProperties": False,
    "description": "null, or a `max` of 0: nothing is tried again.",
}  # fmt: skip
POLICIES: dict[str, Schema] = {
    "executor": one_of(name for name in Executor if name != Executor.CELERY or conf.CELERY_BROKER_URL),
    "queue": {"type": "string", "pattern": r"^[A-Za-z0-9_.:-]{1,64}$"},
    "misfire_grace_time": nullable(whole(0, 10 * YEARS)),
    "coalesce": FLAG,
    "max_instances": whole(1, 1000),
    "overlap": one_of(Overlap),
    "queue_limit": whole(1, 1000),
    "timeout": nullable(whole(1, YEARS)),
    "retries": RETRIES,
    "priority": whole(-1000, 1000),
    "concurrency_group": {"type": "string", "pattern": r"^[A-Za-z0-9_.:-]{0,64}$"},
    "concurrency_limit": whole(1, 1000),
    "max_runs": nullable(whole(1, 2**31 - 1)),
    "pause_after": nullable(whole(1, 1000)),
    "keep_runs": nullable(whole(1, 2**31 - 1)),
    "keep_days": nullable(whole(1, 36_500)),
    "keep_failed_days": nullable(whole(1, 36_500)),
}
"""The policies; a test compares them with the checks."""
WRITABLE: dict[str, Schema] = {
    "func": {**TEXT, "description": "A registered function, `module:name`."},
    "name": text(validation.MAX_NAME, 1),
    "description": text(validation.MAX_DESCRIPTION),
    "owner": text(validation.MAX_OWNER),
    "tags": TAGS,
    "paused": FLAG,
    "args": array(ANYTHING),
    "kwargs": {"type": "object"},
    "trigger": TRIGGER_INPUT,
    **{name: {**_TRIGGER_FIELDS[name]} for name in ALL_TRIGGER_FIELDS},
    **POLICIES,
}
"""The fields of a job that people can set, without its id."""
JOB: Schema = record(
    {
        "id": TEXT,
        "name": TEXT,
        "trigger": ref("Trigger"),
        "next_run_time": nullable(
            {**TEXT, "description": "Local time of the job's zone.", "examples": ["2027-03-28 03:00:00"]}
        ),
        "next_run_time_iso": nullable({**INSTANT, "description": "The same instant, with its offset."}),
        "state": one_of(JobState),
        "paused": {**FLAG, "description": "Whether the trigger is stopped for good."},
        "paused_at": nullable({**INSTANT, "description": "Since when it is paused."}),
        "paused_by": {**TEXT, "description": "Who paused it; empty if it is not, or if nobody was named."},
        "paused_until": nullable(INSTANT),
        "pause_reason": {**TEXT, "description": "Why it is paused; empty if it is not, or if nobody said why."},
        "args": array(ANYTHING),
        "kwargs": {"type": "object"},
        "func": TEXT,
        "description": TEXT,
        "owner": TEXT,
        "tags": array(TEXT),
        **POLICIES,
        "trigger_description": TEXT,
        "warnings": array(ref("Warning")),
        "error": {**TEXT, "description": "Why the job is broken; empty if it is not."},
        "run_count": COUNT,
        "failure_count": COUNT,
        "last_status": one_of(["", *RunStatus]),
        "last_run_at": nullable(INSTANT),
        "created_at": INSTANT,
        "updated_at": INSTANT,
        "version": {"type": "integer", "minimum": 1, "description": "Counts what people change."},
    }
)
LISTED = ("id", "name", "trigger", "next_run_time", "next_run_time_iso", "state")
"""The fields of a job in the list."""

# --- runs -------------------------------------------------------------------------------------------------------------

RUN_FIELDS: dict[str, Schema] = {
    "id": {"type": "integer", "minimum": 1},
    "job_id": TEXT,
    "func": TEXT,
    "status": one_of(RunStatus),
    "reason": {**TEXT, "description": "Why it did not run, or was stopped."},
    "trigger": one_of(RunTrigger),
    "actor": {**TEXT, "description": "Who asked for it; empty for runs of the schedule."},
    "scheduled_time": nullable(INSTANT),
    "queued_at": INSTANT,
    "started_at": nullable(INSTANT),
    "finished_at": nullable(INSTANT),
    "attempt": {"type": "integer", "minimum": 1},
    "fire_times": {"type": "integer", "minimum": 1},
    "executor": one_of(Executor),
    "version": nullable({"type": "integer", "minimum": 1, "description": "The version of the job that it ran."}),
    "result": {"description": "What the function returned."},
    "error": TEXT,
    "duration": nullable({"type": "number", "description": "Seconds."}),
    "scheduler": nullable(TEXT),
    "progress": nullable({**record({"done": COUNT, "total": nullable(COUNT)})}),
    "worker": nullable(TEXT),
    "queue": nullable(TEXT),
    "dispatches": nullable(COUNT),
    "dispatched_at": nullable(INSTANT),
    "waits_for": nullable({**TEXT, "description": "What a queued run of a worker waits for, in words."}),
}


def some_of(schema: Schema) -> Schema:
    """Return the schema of a record whose fields the request may choose."""
    return {name: value for name, value in schema.items() if name != "required"}


def page_of(name: str) -> Schema:
    """Return the schema of a page by cursor."""
    link = nullable({**TEXT, "format": "uri", "description": "The address of the page."})
    return record({"next": link, "previous": link, "results": array(ref(name))})


def done(status: str | list[str], **more: Schema) -> Schema:
    """Return the schema of the answer to a write of a job."""
    statuses = [status] if isinstance(status, str) else status
    return record({"id": TEXT, "status": one_of(statuses), **more}, ["id", "status"])


CHANGES: Schema = {
    "type": ["object", "null"], "additionalProperties": array(ANYTHING, minItems=2, maxItems=2),
    "description": "By field, the value before and the value after.",
}  # fmt: skip
VERSION: dict[str, Schema] = {
    "version": {"type": "integer", "minimum": 1}, "at": INSTANT, "actor": TEXT, "door": one_of(Door), "action": TEXT,
    "reverted_to": nullable({"type": "integer", "minimum": 1}), "changes": CHANGES,
}  # fmt: skip
AUDIT_EVENT: Schema = record(
    {
        "id": COUNT, "at": INSTANT, "actor": TEXT, "door": one_of(Door), "token": TEXT, "address": TEXT,
        "request_id": TEXT, "action": one_of(Action), "job_id": TEXT, "object_id": TEXT, "changes": CHANGES,
    }
)  # fmt: skip

BULK_ITEM: Schema = {
    "oneOf": [
        record({"id": TEXT, "status": one_of(["paused", "resumed", "queued", "removed", "updated"]), "run_id": COUNT},
               ["id", "status"]),
        record({"id": TEXT, "error": TEXT, "code": TEXT}),
    ]
}  # fmt: skip
_FILTER = record({name: one_of(JobState) if name == "state" else TEXT for name in FILTERS}, [], minProperties=1)
_IDS = array(TEXT, minItems=1, maxItems=MAX_ITEMS, uniqueItems=True)


def _bulk(action: str) -> Schema:
    more = dict.fromkeys(ACTIONS[action].fields, TAGS)
    fields = {"action": {"const": action}, "ids": _IDS, "filter": _FILTER, **more}
    return record(fields, ["action"], oneOf=[{"required": ["ids"]}, {"required": ["filter"]}], title=action)


BACKFILL: Schema = record(
    {
        "id": COUNT, "job_id": TEXT, "state": one_of([RUNNING, DONE, CANCELLED]),
        "from": INSTANT, "to": INSTANT, "only": one_of(["missing", "all"]), "max_active": whole(1, 1000),
        "runs": COUNT, "queued": COUNT, "statuses": {"type": "object", "additionalProperties": COUNT}, "actor": TEXT,
        "created_at": INSTANT, "ended_at": nullable(INSTANT), "queued_until": nullable(INSTANT),
    }
)  # fmt: skip
SCHEDULERS: Schema = record(
    {
        "paused": FLAG, "paused_at": nullable(INSTANT), "actor": TEXT, "reason": TEXT,
        "schedulers": array(record({
            "id": TEXT, "hostname": TEXT, "pid": COUNT, "version": TEXT, "zone_data": TEXT, "broker": TEXT,
            "started_at": INSTANT, "heartbeat_at": INSTANT, "alive": FLAG, "threads": COUNT, "processes": COUNT,
            "queued": COUNT, "running": COUNT, "drained_at": nullable(INSTANT), "clock_skew": {"type": "number"},
            "memory": nullable(COUNT),
        })),
        "backlog": record({
            "due_jobs": COUNT, "oldest_due_seconds": nullable(SECONDS), "waiting_runs": COUNT,
            "oldest_waiting_seconds": nullable(SECONDS),
        }),
        "workers": array(record({
            "id": TEXT, "name": TEXT, "hostname": TEXT, "pid": COUNT, "version": TEXT, "broker": TEXT,
            "started_at": INSTANT, "heartbeat_at": INSTANT, "alive": FLAG, "draining": FLAG, "queues": array(TEXT),
            "slots": COUNT, "running": COUNT,
        })),
        "queues_without_worker": array(TEXT),
    },
    ["paused", "paused_at", "actor", "reason", "schedulers", "backlog"],
)  # fmt: skip
FUNCTION: Schema = record(
    {
        "func": TEXT, "name": TEXT, "description": TEXT,
        "parameters": array(record(
            {"name": TEXT, "required": FLAG, "kind": TEXT, "default": ANYTHING, "annotation": TEXT},
            ["name", "required", "kind"],
        )),
        "injected": array(record({"name": TEXT, "type": TEXT})),
    }
)  # fmt: skip
READY: dict[str, Schema] = {
    "schedulers": COUNT, "heartbeat_age": nullable(SECONDS), "overdue_jobs": COUNT, "oldest_overdue": nullable(SECONDS),
    "stuck_runs": COUNT, "oldest_stuck": nullable(SECONDS), "workers": COUNT, "queues_without_worker": array(TEXT),
}  # fmt: skip

SCHEMAS: dict[str, Schema] = {
    "Trigger": TRIGGER,
    "Warning": record({"code": one_of(WarningCode), "message": TEXT}),
    "Job": JOB,
    "SomeOfJob": some_of(JOB),
    "ListedJob": record({name: TEXT if name == "trigger" else JOB["properties"][name] for name in LISTED}),
    "NewJob": record({"id": JOB_ID_SCHEMA, **WRITABLE}, ["id", "func", "trigger"]),
    "JobChange": record({"id": TEXT, **WRITABLE}, []),
    "JobPut": record({"id": TEXT, **WRITABLE, **dict.fromkeys(validation.READ_ONLY_FIELDS, ANYTHING)}, []),
    "Run": record({**RUN_FIELDS, "traceback": TEXT, "traceparent": nullable(TEXT)}),
    "SomeOfRun": some_of(record({**RUN_FIELDS, "traceback": TEXT, "traceparent": nullable(TEXT)})),
    "ListedRun": some_of(record(RUN_FIELDS)),
    "RunPage": page_of("ListedRun"),
    "BulkRequest": {"oneOf": [_bulk(action) for action in ACTIONS]},
    "BulkAnswer": record({"results": array(BULK_ITEM)}),
    "Backfill": BACKFILL,
    "Schedulers": SCHEDULERS,
    "Function": FUNCTION,
    "JobVersion": record(VERSION),
    "WholeJobVersion": record(
        {**VERSION, "definition": {"type": "object"}}, [name for name in VERSION if name != "changes"]
    ),
    "AuditEvent": AUDIT_EVENT,
    "AuditPage": page_of("AuditEvent"),
    "Missed": one_of(MissedChoice),
    "PreviewRequest": record(
        {
            "trigger": TRIGGER_INPUT,
            **{name: _TRIGGER_FIELDS[name] for name in ALL_TRIGGER_FIELDS},
            "id": TEXT,
            "after": nullable(TEXT),
            "count": whole(1, 100),
        },
        ["trigger"],
    ),
    "Error": record(
        {"error": TEXT, "code": TEXT, "fields": {"type": "object", "additionalProperties": TEXT}}, ["error", "code"]
    ),
}
"""The schemas by name."""
