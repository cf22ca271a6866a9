"""Bad input gets the right refusal, and changes nothing."""

from __future__ import annotations

import gzip
import json
from typing import Any
from urllib.parse import quote

import pytest

from jobs.api.bodies import MAX_BODY
from jobs.models import Job, Run
from tests.fakes import make_job, make_run

from .api_client import Api

pytestmark = pytest.mark.any_database

GOOD: dict[str, Any] = {"id": "new", "func": "tests:echo", "trigger": "interval", "seconds": 10}
INTERVAL: dict[str, Any] = {"trigger": "interval", "seconds": None}
CRON: dict[str, Any] = {"trigger": "cron", "seconds": None}
DATE: dict[str, Any] = {"trigger": "date", "seconds": None}


def deep(levels: int) -> bytes:
    """Return a body nested `levels` deep in all."""
    inner = "[" * (levels - 2) + "]" * (levels - 2)
    return json.dumps(GOOD)[:-1].encode() + b', "args": [' + inner.encode() + b"]}"


BODIES = {
    "no body": b"",
    "blank": b"  ",
    "truncated": b'{"id": "new",',
    "trailing text": json.dumps(GOOD).encode() + b" x",
    "an array": json.dumps([GOOD]).encode(),
    "a number": b"1",
    "null": b"null",
    "a string": b'"new"',
    "invalid UTF-8": b'{"id": "\xff"}',
    "UTF-16": json.dumps(GOOD).encode("utf-16"),
    "two BOMs": b"\xef\xbb\xbf" * 2 + json.dumps(GOOD).encode(),
    "a BOM alone": b"\xef\xbb\xbf",
    "NaN": b'{"id": NaN}',
    "Infinity": b'{"id": -Infinity}',
    "1e400": b'{"seconds": 1e400}',
    "a huge number": b'{"seconds": ' + b"9" * 5000 + b"}",
    "a name twice": b'{"id": "a", "id": "b"}',
    "a form": b"id=new&func=tests:echo",
    "nested 33 deep": deep(33),
    "nested 100,000 deep": b'{"args":' + b"[" * 100_000,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/scheduler/jobs"), ("PUT", "/scheduler/jobs/job"), ("PATCH", "/scheduler/jobs/job"),
     ("POST", "/scheduler/preview")],
)  # fmt: skip
def test_a_body_that_is_no_json_object(api: Api, method: str, path: str, body: bytes) -> None:
    make_job()
    assert api.refused(method, path, body)[:2] == (400, "INVALID_REQUEST")
    assert Job.objects.count() == 1


def test_nesting_of_32_is_taken(api: Api) -> None:
    api.done("POST", "/scheduler/jobs", deep(32))


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx"]
)
def test_another_media_type(api: Api, content_type: str) -> None:
    answer = api.refused("POST", "/scheduler/jobs", GOOD, content_type=content_type)
    assert answer[:2] == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON;"])
def test_json_by_its_other_spellings(api: Api, content_type: str) -> None:
    assert api.call("POST", "/scheduler/jobs", GOOD, content_type=content_type).status_code == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        *((json.dumps(GOOD).encode(code), "send it as UTF-8") for code in ("utf-16", "utf-16-le", "utf-16-be")),
        *((json.dumps(GOOD).encode(code), "send it as UTF-8") for code in ("utf-32", "utf-32-be")),
        (gzip.compress(json.dumps(GOOD).encode(), mtime=0), "compressed with gzip"),
        (json.dumps({**GOOD, "name": "Ü"}, ensure_ascii=False).encode("latin-1"), "encode it as UTF-8"),
    ],
)  # fmt: skip
def test_a_body_in_another_encoding_says_what_it_is(api: Api, body: bytes, said: str) -> None:
    response = api.call("POST", "/scheduler/jobs", body)
    assert (response.status_code, response.json()["code"]) == (400, "INVALID_REQUEST")
    assert said in response.json()["error"]


@pytest.mark.parametrize("body", [b"", b"\n", b"\r\n  ", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n"])
def test_a_body_of_blanks_is_none(api: Api, body: bytes) -> None:
    make_job()
    for verb in ("pause", "resume", "run", "skip"):
        api.done("POST", f"/scheduler/jobs/job/{verb}", body)
    assert "is empty" in api.call("POST", "/scheduler/jobs", body).json()["error"]


def test_a_byte_order_mark_is_skipped(api: Api) -> None:
    api.done("POST", "/scheduler/jobs", b"\xef\xbb\xbf" + json.dumps(GOOD).encode())


def test_a_body_over_the_limit_is_not_read(api: Api) -> None:
    body = json.dumps({**GOOD, "description": "x" * MAX_BODY}).encode()
    assert api.refused("POST", "/scheduler/jobs", body)[:2] == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize(
    "job_id",
    [
        None,
        "",
        "a" * 65,
        1,
        True,
        ["a"],
        {"a": 1},
        "a b",
        " a",
        "a\n",
        "a/b",
        "a?b",
        "a\x00",
        "😀",
        "é",
        "-a",
        ".",
        "..",
        "٣",
    ],
)
def test_an_id_that_is_not_one(api: Api, job_id: Any) -> None:
    assert api.refused("POST", "/scheduler/jobs", {**GOOD, "id": job_id}) == (400, "INVALID_REQUEST", {"id"})
    assert not Job.objects.exists()


def test_an_id_that_is_missing(api: Api) -> None:
    body = {name: GOOD[name] for name in GOOD if name != "id"}
    assert api.refused("POST", "/scheduler/jobs", body) == (400, "INVALID_REQUEST", {"id"})


def test_an_id_is_kept(api: Api) -> None:
    make_job()
    assert api.refused("PUT", "/scheduler/jobs/job", {"id": "other"}) == (400, "INVALID_REQUEST", {"id"})
    api.done("PUT", "/scheduler/jobs/job", {"id": "job", "name": "x"})


@pytest.mark.parametrize(
    ("name", "hint"),
    [("secnds", "'seconds'"), ("jobstore", ""), ("next_run_time", ""), ("", ""), ("\ud800", ""), ("x" * 300, "")],
)
def test_an_unknown_field(api: Api, name: str, hint: str) -> None:
    make_job()
    for method, path in (("POST", "/scheduler/jobs"), ("PATCH", "/scheduler/jobs/job")):
        response = api.call(method, path, {**GOOD, "id": "new" if method == "POST" else "job", name: 1})
        assert (response.status_code, response.json()["code"]) == (400, "INVALID_REQUEST")
        ((_, message),) = response.json()["fields"].items()
        assert hint in message


BAD_FIELDS: list[tuple[dict[str, Any], str]] = [
    *(({"func": func}, "INVALID_FUNCTION") for func in (
        None, 1, ["tests:echo"], "", "echo", "os:system", "builtins:eval", "tests:echo.__call__", "tests:echo\n",
        " tests:echo", "tests:echo:x", "tests:ech\x00o", "x" * 10_000, "\ud800",
    )),
    *(({"args": args}, "INVALID_ARGUMENTS") for args in (
        None, {}, "x", 1, [1, 2], ["\x00"], [["a", {"b": "\ud800"}]],
    )),
    *(({"kwargs": kwargs}, "INVALID_ARGUMENTS") for kwargs in (
        None, [], "x", 1, {"nope": 1}, {"value": "\x00"}, {"\x00": 1}, {"": 1},
    )),
    ({"args": [1], "kwargs": {"value": 1}}, "INVALID_ARGUMENTS"),
    *(({"trigger": trigger}, "INVALID_TRIGGER") for trigger in (
        None, "", "monthly", 1, True, [], {}, {"type": "interval"}, {"type": ["interval"]}, "interval\x00",
    )),
    ({"hour": 1}, "INVALID_TRIGGER"),
    ({"trigger": {"type": "interval", "seconds": 5}}, "INVALID_TRIGGER"),  # and seconds beside it
    *(({**INTERVAL, "seconds": value}, "INVALID_TRIGGER") for value in (
        None, 0, -1, 1.5, 5.0, True, "5", "", [5], 10**12, 10**30, 10**300,
    )),
    ({**INTERVAL, "weeks": 10**9, "seconds": 1}, "INVALID_TRIGGER"),
    ({**INTERVAL, "hours": 1, "minutes": -30}, "INVALID_TRIGGER"),
    ({**INTERVAL, "seconds": 5, "jitter": -1}, "INVALID_TRIGGER"),
    ({**INTERVAL, "seconds": 5, "start_date": "2030-02-30"}, "INVALID_TRIGGER"),
    ({**INTERVAL, "seconds": 5, "end_date": "2029-01-01"}, "INVALID_TRIGGER"),
    *(({**CRON, "minute": value}, "INVALID_TRIGGER") for value in (
        60, -1, "", " ", "1,,2", "*/0", "*/-1", True, [1], 1.5, "a", "1-", "5-1/x", "0" * 40_000, " " * 40_000,
        ",".join(["1"] * 50_000), "1--100000000", "\x00", "\ud800", "٣",
    )),
    *(({**CRON, "day_of_week": value}, "INVALID_TRIGGER") for value in ("mon#2", "mon-fri/x", "lastxyz", 7, "sunny")),
    ({**CRON, "month": 2, "day": 30}, "INVALID_TRIGGER"),
    ({**CRON, "year": 2020}, "INVALID_TRIGGER"),
    ({**CRON, "hour": 1, "start_date": "2031-01-01", "end_date": "2030-06-01"}, "INVALID_TRIGGER"),
    *(({**CRON, "crontab": value}, "INVALID_TRIGGER") for value in (
        "", "* * * *", "* * * * * * * *", "60 0 * * *", "0 0 1--100000000 * *", "0 0 30 2 *", "@never", "@reboot",
        5, True,
    )),
    ({**CRON, "crontab": "0 0 * * *", "hour": 1}, "INVALID_TRIGGER"),
    *(({**DATE, "run_date": value}, "INVALID_TRIGGER") for value in (
        None, "", "tomorrow", "2030-02-30", "2030-06-01T00:00:00+25:00", "2020-01-01 00:00:00", 1_900_000_000, True, [],
        "10000-01-01", "0000-00-00", "2030-06-01 00:00:00\n", "0001-01-01 00:00:00+14:00",
    )),
    *(({"timezone": zone}, "INVALID_TRIGGER") for zone in (
        "Mars/Olympus", "", "../../etc/passwd", "/etc/localtime", 1, ["UTC"], "UTC\x00", "a" * 5000,
    )),
    *(({"misfire_grace_time": value}, "INVALID_REQUEST") for value in (-1, "5", 1.5, True, [], 10**12)),
    *(({"max_instances": value}, "INVALID_REQUEST") for value in (0, -1, 10**9, "1", None, 1.5, True)),
    *(({"coalesce": value}, "INVALID_REQUEST") for value in ("maybe", 1, None, [])),
    *(({"executor": value}, "INVALID_REQUEST") for value in ("gpu", "", None, 1, ["thread"], {})),
    *(({"name": value}, "INVALID_REQUEST") for value in ("", " ", "x" * 201, 1, None, "a\x00", "\ud800")),
    *(({"description": value}, "INVALID_REQUEST") for value in (1, None, "x" * 10_001, "\x00")),
    *(({"tags": value}, "INVALID_REQUEST") for value in ("x", {}, [1], [""], ["a b"], ["x" * 51], ["x"] * 21, None)),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "code"), BAD_FIELDS, ids=lambda value: repr(value)[:60].encode("ascii", "replace"))
def test_a_field_with_a_wrong_value(api: Api, changed: dict[str, Any], code: str) -> None:
    body = {**GOOD, **changed}
    for name in [name for name, value in body.items() if value is None and name == "seconds"]:
        del body[name]
    status, found, fields = api.refused("POST", "/scheduler/jobs", body)
    assert (status, found) == (400, code)
    assert fields
    assert not Job.objects.exists()


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"func": "os:system"}, "INVALID_FUNCTION"),
        ({"args": [1, 2]}, "INVALID_ARGUMENTS"),
        ({"trigger": "interval", "seconds": 0}, "INVALID_TRIGGER"),
        ({"seconds": -1}, "INVALID_TRIGGER"),
        ({"hour": 5}, "INVALID_TRIGGER"),
        ({"coalesce": "maybe"}, "INVALID_REQUEST"),
    ],
)
def test_updates_are_checked_by_the_same_validator(api: Api, method: str, changed: dict[str, Any], code: str) -> None:
    make_job(func="tests:echo")
    before = Job.objects.values().get()
    assert api.refused(method, "/scheduler/jobs/job", {"name": "new name", **changed})[:2] == (400, code)
    assert Job.objects.values().get() == before


def test_every_bad_field_is_named_at_once(api: Api) -> None:
    body = {"id": "a b", "func": "nope", "trigger": "interval", "seconds": -1, "coalesce": "maybe", "secnds": 1}
    answer = api.refused("POST", "/scheduler/jobs", body)
    assert answer == (400, "INVALID_REQUEST", {"secnds", "id", "func", "seconds", "coalesce"})


def test_arguments_that_no_function_could_take_are_named_beside_an_unknown_function(api: Api) -> None:
    body = {**GOOD, "func": "os:system", "args": 5, "kwargs": {"a": "\x00"}}
    assert api.refused("POST", "/scheduler/jobs", body) == (400, "INVALID_FUNCTION", {"func", "args", "kwargs"})


@pytest.mark.parametrize(
    ("method", "path", "good"),
    [("POST", "/scheduler/jobs", GOOD), ("PATCH", "/scheduler/jobs/job", {}), ("POST", "/scheduler/preview", {})],
)
def test_of_thousands_of_unknown_fields_fifty_are_named(api: Api, method: str, path: str, good: dict[str, Any]) -> None:
    make_job()
    many = {f"secnds{number}": 1 for number in range(5000)}
    assert len(api.refused(method, path, {**good, **many})[2] & many.keys()) == 50
    rest = {name: value for name, value in good.items() if name != "seconds"}
    answer = api.refused(method, path, {**rest, "trigger": {"type": "interval", **many}})
    assert (answer[:2], len(answer[2])) == ((400, "INVALID_TRIGGER"), 50)


ODD_IDS = {
    "a slash": "a/b",
    "only a slash": "/",
    "an encoded slash": "a%2Fb",
    "a newline": "a\nb",
    "a NUL": "a\x00b",
    "only a NUL": "\x00",
    "an emoji": "😀",
    "blanks": "a b",
    "a question mark": "a?b",
    "10,000 characters": "x" * 10_000,
    "dots": "...",
    "SQL": "'; DROP TABLE cronzimus_job; --",
    "HTML": "<script>alert(1)</script>",
    "negative": "-1",
    "huge": "9" * 30,
    "over 63 bits": str(2**63),
    "zero": "0",
    "a fraction": "1.5",
    "other digits": "١٢٣",
    "a percent sign": "100%",
}
JOB_ROUTES = [
    ("GET", ""), ("PUT", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/run"),
    ("GET", "/runs"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "tail"), JOB_ROUTES)
@pytest.mark.parametrize("job_id", ODD_IDS.values(), ids=ODD_IDS.keys())
def test_an_unknown_job_whatever_its_id(api: Api, job_id: str, method: str, tail: str) -> None:
    body = {} if method in ("PUT", "PATCH") else None
    answer = api.refused(method, f"/scheduler/jobs/{quote(job_id, safe='')}{tail}", body)
    assert answer == (404, "JOB_NOT_FOUND", set())


@pytest.mark.parametrize("tail", ["", "/log"])
@pytest.mark.parametrize("run_id", ["nope", *ODD_IDS.values()], ids=["a word", *ODD_IDS.keys()])
def test_an_unknown_run_whatever_its_id(api: Api, run_id: str, tail: str) -> None:
    make_run()
    assert api.refused("GET", f"/scheduler/runs/{quote(run_id, safe='')}{tail}") == (404, "RUN_NOT_FOUND", set())


@pytest.mark.parametrize("path", ["/scheduler/jobs", "/scheduler/runs"])
@pytest.mark.parametrize(
    ("query", "field"),
    [
        *(
            (f"limit={value}", "limit")
            for value in ("0", "-1", "1001", "x", "", "1.5", "1e3", "9" * 5000, "%D9%A3", "+5")
        ),
        ("limit=1&limit=2", "limit"),
        ("nope=1", "nope"),
        ("limt=1", "limt"),
        ("%00=1", "\x00"),
        ("%FF=1", "\ufffd"),
    ],
)
def test_a_wrong_query_is_refused_and_named(api: Api, path: str, query: str, field: str) -> None:
    assert api.refused("GET", f"{path}?{query}") == (400, "INVALID_REQUEST", {field})


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=", "state"), ("state=active", "state"), ("offset=-1", "offset"), ("offset=99999999999", "offset"),
        ("offset=x", "offset"), ("q=%00", "q"), ("tag=a%00", "tag"), ("page=2", "page"),
    ],
)  # fmt: skip
def test_a_wrong_query_of_the_jobs(api: Api, query: str, field: str) -> None:
    assert api.refused("GET", f"/scheduler/jobs?{query}") == (400, "INVALID_REQUEST", {field})


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=done", "status"), ("status=", "status"), ("job=%00", "job"), ("limit=501", "limit"),
        *((f"since={value}", "since") for value in ("", "x", "2030-13-01", "0001-01-01T00:00:00%2B14:00", "%00", "1")),
        ("until=2030-02-30", "until"), ("until=2030-01-01T00:00:00 01:00", "until"),
        *((f"cursor={value}", "cursor") for value in ("", "x", "%00", "%F0%9F%98%80", "bzE")),
        ("cursor=bzk5OTk5OTk5OTk5OTk5OTk5OV8x", "cursor"),
        ("offset=1", "offset"),
    ],
)  # fmt: skip
def test_a_wrong_query_of_the_runs(api: Api, query: str, field: str) -> None:
    assert api.refused("GET", f"/scheduler/runs?{query}") == (400, "INVALID_REQUEST", {field})


@pytest.mark.parametrize(
    ("body", "code", "fields"),
    [
        ({"argz": []}, "INVALID_REQUEST", {"argz"}),
        ({"args": [1], "now": True}, "INVALID_REQUEST", {"now"}),
        ({"args": None}, "INVALID_ARGUMENTS", {"args"}),
        ({"kwargs": None}, "INVALID_ARGUMENTS", {"kwargs"}),
        ({"args": "x"}, "INVALID_ARGUMENTS", {"args"}),
        ({"args": [1, 2]}, "INVALID_ARGUMENTS", {"args"}),
        ({"kwargs": {"nope": 1}}, "INVALID_ARGUMENTS", {"kwargs"}),
        ({"kwargs": {"value": "\x00"}}, "INVALID_ARGUMENTS", {"kwargs"}),
        (b"[", "INVALID_REQUEST", set()),
    ],
)
def test_a_run_with_wrong_arguments(api: Api, body: Any, code: str, fields: set[str]) -> None:
    make_job(func="tests:echo")
    assert api.refused("POST", "/scheduler/jobs/job/run", body) == (400, code, fields)
    assert not Run.objects.exists()


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_pause_and_resume_take_nothing(api: Api, verb: str) -> None:
    make_job()
    answer = api.refused("POST", f"/scheduler/jobs/job/{verb}", {"until": "tomorrow"})
    assert answer == (400, "INVALID_REQUEST", {"until"})
    assert api.refused("POST", f"/scheduler/jobs/job/{verb}", b"a=1", content_type="text/plain")[0] == 415


@pytest.mark.parametrize("path", ["/scheduler/jobs/job/pause", "/scheduler/jobs/job/run", "/scheduler/resume"])
def test_a_form_without_a_boundary_is_refused(api: Api, path: str) -> None:
    make_job()
    refused = api.refused("POST", path, b"--x", content_type="multipart/form-data")
    assert refused == (415, "UNSUPPORTED_MEDIA_TYPE", set())


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("/scheduler/jobs/job/pause", {"until": "soon", "x": 1}, {"until", "x"}),
        ("/scheduler/jobs/job/resume", {"missed": "some", "x": 1, "y": 2}, {"missed", "x", "y"}),
        ("/scheduler/jobs/job/run", {"args": None, "kwargs": None, "x": 1}, {"args", "kwargs", "x"}),
        ("/scheduler/jobs/job/backfill", {"to": 5, "only": "x", "max_active": 0, "dry_run": 1, "x": 1},
         {"from", "to", "only", "max_active", "dry_run", "x"}),
        ("/scheduler/pause", {"reason": 5, "x": 1}, {"reason", "x"}),
        ("/scheduler/resume", {"missed": 5, "x": 1}, {"missed", "x"}),
    ],
)  # fmt: skip
def test_every_bad_field_of_a_verb_is_named_at_once(
    api: Api, path: str, body: dict[str, Any], fields: set[str]
) -> None:
    make_job()
    assert api.refused("POST", path, body) == (400, "INVALID_REQUEST", fields)
