"""Instants in bodies and addresses: one grammar everywhere, and no instant that breaks a page."""

from __future__ import annotations

from itertools import product
from typing import Any
from urllib.parse import quote

import pytest

from tests.conftest import thinned

from .api_client import Api

PREVIEW, JOBS = "/scheduler/preview", "/scheduler/jobs"
FORMS = (
    "2031-06-01T10:00:00.1234567Z", "2031-06-01T10:00:00.000000000Z", "2031-06-01 10:00:00+00", "2031-06-01t10:00:00z",
    "2031-06-01 10:00", "2031-06-01", "2031-06-01T10:00:00+0530",
)  # fmt: skip
"""Times as JavaScript, Go, Java, PostgreSQL and people write them."""
BAD_FORMS = (
    "2031-W22-7",
    "2031W227",
    "20310601",
    "2031-06-01T10",
    "2031-06-01T10:00:00,5Z",
    "tomorrow",
    "",
    "1938000000",
)
ENDS = (
    "0001-01-01", "0001-01-01T00:00:00", "0001-01-01T00:00:00Z", "9999-12-31T23:00:00", "9999-12-31T23:59:59.999999",
    "9999-12-31T00:00:00",
)  # fmt: skip
ZONES = ("UTC", "America/New_York", "Pacific/Pago_Pago", "Asia/Tokyo", "Pacific/Kiritimati")
TRIGGERS: tuple[dict[str, Any], ...] = (
    {"trigger": "interval", "seconds": 5},
    {"trigger": "interval", "weeks": 1, "start_date": "2031-01-01"},
    {"trigger": "cron", "hour": 9, "jitter": 60},
    {"trigger": "cron", "crontab": "*/5 * * * *"},
)


@pytest.fixture
def job(api: Api) -> str:
    """A job with a fire time every hour."""
    body = {"id": "j", "func": "tests:record", "trigger": "interval", "hours": 1}
    api.done("POST", JOBS, body)
    return "/scheduler/jobs/j"


@pytest.mark.parametrize("text", FORMS)
def test_every_form_of_a_time_is_read_everywhere(api: Api, job: str, text: str) -> None:
    assert api.done("POST", PREVIEW, {"trigger": "date", "run_date": text})["fire_times"]
    assert api.done("POST", PREVIEW, {"trigger": "interval", "hours": 1, "after": text})["fire_times"]
    bounds = {"start_date": text, "end_date": "2032" + text[4:]}
    assert api.done("POST", PREVIEW, {"trigger": "interval", "hours": 1, **bounds})["fire_times"]
    assert api.done("POST", f"{job}/pause", {"until": text})["paused_until"].startswith("2031-06-01T")
    for name in ("since", "until"):
        assert api.get(f"/scheduler/runs?{name}={quote(text)}")["results"] == []


@pytest.mark.parametrize("text", BAD_FORMS)
def test_other_forms_are_refused_everywhere(api: Api, job: str, text: str) -> None:
    trigger = {"trigger": "interval", "hours": 1}
    for name in ("start_date", "end_date"):
        assert api.refused("POST", PREVIEW, {**trigger, name: text}) == (400, "INVALID_TRIGGER", {name})
    assert api.refused("POST", PREVIEW, {"trigger": "date", "run_date": text}) == (400, "INVALID_TRIGGER", {"run_date"})
    assert api.refused("POST", PREVIEW, {**trigger, "after": text}) == (400, "INVALID_REQUEST", {"after"})
    assert api.refused("POST", f"{job}/pause", {"until": text}) == (400, "INVALID_REQUEST", {"until"})
    for name in ("since", "until"):
        answer = api.refused("GET", f"/scheduler/runs?{name}={quote(text)}")
        assert answer == (400, "INVALID_REQUEST", {name})


@pytest.mark.parametrize(("zone", "text"), list(product(ZONES, ENDS)))
def test_a_preview_from_the_ends_of_the_calendar_is_refused(api: Api, zone: str, text: str) -> None:
    for trigger in TRIGGERS:
        body = {**trigger, "timezone": zone, "after": text}
        assert api.refused("POST", PREVIEW, body) == (400, "INVALID_REQUEST", {"after"})


@pytest.mark.parametrize(
    ("zone", "text"),
    thinned(product(ZONES, [*ENDS, "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00"]), every=3),
)
def test_no_instant_breaks_a_request_or_what_shows_it(api: Api, job: str, zone: str, text: str) -> None:
    def answered(method: str, path: str, body: Any = None) -> int:
        status: int = api.call(method, path, body).status_code
        assert status in (200, 400), (method, path, body)
        return status

    bodies: list[dict[str, Any]] = [{"trigger": "date", "run_date": text}]
    bodies += [{**trigger, name: text} for trigger in TRIGGERS for name in ("start_date", "end_date")]
    for number, body in enumerate(bodies):
        answered("POST", PREVIEW, {**body, "timezone": zone, "count": 100})
        answered("POST", JOBS, {"id": f"j{number}", "func": "tests:record", **body, "timezone": zone})
        for path in ("", "/pause", "/resume", "/skip"):
            assert api.call("POST" if path else "GET", f"/scheduler/jobs/j{number}{path}").status_code < 500
    answered("POST", PREVIEW, {"trigger": "interval", "seconds": 5, "timezone": zone, "after": text})
    answered("POST", f"{job}/pause", {"until": text})
    answered("GET", job)
    answered("POST", f"{job}/resume")
    answered("GET", f"/scheduler/runs?since={quote(text)}&until={quote(text)}")
    assert answered("GET", JOBS) == 200


def test_a_date_alone_ends_a_period_with_its_day(api: Api, job: str) -> None:
    run_id = api.done("POST", f"{job}/run")["run_id"]  # on 1 January 2030
    assert [run["id"] for run in api.get("/scheduler/runs?until=2030-01-01")["results"]] == [run_id]
    assert api.get("/scheduler/runs?until=2030-01-01T00:00:00")["results"] == []
    assert [run["id"] for run in api.get("/scheduler/runs?since=2030-01-01")["results"]] == [run_id]


def test_a_pause_until_a_date_ends_with_its_first_instant(api: Api, job: str) -> None:
    assert api.done("POST", f"{job}/pause", {"until": "2030-03-01"})["paused_until"] == "2030-03-01T00:00:00Z"


def test_a_local_time_in_an_address_says_how_to_write_an_offset(api: Api, db: None) -> None:
    answer = api.call("GET", "/scheduler/runs?since=2030-01-01T12:00:00+01:00").json()
    assert "%2B" in answer["error"]
