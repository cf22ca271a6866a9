"""Runs as files: CSV and JSON lines, streamed in parts, with the filters of the list."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs.api.representations import RUN_FIELDS
from jobs.api.views import runs as views
from tests.fakes import after, make_job, make_run, make_token

from .api_client import Api

RUNS = "/scheduler/runs"


def export(api: Api, query: str, path: str = RUNS, **headers: str) -> Any:
    """Return the response to a request for an export."""
    response = api.client.get(f"{path}?{query}", headers=headers)
    assert response.status_code == 200, response.getvalue()
    assert response.streaming
    return response


def rows(api: Api, query: str, path: str = RUNS, **headers: str) -> list[dict[str, str]]:
    """Return the rows of an export as CSV."""
    text = export(api, f"format=csv&{query}", path, **headers).getvalue().decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_runs_are_exported_as_csv(api: Api) -> None:
    make_run(make_job(), id=7, status="succeeded", result={"a": [1, None]}, started_at=after(0), finished_at=after(1.5))
    response = export(api, "format=csv")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="runs.csv"'
    (row,) = rows(api, "")
    assert tuple(row) == RUN_FIELDS
    assert (row["id"], row["status"], row["scheduled_time"]) == ("7", "succeeded", "2030-01-01T12:00:00Z")
    assert (row["result"], row["duration"], row["scheduler"], row["progress"]) == ('{"a": [1, null]}', "1.5", "", "")


def test_runs_are_exported_as_json_lines_that_are_those_of_the_list(api: Api) -> None:
    for number in range(3):
        make_run(make_job(f"j{number}"), scheduled_time=after(number))
    response = export(api, "format=jsonl")
    assert response["Content-Type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in response.getvalue().splitlines()]
    assert lines == api.get(RUNS)["results"]
    assert api.get(f"{RUNS}?format=json") == api.get(RUNS)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1"])
def test_no_text_is_a_formula_of_a_spreadsheet(api: Api, text: str) -> None:
    make_run(make_job(), status="failed", error=text, result=text, reason=text)
    (row,) = rows(api, "")
    assert (row["error"], row["result"], row["reason"]) == (f"'{text}",) * 3


def test_numbers_stay_numbers(api: Api) -> None:
    make_run(make_job(), status="succeeded", result=-5)
    assert rows(api, "")[0]["result"] == "-5"


def test_commas_quotes_and_lines_stay_in_their_cell(api: Api) -> None:
    error = 'one, "two"\r\nthree; Ü'
    make_run(make_job(), status="failed", error=error)
    assert rows(api, "")[0]["error"] == error


def test_an_export_has_the_fields_that_are_asked_for_in_their_order(api: Api) -> None:
    make_run(make_job(), id=7)
    assert export(api, "format=csv&fields=status,id").getvalue() == b"status,id\r\nqueued,7\r\n"
    assert export(api, "format=jsonl&fields=id").getvalue() == b'{"id":7}\n'


def test_an_export_of_nothing_has_its_header_alone(api: Api) -> None:
    assert export(api, "format=csv&fields=id").getvalue() == b"id\r\n"
    assert export(api, "format=jsonl").getvalue() == b""


def test_an_export_is_narrowed_as_the_list_is(api: Api) -> None:
    make_job("a")
    make_run("a", id=1, status="failed", scheduled_time=after(1))
    make_run("a", id=2, scheduled_time=after(2))
    make_run("b", id=3, status="failed", scheduled_time=after(3))
    assert [row["id"] for row in rows(api, "status=failed")] == ["3", "1"]
    assert [row["id"] for row in rows(api, "job=a")] == ["2", "1"]
    assert [row["id"] for row in rows(api, "since=2030-01-01T12:00:02Z")] == ["3", "2"]
    assert [row["id"] for row in rows(api, "", "/scheduler/jobs/a/runs")] == ["2", "1"]


def test_an_export_leaves_out_what_a_token_does_not_reach(api: Api, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}
    make_run(make_job("a", tags=["mine"]))
    make_run(make_job("b"))
    assert [row["job_id"] for row in rows(api, "", authorization=make_token(tags=["mine"]))] == ["a"]


def test_an_export_is_read_in_parts(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "PART", 2)
    make_job()
    for number in range(5):
        make_run(id=number + 1, scheduled_time=after(number))
    with CaptureQueriesContext(connection) as queries:
        assert [row["id"] for row in rows(api, "")] == ["5", "4", "3", "2", "1"]
    assert len([query for query in queries if 'FROM "cronzimus_run"' in query["sql"]]) == 3


@pytest.mark.parametrize(
    "query", ["format=xml", "format=csv&limit=5", "format=jsonl&cursor=bzE4OTM0OTkyMDAwMDAwMDBfMQ"]
)
def test_a_wrong_request_for_an_export_is_refused(api: Api, query: str) -> None:
    name = query.replace("format=csv&", "").replace("format=jsonl&", "").partition("=")[0]
    assert api.refused("GET", f"{RUNS}?{query}") == (400, "INVALID_REQUEST", {name})


def test_the_headers_of_an_export_are_all_that_head_asks_for(api: Api) -> None:
    make_run(make_job())
    response = api.client.head(f"{RUNS}?format=csv")
    assert (response.status_code, response["Content-Type"], response.getvalue()) == (
        200,
        "text/csv; charset=utf-8",
        b"",
    )
    assert response["Cache-Control"] == "private, no-cache"
