"""The description of the API in OpenAPI: it has every address, it is right, and it is a page for people."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator

from jobs.api.representations import JOB_FIELDS, RUN_FIELDS
from jobs.api.schema.components import POLICIES, SCHEMAS
from jobs.api.schema.generator import ERRORS, description
from jobs.api.schema.operations import OPERATIONS
from jobs.core.triggers import TRIGGER_FIELDS
from jobs.definitions import policies, validation
from tests.fakes import after, make_job, make_run, make_scheduler, make_token

from .api_client import Api
from .test_api_access import ROUTES

pytestmark = pytest.mark.any_database

DESCRIBED = description(server="/", is_open=False)
OPERATION_LIST = [(path, method) for path, methods in DESCRIBED["paths"].items() for method in methods]
REFERENCE = re.compile(r"#/components/(\w+)/(\w+)")
JOB = "/scheduler/jobs/job"


def errors_of(value: Any, schema: dict[str, Any]) -> list[str]:
    """Return the errors in a value by a schema of the description."""
    whole = {**schema, "components": DESCRIBED["components"]}
    return [error.message for error in Draft202012Validator(whole).iter_errors(value)]


def assert_fits(value: Any, name: str) -> None:
    """Check a value by the schema `name`."""
    assert errors_of(value, {"$ref": f"#/components/schemas/{name}"}) == []


def examples(part: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield each example in a part of the description, after its schema."""
    if isinstance(part, dict):
        if "schema" in part:
            yield from ((part["schema"], example["value"]) for example in part.get("examples", {}).values())
        for value in part.values():
            yield from examples(value)


def test_it_is_openapi_3_1() -> None:
    assert DESCRIBED["openapi"].startswith("3.1")
    validate_schema(DESCRIBED)


def test_it_has_every_address_and_method() -> None:
    described = {(path.replace("job_id", "id"), method.upper()) for path, method in OPERATION_LIST}
    called_bulk = {("/scheduler/jobs/bulk", method) for method in ("GET", "PUT", "PATCH", "DELETE")}
    assert described == {(path, method) for method, path, _, _ in ROUTES} | called_bulk


def test_no_operation_is_described_that_is_not_there() -> None:
    assert len(OPERATION_LIST) == len(OPERATIONS) + 4  # of a job that is called "bulk"
    names = [methods["operationId"] for path in DESCRIBED["paths"].values() for methods in path.values()]
    assert len(set(names)) == len(names)


def test_every_reference_leads_somewhere() -> None:
    found = REFERENCE.findall(json.dumps(DESCRIBED))
    assert found
    assert all(name in DESCRIBED["components"][kind] for kind, name in found)


def test_every_example_is_as_its_schema_says() -> None:
    found = list(examples(DESCRIBED))
    assert len(found) > 100
    assert [(value, errors_of(value, schema)) for schema, value in found if errors_of(value, schema)] == []


def test_every_answer_in_json_has_an_example() -> None:
    without = [
        (method, path)
        for path, method in OPERATION_LIST
        for media, content in DESCRIBED["paths"][path][method]["responses"]["200"]["content"].items()
        if media == "application/json" and not content.get("examples")
    ]
    assert without == []


@pytest.mark.parametrize(("path", "method"), OPERATION_LIST)
def test_what_can_be_asked_for_conditionally_says_so(path: str, method: str) -> None:
    operation = DESCRIBED["paths"][path][method]
    if method == "get" and not path.startswith(("/api/health", "/metrics")):
        assert {"304", "412"} <= set(operation["responses"])
        assert "ETag" in operation["responses"]["200"]["headers"]
        assert {"If-Match", "If-None-Match"} <= {parameter["name"] for parameter in operation["parameters"]}
    else:
        assert "304" not in operation["responses"]


@pytest.mark.parametrize(("method", "path", "permission", "body"), ROUTES)
def test_every_operation_says_who_may_and_what_it_refuses(method: str, path: str, permission: str, body: Any) -> None:
    operation = DESCRIBED["paths"][path.replace("{id}", "{job_id}")][method.lower()]
    assert operation["security"] == ([{"token": []}, {"session": []}] if permission else [])
    assert (f"cronzimus.{permission}" in operation["description"]) == bool(permission)
    expected = {"200", "500", "503", *(("401", "403", "404", "429") if permission else ())}
    expected |= {"413", "415"} if "requestBody" in operation else set()
    assert expected <= set(operation["responses"])
    assert operation["summary"]


def test_every_code_of_an_error_is_described() -> None:
    text = json.dumps(DESCRIBED)
    unused = {"ERROR", "METHOD_NOT_ALLOWED"}  # the base of all, and a method that is not described
    assert {code for code in ERRORS if f'"{code}"' not in text} == unused


def test_the_fields_are_those_of_the_code() -> None:
    assert set(SCHEMAS["Job"]["properties"]) == set(JOB_FIELDS)
    assert set(SCHEMAS["Run"]["properties"]) == {*RUN_FIELDS, "traceback", "traceparent"}
    assert set(SCHEMAS["NewJob"]["properties"]) == set(validation.WRITABLE_FIELDS)
    assert set(SCHEMAS["JobPut"]["properties"]) == {*validation.WRITABLE_FIELDS, *validation.READ_ONLY_FIELDS}
    assert set(POLICIES) == set(policies.POLICIES)
    kinds = {
        kind["properties"]["type"]["const"]: set(kind["properties"]) - {"type"} for kind in SCHEMAS["Trigger"]["oneOf"]
    }
    assert kinds == {kind: set(fields) for kind, fields in TRIGGER_FIELDS.items()}


@pytest.mark.parametrize("name", policies.POLICIES)
def test_the_bounds_of_a_policy_are_those_of_its_check(name: str) -> None:
    values = [None, True, -1001, -1, 0, 1, 100, 1001, 10**7, 10**10, "", "x", "thread", "skip", "a b", {}, {"max": 1}]
    schema = Draft202012Validator(POLICIES[name])
    checked = [not policies.policy_problems({name: value}) for value in values]
    assert [schema.is_valid(value) for value in values] == checked


def test_what_the_api_shows_is_as_described(api: Api) -> None:
    make_job(tags=["x"], run_count=1, last_status="failed", last_run_at=after(0), anchor=after(-7200))
    make_job("cron", trigger={"type": "cron", "crontab": "*/90 0 31 * *"}, paused=True)
    make_job("once", trigger={"type": "date", "run_date": "2031-01-01"}, func="nobody:knows")
    run = make_run(status="failed", started_at=after(0), result={"a": 1}, progress_done=1)
    make_scheduler()
    for job_id in ("job", "cron", "once"):
        assert_fits(api.get(f"/scheduler/jobs/{job_id}"), "Job")
    for job in api.get("/scheduler/jobs"):
        assert_fits(job, "ListedJob")
    assert_fits(api.get(f"/scheduler/runs/{run.pk}"), "Run")
    assert_fits(api.get("/scheduler/runs?limit=1"), "RunPage")
    assert_fits(api.get("/scheduler"), "Schedulers")
    for function in api.get("/scheduler/functions"):
        assert_fits(function, "Function")
    assert_fits(api.call("GET", "/scheduler/jobs/nobody").json(), "Error")
    assert_fits(api.done("POST", "/scheduler/jobs/bulk", {"action": "run", "ids": ["job", "no"]}), "BulkAnswer")
    started = api.done("POST", f"{JOB}/backfill", {"from": "2030-01-01T11:00", "to": "2030-01-01T11:01"})
    assert_fits(api.get(f"/scheduler/backfills/{started['backfill_id']}"), "Backfill")


# --- the addresses ----------------------------------------------------------------------------------------------------


def test_it_is_served_as_json(api: Api) -> None:
    shown = api.get("/api/schema")
    assert (shown["openapi"], shown["servers"]) == ("3.1.0", [{"url": "/"}])


@pytest.mark.parametrize(("auth", "security"), [("none", []), ("token", [{"token": []}, {"session": []}])])
def test_it_says_whether_credentials_are_needed(api: Api, settings: Any, auth: str, security: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": auth}
    shown = api.get("/api/schema", authorization=make_token())
    assert shown["paths"]["/scheduler/jobs"]["get"]["security"] == security
    assert shown["paths"]["/api/health"]["get"]["security"] == []


def test_it_names_the_prefix_of_the_site(api: Api) -> None:
    response = api.client.get("/api/schema", SCRIPT_NAME="/cronzimus")
    assert response.json()["servers"] == [{"url": "/cronzimus"}]


def test_the_page_shows_every_operation_and_needs_no_script(api: Api) -> None:
    response = api.call("GET", "/api/docs")
    page = response.content.decode()
    assert response["Content-Type"] == "text/html; charset=utf-8"
    for operation in OPERATIONS.values():
        assert f'id="{operation.name}"' in page
    assert "<script" not in page
    assert "style=" not in page
    assert "<style" not in page
    assert "default-src 'self'" in response["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/api/schema", "/api/docs"])
def test_without_drf_spectacular_there_is_no_description(api: Api, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setitem(sys.modules, "jobs.api.schema.generator", None)
    assert api.refused("GET", path) == (404, "NOT_FOUND", set())
    assert "drf-spectacular is not installed" in api.call("GET", path).json()["error"]


def test_nothing_else_loads_drf_spectacular() -> None:
    code = (
        "import os, sys, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'; django.setup(); "
        "import jobs.urls; sys.exit('drf_spectacular' in sys.modules)"
    )
    import subprocess

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
