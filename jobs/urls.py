"""The API's addresses. None ends in a slash; docs/api.md describes them."""

from __future__ import annotations

from django.urls import path, re_path, register_converter
from django.urls.converters import StringConverter

from .api.views.audit import AuditView
from .api.views.backfills import BackfillCancelView, BackfillView, JobBackfillView
from .api.views.base import NotFoundView
from .api.views.health import HealthView, LiveView, MetricsView, ReadyView
from .api.views.jobs import JobFallbackView, JobViewSet
from .api.views.preview import FunctionsView, PreviewView
from .api.views.runs import RunFallbackView, RunViewSet
from .api.views.scheduler import PauseView, ResumeView, SchedulersView
from .api.views.schema import DocsView, SchemaView
from .api.views.versions import RevertView, VersionsView, VersionView


class AnyTextConverter(StringConverter):
    """Any text, slashes and line breaks included: an id that a client did not check."""

    regex = r"[\s\S]+"


register_converter(AnyTextConverter, "cronzimus_any")

jobs = JobViewSet.as_view
"""Makes a view of some actions on jobs."""
runs = RunViewSet.as_view
"""Makes a view of some actions on runs."""

ONE_JOB = {"get": "retrieve", "put": "update", "patch": "update", "delete": "destroy"}
"""The methods at the address of a job."""

app_name = "cronzimus"

urlpatterns = [
    path("scheduler", SchedulersView.as_view(), name="scheduler"),
    path("scheduler/pause", PauseView.as_view(), name="pause"),
    path("scheduler/resume", ResumeView.as_view(), name="resume"),
    path("scheduler/jobs", jobs({"get": "list", "post": "create"}), name="jobs"),
    # A job may have the id "bulk": all methods but POST act on it.
    path("scheduler/jobs/bulk", jobs({"post": "bulk", **ONE_JOB}), {"job_id": "bulk"}, name="jobs-bulk"),
    path("scheduler/jobs/<str:job_id>", jobs(ONE_JOB), name="job"),
    path("scheduler/jobs/<str:job_id>/pause", jobs({"post": "pause"}), name="job-pause"),
    path("scheduler/jobs/<str:job_id>/resume", jobs({"post": "resume"}), name="job-resume"),
    path("scheduler/jobs/<str:job_id>/skip", jobs({"post": "skip"}), name="job-skip"),
    path("scheduler/jobs/<str:job_id>/run", jobs({"post": "run"}), name="job-run"),
    path("scheduler/jobs/<str:job_id>/runs", runs({"get": "of_job"}), name="job-runs"),
    path("scheduler/jobs/<str:job_id>/versions", VersionsView.as_view(), name="job-versions"),
    path("scheduler/jobs/<str:job_id>/versions/<str:number>", VersionView.as_view(), name="job-version"),
    path("scheduler/jobs/<str:job_id>/versions/<str:number>/revert", RevertView.as_view(), name="job-revert"),
    path("scheduler/jobs/<str:job_id>/backfill", JobBackfillView.as_view(), name="job-backfill"),
    path("scheduler/backfills/<str:backfill_id>", BackfillView.as_view(), name="backfill"),
    path("scheduler/backfills/<str:backfill_id>/cancel", BackfillCancelView.as_view(), name="backfill-cancel"),
    path("scheduler/jobs/<cronzimus_any:job_id>", JobFallbackView.as_view()),
    path("scheduler/runs", runs({"get": "list"}), name="runs"),
    path("scheduler/runs/<str:run_id>", runs({"get": "retrieve"}), name="run"),
    path("scheduler/runs/<str:run_id>/log", runs({"get": "log"}), name="run-log"),
    path("scheduler/runs/<str:run_id>/cancel", runs({"post": "cancel"}), name="run-cancel"),
    path("scheduler/runs/<str:run_id>/retry", runs({"post": "retry"}), name="run-retry"),
    path("scheduler/runs/<cronzimus_any:run_id>", RunFallbackView.as_view()),
    path("scheduler/audit", AuditView.as_view(), name="audit"),
    path("scheduler/preview", PreviewView.as_view(), name="preview"),
    path("scheduler/functions", FunctionsView.as_view(), name="functions"),
    re_path(r"^scheduler/", NotFoundView.as_view()),
    path("metrics", MetricsView.as_view(), name="metrics"),
    path("api/schema", SchemaView.as_view(), name="schema"),
    path("api/docs", DocsView.as_view(), name="docs"),
    path("api/health", HealthView.as_view(), name="health"),
    path("api/health/live", LiveView.as_view(), name="live"),
    path("api/health/ready", ReadyView.as_view(), name="ready"),
]
