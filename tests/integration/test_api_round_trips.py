"""A PUT with the body of a GET, in any client's notation, changes nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.definitions.validation import READ_ONLY_FIELDS
from jobs.models import Job
from tests.conftest import examples, skip_or_fail
from tests.fakes import NOW, FakeClock, after, make_job

from .api_client import Api

JOBS, JOB = "/scheduler/jobs", "/scheduler/jobs/job"
YEARS = timedelta(days=366 * 12)
"""Longer than any date of these tests lies ahead."""
ARGS: list[Any] = [5, 0, 2.5, 3.0, True, None, "5", [1, {"a": 2}]]
"""Arguments of a job: clients write their numbers in other forms, too."""

TRIGGERS: dict[str, dict[str, Any]] = {
    "interval": {"type": "interval", "hours": 24, "jitter": 2},
    "interval in a window": {
        "type": "interval", "minutes": 5, "seconds": 30, "start_date": "2030-01-01 12:00:10",
        "end_date": "2031-06-01T10:00:00+00:00", "timezone": "Europe/Berlin", "jitter": 1.5,
    },
    "cron": {"type": "cron", "day_of_week": "mon-fri", "hour": 2, "minute": "*/15", "timezone": "Europe/Berlin"},
    "cron in a window": {"type": "cron", "hour": 9, "minute": 0, "end_date": "2031-06-01T12:30:00+05:30"},
    "crontab": {"type": "cron", "crontab": "30 2 * * 1-5", "end_date": "2035-01-01 00:00:00"},
    "calendarinterval": {
        "type": "calendarinterval", "weeks": 2, "hour": 9, "minute": 30, "start_date": "2030-01-07 00:00:00",
        "jitter": 2, "timezone": "Europe/Berlin",
    },
    "calendarinterval in a window": {
        "type": "calendarinterval", "months": 1, "start_date": "2030-01-31T08:00:00+00:00", "end_date": "2031-06-30",
    },
    "date": {"type": "date", "run_date": "2031-06-01 10:00:00", "timezone": "America/New_York"},
    "date with an offset": {"type": "date", "run_date": "2031-06-01T10:00:00+00:00"},
}  # fmt: skip
POLICIES: dict[str, st.SearchStrategy[Any]] = {
    "executor": st.sampled_from(["thread", "process"]),
    "queue": st.sampled_from(["cronzimus", "reports"]),
    "misfire_grace_time": st.none() | st.integers(0, 10**6),
    "coalesce": st.booleans(),
    "max_instances": st.integers(1, 1000),
    "overlap": st.sampled_from(["skip", "queue", "replace"]),
    "queue_limit": st.integers(1, 1000),
    "timeout": st.none() | st.integers(1, 10**6),
    "retries": st.none()
    | st.fixed_dictionaries(
        {"max": st.integers(0, 100)},
        optional={"delay": st.floats(0, 1000), "backoff": st.sampled_from([1, 1.5, 2]), "jitter": st.integers(0, 9)},
    ),
    "priority": st.integers(-1000, 1000),
    "concurrency_group": st.sampled_from(["", "mail"]),
    "concurrency_limit": st.integers(1, 1000),
    "max_runs": st.none() | st.integers(1, 10**6),
    "keep_runs": st.none() | st.integers(1, 10**6),
    "keep_days": st.none() | st.integers(1, 10**4),
    "pause_after": st.none() | st.integers(1, 1000),
    "keep_failed_days": st.none() | st.integers(1, 10**4),
}


@pytest.fixture(params=TRIGGERS.values(), ids=TRIGGERS.keys())
def trigger(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A trigger of each kind."""
    found: dict[str, Any] = request.param
    return found


def add(api: Api, **fields: Any) -> dict[str, Any]:
    """Add the job "job", and return the body of a GET of it."""
    api.done("POST", JOBS, {"id": "job", "func": "cronzimus.controller.task:task", **fields})
    shown: dict[str, Any] = api.get(JOB)
    return shown


# --- read-only fields --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", READ_ONLY_FIELDS)
def test_put_ignores_each_read_only_field(api: Api, field: str) -> None:
    make_job()
    shown = api.get(JOB)
    for value in (shown[field], None, "x", 5):
        api.done("PUT", JOB, {field: value})
    assert api.get(JOB) == shown


@pytest.mark.parametrize("paused", [False, True])
def test_put_does_not_pause_or_resume(api: Api, paused: bool) -> None:
    make_job(paused=paused)
    shown = api.get(JOB)
    for state in ("paused", "running", "pending"):
        api.done("PUT", JOB, {**shown, "state": state})
    assert api.get(JOB) == shown


def test_put_still_refuses_a_bad_field_beside_a_read_only_one(api: Api) -> None:
    make_job()
    assert api.refused("PUT", JOB, {"state": "pending", "nmae": "x"}) == (400, "INVALID_REQUEST", {"nmae"})


@pytest.mark.parametrize("field", READ_ONLY_FIELDS)
def test_post_and_patch_refuse_each_read_only_field_by_name(api: Api, field: str) -> None:
    make_job()
    value = api.get(JOB)[field]
    new = {"id": "new", "func": "tests:echo", "trigger": "interval", "seconds": 5, field: value}
    for method, path, body in (("POST", JOBS, new), ("PATCH", JOB, {"name": "x", field: value})):
        response = api.call(method, path, body)
        assert (response.status_code, response.json()["code"]) == (400, "INVALID_REQUEST")
        assert "read-only" in response.json()["fields"][field]
    assert list(Job.objects.values_list("id", "name")) == [("job", "job")]


# --- unchanged is unchanged ----------------------------------------------------------------------------------------


def test_a_number_in_another_form_is_the_same_number(api: Api, clock: FakeClock) -> None:
    shown = add(api, trigger="interval", hours=24, jitter=2.0, retries={"max": 3, "delay": 10.0})
    clock.advance(3600)
    again = {**shown, "trigger": {"type": "interval", "hours": 24.0, "jitter": 2}, "max_instances": 1.0}
    api.done("PUT", JOB, {**again, "retries": {"max": 3.0, "delay": 10}})
    assert api.get(JOB) == shown


@pytest.mark.parametrize(
    ("stored", "change", "shown"),
    [
        (
            {"trigger": {"type": "interval", "hours": 24, "minutes": 5}},
            {"trigger": {"type": "interval", "hours": 24.0, "minutes": 6}},
            {"trigger": {"type": "interval", "hours": 24, "minutes": 6}},
        ),
        (
            {"trigger": {"type": "calendarinterval", "weeks": 2, "hour": 9}},
            {"trigger": {"type": "calendarinterval", "weeks": 2.0, "hour": 9.0, "minute": 30}},
            {"trigger": {"type": "calendarinterval", "weeks": 2, "hour": 9, "minute": 30}},
        ),
        (
            {"trigger": {"type": "cron", "hour": 9, "minute": 0}},
            {"trigger": {"type": "cron", "hour": 9.0, "minute": 15}},
            {"trigger": {"type": "cron", "hour": 9, "minute": 15}},
        ),
        (
            {"retries": {"max": 3, "delay": 10}},
            {"retries": {"max": 3.0, "delay": 20, "backoff": 2.0, "max_delay": 3600.0, "jitter": 0.0}},
            {"retries": {"max": 3, "delay": 20, "backoff": 2, "max_delay": 3600, "jitter": 0}},
        ),
        ({"args": [5, [1, 2]]}, {"args": [5.0, [1.0, 3], 7]}, {"args": [5, [1, 3], 7]}),
        ({"kwargs": {"a": 5, "b": 2}}, {"kwargs": {"b": 3, "a": 5.0}}, {"kwargs": {"a": 5, "b": 3}}),
    ],
)
def test_a_change_leaves_the_numbers_beside_it_as_they_are(
    api: Api, stored: dict[str, Any], change: dict[str, Any], shown: dict[str, Any]
) -> None:
    add(api, **{"func": "tests:record", "trigger": {"type": "interval", "seconds": 5}, **stored})
    for method in ("PUT", "PATCH"):
        api.done(method, JOB, change)
    found = api.get(JOB)
    assert json.dumps({name: found[name] for name in shown}, sort_keys=True) == json.dumps(shown, sort_keys=True)
    assert found["version"] == 2


def test_a_function_is_called_with_the_numbers_that_were_stored(api: Api) -> None:
    before = add(api, func="tests:record", args=[5], kwargs={"a": 1}, trigger="interval", seconds=5)
    api.done("PUT", JOB, {"args": [5.0], "kwargs": {"a": 1.0}})
    job = Job.objects.get()
    assert [type(job.args[0]), type(job.kwargs["a"])] == [int, int]
    assert api.get(JOB) == before


@pytest.mark.parametrize(
    "body", [{"seconds": 6.0}, {"seconds": 5.5}, {"seconds": True}, {"max_instances": 2.0}, {"priority": False}]
)
def test_another_number_is_still_refused_in_a_form_that_a_new_job_may_not_have(api: Api, body: dict[str, Any]) -> None:
    shown = add(api, trigger="interval", seconds=5)
    assert api.refused("PUT", JOB, body)[0] == 400
    assert api.get(JOB) == shown


@pytest.mark.parametrize(
    ("stored", "again"),
    [
        ("2031-06-01T10:00:00Z", "2031-06-01T10:00:00+00:00"),
        ("2031-06-01T10:00:00Z", "2031-06-01T12:00:00+02:00"),
        ("2031-06-01T10:00:00.500Z", "2031-06-01T10:00:00.5+0000"),
        ("2031-06-01 10:00:00", "2031-06-01T10:00"),
        ("2031-06-01 10:00:00", "2031-06-01T10:00:00Z"),
        ("2031-06-01", "2031-06-01T00:00:00"),
        ("2031-06-01T10:00:00Z", "2031-06-01T10:00:00.0000000Z"),
        ("2031-06-01T10:00:00.123456Z", "2031-06-01 10:00:00.123456789+00"),
    ],
)
@pytest.mark.parametrize("passed", [False, True])
def test_a_time_in_another_form_is_the_same_time(
    api: Api, clock: FakeClock, stored: str, again: str, passed: bool
) -> None:
    shown = add(api, trigger="date", run_date=stored)
    clock.advance(YEARS.total_seconds() if passed else 60)
    api.done("PUT", JOB, {"trigger": "date", "run_date": again})
    api.done("PUT", JOB, {"trigger": {"type": "date", "run_date": again}})
    assert api.get(JOB) == shown


def test_another_time_is_still_refused_once_it_has_passed(api: Api, clock: FakeClock) -> None:
    add(api, trigger="date", run_date="2031-06-01T10:00:00Z")
    clock.advance(YEARS.total_seconds())
    for run_date in ("2031-06-01T10:00:01Z", "2031-06-01T10:00:00+01:00"):
        assert api.refused("PUT", JOB, {"trigger": "date", "run_date": run_date}) == (
            400, "INVALID_TRIGGER", {"run_date"}
        )  # fmt: skip


@pytest.mark.parametrize(
    ("stored", "again"),
    [
        ({"type": "interval", "seconds": 5}, {"type": "interval", "seconds": 5, "minutes": 0, "jitter": 0}),
        ({"type": "cron", "hour": 9, "minute": "0"}, {"type": "cron", "minute": 0, "hour": "9"}),
        ({"type": "cron", "day_of_week": "mon-fri"}, {"type": "cron", "day_of_week": " MON-fri"}),
        ({"type": "cron", "crontab": "0 9 * * mon"}, {"type": "cron", "crontab": "0  9 * * MON "}),
        ({"type": "cron", "hour": 9}, {"type": "cron", "hour": 9, "timezone": None, "start_date": None}),
    ],
)
def test_a_trigger_that_says_the_same_is_not_anchored_anew(
    api: Api, clock: FakeClock, stored: dict[str, Any], again: dict[str, Any]
) -> None:
    shown = add(api, trigger=stored)
    clock.advance(86_400)
    api.done("PUT", JOB, {"trigger": again})
    assert api.get(JOB) == shown


@pytest.mark.parametrize(
    ("stored", "again"),
    [
        ({"type": "interval", "seconds": 5}, {"type": "interval", "seconds": 6}),
        ({"type": "interval", "seconds": 60}, {"type": "interval", "minutes": 1}),
        ({"type": "cron", "hour": 9}, {"type": "cron", "hour": 9, "timezone": "Europe/Berlin"}),
        ({"type": "cron", "hour": 9}, {"type": "cron", "hour": 9, "minute": 0}),
    ],
)
def test_a_trigger_that_says_something_else_is_stored(api: Api, stored: dict[str, Any], again: dict[str, Any]) -> None:
    add(api, trigger=stored)
    api.done("PUT", JOB, {"trigger": again})
    assert api.get(JOB)["trigger"] == again


@pytest.mark.parametrize("run_date", ["2030-01-01T12:00:03Z", "2030-01-01T12:00:03", "2030-01-01 13:00:03+01:00"])
def test_the_body_of_a_job_whose_date_has_run_is_put_again(api: Api, clock: FakeClock, run_date: str) -> None:
    body = {"func": "tests:echo", "args": [1], "trigger": "date", "run_date": run_date}
    api.done("POST", JOBS, {"id": "job", **body})
    Job.objects.update(next_run_time=None, last_run_at=after(3), run_count=1, last_status="succeeded")
    clock.advance(600)
    api.done("PUT", JOB, {**body, "description": "What it is for."})
    shown = api.get(JOB)
    assert (shown["state"], shown["description"]) == ("completed", "What it is for.")


def test_the_body_of_a_job_whose_end_has_passed_is_put_again(api: Api, clock: FakeClock) -> None:
    body = {"func": "tests:echo", "args": [1], "trigger": "interval", "seconds": 5, "end_date": "2030-01-01T12:00:30"}
    api.done("POST", JOBS, {"id": "job", **body})
    Job.objects.update(next_run_time=None, last_run_at=after(30))
    clock.advance(600)
    api.done("PUT", JOB, {**body, "description": "What it is for."})
    shown = api.get(JOB)
    assert (shown["state"], shown["description"], shown["next_run_time"]) == ("completed", "What it is for.", None)


# --- rewritten by clients ---------------------------------------------------------------------------------------


def rewritten_number(value: int | float) -> int | float:
    """Return a number in JSON's other form of it: 5 as 5.0, 5.0 as 5."""
    if isinstance(value, int):
        return float(value) if abs(value) < 2**53 else value
    return int(value) if value.is_integer() else value


def rewritten_time(text: str, zone: ZoneInfo, draw: Callable[..., Any]) -> str:
    """Return the same instant in another form."""
    at = datetime.fromisoformat(text)
    forms = [at.isoformat("T"), at.isoformat(" ")]
    aware = at if at.tzinfo else at.replace(tzinfo=zone)
    forms += [
        aware.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        aware.astimezone(UTC).isoformat(timespec="milliseconds"),
        aware.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat("T"),
        aware.astimezone(ZoneInfo("America/New_York")).isoformat(" "),
        aware.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f000+00"),  # nanoseconds, and PostgreSQL's offset
        aware.astimezone(UTC).strftime("%Y-%m-%dt%H:%M:%S.%f0z"),  # seven digits, as .NET writes them
    ]
    return draw(st.sampled_from(forms))


def rewritten(shown: dict[str, Any], zone: ZoneInfo, draw: Callable[..., Any]) -> dict[str, Any]:
    """Return the body of a GET as some client might send it back."""
    drop_nulls, numbers = draw(st.booleans()), draw(st.booleans())

    def again(name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: again(key, value[key]) for key in draw(st.permutations(list(value)))}
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int | float):
            return rewritten_number(value) if numbers else value
        if isinstance(value, list):
            return [again("", item) for item in value]
        # A date alone is a whole day: another form would be another end.
        is_time = name in ("run_date", "start_date", "end_date") and len(value) > len("YYYY-MM-DD")
        return rewritten_time(value, zone, draw) if is_time else value

    body = again("", {name: value for name, value in shown.items() if not (drop_nulls and value is None)})
    dropped = draw(st.sets(st.sampled_from(READ_ONLY_FIELDS)))
    return {name: value for name, value in body.items() if name not in dropped}


@settings(max_examples=examples(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_put_of_a_get_rewritten_by_a_client_changes_nothing(
    api: Api, clock: FakeClock, trigger: dict[str, Any], data: st.DataObject
) -> None:
    Job.objects.all().delete()
    clock.set(NOW)
    policies = data.draw(st.fixed_dictionaries({}, optional=POLICIES))
    add(api, trigger=trigger, func="tests:record", args=ARGS, kwargs={"limits": ARGS}, tags=["a", "b"], **policies)
    clock.advance(data.draw(st.sampled_from([0, 1, 90_000, YEARS.total_seconds()])))
    if data.draw(st.booleans()):  # as a scheduler leaves it after its dates
        Job.objects.update(next_run_time=None, last_run_at=clock.now(), last_status="succeeded", run_count=1)
    shown = api.get(JOB)
    zone = ZoneInfo(trigger.get("timezone", "UTC"))
    api.done("PUT", JOB, rewritten(shown, zone, data.draw))
    assert api.get(JOB) == shown


def go_json(value: Any) -> str:
    """Return JSON as Go's encoding/json writes a map: sorted keys, no blanks, and <, > and & escaped."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def test_a_client_in_go_sends_back_what_it_decoded(api: Api, clock: FakeClock, trigger: dict[str, Any]) -> None:
    shown = add(api, trigger=trigger, name="a <b> & c", retries={"max": 2})
    clock.advance(YEARS.total_seconds())
    shown = api.get(JOB)
    # map[string]any: all numbers are float64, which are written without a fraction where they have none.
    api.done("PUT", JOB, json.loads(go_json(shown)))
    # A struct whose optional fields are pointers with `omitempty`: no nulls, and no fields that it does not know.
    known = {name: value for name, value in shown.items() if value is not None and name not in READ_ONLY_FIELDS[3:]}
    assert api.client.put(JOB, go_json(known), content_type="application/json").status_code == 200
    assert api.get(JOB) == shown


GO_BODIES = (
    # time.Time of a Go struct is written as RFC 3339 with nanoseconds as needed.
    '{"id":"job","func":"tests:echo","args":["\\u003cb\\u003e"],"trigger":"date","run_date":"2031-06-01T10:00:00Z"}',
    '{"id":"job","func":"tests:echo","args":[1],"trigger":{"run_date":"2031-06-01T12:00:00.25+02:00","type":"date"}}',
    '{"id":"job","func":"tests:echo","args":[1],"trigger":{"hours":24,"jitter":0.5,"type":"interval"}}',
)


@pytest.mark.parametrize("body", GO_BODIES)
def test_a_body_of_a_client_in_go_is_put_again_after_its_dates(api: Api, clock: FakeClock, body: str) -> None:
    assert api.client.post(JOBS, body, content_type="application/json").status_code == 200
    clock.advance(YEARS.total_seconds())
    shown = api.get(JOB)
    assert api.client.put(JOB, body, content_type="application/json").status_code == 200
    assert api.get(JOB) == shown


SCRIPT = """
let text = ''
process.stdin.on('data', part => { text += part }).on('end', () => {
  const job = JSON.parse(text)
  for (const name of ['run_date', 'start_date', 'end_date']) {
    const value = job.trigger[name]
    if (value && /([+-]\\d\\d:\\d\\d|Z)$/.test(value)) job.trigger[name] = new Date(value)  // to JSON: …T10:00:00.000Z
  }
  const { id, state, next_run_time, ...rest } = job
  process.stdout.write(JSON.stringify({ ...rest, state: undefined, description: 'from fetch()' }))
})
"""
"""The work of a page between `await response.json()` and the body of its next `fetch()`."""


def test_a_client_in_javascript_changes_one_field(api: Api, clock: FakeClock, trigger: dict[str, Any]) -> None:
    if not (node := shutil.which("node")):
        skip_or_fail("no program node")
    shown = add(api, trigger=trigger, retries={"max": 2, "delay": 10.0})
    clock.advance(YEARS.total_seconds())
    shown = api.get(JOB)
    sent = subprocess.run([node, "-e", SCRIPT], input=json.dumps(shown), capture_output=True, text=True, check=True)
    response = api.client.put(JOB, sent.stdout, content_type="application/json; charset=UTF-8")
    assert response.status_code == 200, response.content
    assert api.get(JOB) == {
        **shown, "description": "from fetch()", "version": 2,
        "updated_at": clock.now().replace(tzinfo=None).isoformat() + "Z",
    }  # fmt: skip
