"""Each request has an id: in its answer, and in the lines of the log about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from cronzimus_site.logs import HEADER
from jobs.core.log_context import AddContext, request_id

pytestmark = pytest.mark.django_db


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The lines of the log, with their context."""
    context = AddContext()
    caplog.handler.addFilter(context)
    yield caplog
    caplog.handler.removeFilter(context)


def answered(path: str = "/api/health", **headers: str) -> Any:
    return Client().get(path, headers=headers)


def test_an_id_that_a_proxy_gives_is_kept() -> None:
    assert answered(x_request_id="7f3a-1/b").headers[HEADER] == "7f3a-1/b"


@pytest.mark.parametrize("given", ["", "a b", "a\r\nSet-Cookie: x", "ü", "x" * 129, '"', "<script>"])
def test_an_id_that_could_harm_is_replaced(given: str) -> None:
    made = answered(x_request_id=given).headers[HEADER]
    assert len(made) == 32
    assert made.isalnum()


def test_each_request_without_an_id_gets_one_of_its_own() -> None:
    assert answered().headers[HEADER] != answered().headers[HEADER]


@pytest.mark.parametrize("path", ["/admin/login/", "/scheduler/nothing", "/nothing", "/api/health/live"])
def test_every_answer_has_the_id(path: str) -> None:
    assert answered(path, x_request_id="r1").headers[HEADER] == "r1"


def test_the_line_about_a_refused_request_has_its_id(lines: pytest.LogCaptureFixture) -> None:
    answered("/nothing", x_request_id="r1")
    assert [line.__dict__["request_id"] for line in lines.records if line.name == "django.request"] == ["r1"]


def test_after_a_request_lines_have_no_id() -> None:
    answered(x_request_id="r1").close()
    assert request_id.get() == ""


def test_the_body_of_an_error_stays_that_of_the_contract(settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "none"}
    assert answered("/scheduler/jobs/nothing").json().keys() == {"error", "code"}
