"""The API does not depend on the project's settings of Django and REST framework."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import DEFAULT_DB_ALIAS, connection
from django.test import override_settings
from django.urls import path
from rest_framework.views import APIView

from jobs import services, urls
from jobs.api.views.base import ApiView
from tests.fakes import make_job

from .api_client import Api

pytestmark = pytest.mark.any_database

POLICIES = [
    "authentication_classes", "permission_classes", "parser_classes", "renderer_classes", "throttle_classes",
    "content_negotiation_class", "metadata_class", "versioning_class",
]  # fmt: skip
"""The policies that REST framework takes from the settings unless a view names them."""
OTHERS = {
    "EXCEPTION_HANDLER": "rest_framework.views.exception_handler",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "UNAUTHENTICATED_TOKEN": "builtins.object",
    "FORMAT_SUFFIX_KWARG": "job_id",
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.LimitOffsetPagination",
    "PAGE_SIZE": 1,
}
"""Settings that REST framework reads at each request."""
VIEWS = [pattern.callback for pattern in urls.urlpatterns]


def test_no_settings_of_rest_framework_are_needed() -> None:
    assert not hasattr(django_settings, "REST_FRAMEWORK")


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.cls.__name__)
def test_a_view_names_each_of_its_policies(view: Any) -> None:
    own = view.cls.__mro__[: view.cls.__mro__.index(APIView)]
    for name in POLICIES:
        assert any(name in vars(cls) for cls in own), name


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.cls.__name__)
def test_no_view_is_within_a_transaction_of_the_project(view: Any) -> None:
    assert view._non_atomic_requests == {DEFAULT_DB_ALIAS}


@override_settings(REST_FRAMEWORK=OTHERS)
def test_settings_of_the_project_change_no_answer(api: Api) -> None:
    make_job("a")
    make_job("b")
    assert [job["id"] for job in api.get("/scheduler/jobs")] == ["a", "b"]
    assert api.refused("GET", "/scheduler/jobs/nope") == (404, "JOB_NOT_FOUND", set())
    assert api.refused("POST", "/scheduler/jobs", {"id": "a b"})[1] == "INVALID_REQUEST"
    assert api.done("POST", "/scheduler/jobs/a/run")["status"] == "queued"


@override_settings(REST_FRAMEWORK=OTHERS)
def test_settings_of_the_project_let_nobody_in(api: Api, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}
    for headers in ({}, {"authorization": "Token x"}):
        assert api.call("GET", "/scheduler/jobs", **headers).status_code == 401


@pytest.mark.django_db(transaction=True)
def test_atomic_requests_open_no_transaction(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    inside: list[bool] = []

    def pause(job_id: str, **how: Any) -> None:
        inside.append(connection.in_atomic_block)

    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    monkeypatch.setattr(services, "pause_job", pause)
    make_job()
    api.done("POST", "/scheduler/jobs/job/pause")
    assert inside == [False]


def fail(request: Any) -> None:
    """Raise, as a view of somebody else's may."""
    raise PermissionError


urlpatterns = [path("api/own", fail), path("scheduler-of-theirs", fail), *urls.urlpatterns]
"""The addresses of a project that has an API of its own."""


@pytest.mark.parametrize("address", ["/api/own", "/api/nope", "/api", "/scheduler-of-theirs", "/schedulers"])
def test_errors_of_the_project_are_left_alone(api: Api, settings: Any, address: str) -> None:
    settings.ROOT_URLCONF = __name__
    response = api.client.get(address)
    assert response.status_code in (404, 500)
    assert response["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("address", ["/scheduler/", "/scheduler/nope", "/scheduler/jobs/"])
def test_unknown_addresses_below_ours_are_json_in_a_project_too(api: Api, settings: Any, address: str) -> None:
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "ErrorEnvelope" not in name]
    assert api.refused("GET", address)[:2] == (404, "NOT_FOUND")


def test_the_views_are_of_one_kind() -> None:
    assert all(issubclass(view.cls, ApiView) for view in VIEWS)
