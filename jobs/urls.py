"""The API's addresses. None ends in a slash; docs/api.md describes them."""

from __future__ import annotations

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from .api.views.functions import FunctionsView
from .api.views.health import HealthView, ReadyView
from .api.views.jobs import JobViewSet, OddJobView
from .api.views.preview import PreviewView
from .api.views.runs import OddRunView, RunViewSet
from .api.views.scheduler import PauseView, ResumeView, SchedulersView


class AnythingConverter(StringConverter):
    """Whatever follows, slashes and line breaks included: what may be an id that a client did not look at closely."""

    regex = r"[\s\S]+"


register_converter(AnythingConverter, "anything")

jobs = JobViewSet.as_view
"""Makes a view of what may be done with jobs."""
runs = RunViewSet.as_view
"""Makes a view of what may be done with runs."""

urlpatterns = [
    path("scheduler", SchedulersView.as_view()),
    path("scheduler/pause", PauseView.as_view()),
    path("scheduler/resume", ResumeView.as_view()),
    path("scheduler/jobs", jobs({"get": "list", "post": "create"})),
    path(
        "scheduler/jobs/<str:job_id>",
        jobs({"get": "retrieve", "put": "update", "patch": "update", "delete": "destroy"}),
    ),
    path("scheduler/jobs/<str:job_id>/pause", jobs({"post": "pause"})),
    path("scheduler/jobs/<str:job_id>/resume", jobs({"post": "resume"})),
    path("scheduler/jobs/<str:job_id>/skip", jobs({"post": "skip"})),
    path("scheduler/jobs/<str:job_id>/run", jobs({"post": "run"})),
    path("scheduler/jobs/<str:job_id>/runs", runs({"get": "of_job"})),
    path("scheduler/jobs/<anything:job_id>", OddJobView.as_view()),
    path("scheduler/runs", runs({"get": "list"})),
    path("scheduler/runs/<str:run_id>", runs({"get": "retrieve"})),
    path("scheduler/runs/<str:run_id>/log", runs({"get": "log"})),
    path("scheduler/runs/<str:run_id>/cancel", runs({"post": "cancel"})),
    path("scheduler/runs/<str:run_id>/retry", runs({"post": "retry"})),
    path("scheduler/runs/<anything:run_id>", OddRunView.as_view()),
    path("scheduler/preview", PreviewView.as_view()),
    path("scheduler/functions", FunctionsView.as_view()),
    path("api/health", HealthView.as_view()),
    path("api/health/ready", ReadyView.as_view()),
]
