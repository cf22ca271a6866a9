"""The trace of the request that asked for a run is kept with the run, and only there."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from jobs import services
from jobs.core.runs import RunStatus
from jobs.functions.commands import shell
from jobs.functions.context import RunContext
from jobs.models import Run
from jobs.scheduler.store import admission, claims, outcomes
from tests.fakes import NOW, make_job, make_run, make_user

from .api_client import Api

pytestmark = pytest.mark.django_db

HEADER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_the_trace_of_a_request_is_kept(api: Api) -> None:
    make_job("a")
    done = api.call("POST", "/scheduler/jobs/a/run", traceparent=HEADER).json()
    assert api.get(f"/scheduler/runs/{done['run_id']}")["traceparent"] == HEADER


def test_the_trace_of_a_request_for_one_more_attempt_is_kept(api: Api) -> None:
    run = make_run("a", status=RunStatus.FAILED, finished_at=NOW)
    done = api.call("POST", f"/scheduler/runs/{run.pk}/retry", traceparent=HEADER).json()
    assert Run.objects.get(pk=done["run_id"]).traceparent == HEADER


@pytest.mark.parametrize("header", ["garbage", HEADER.upper(), f"{HEADER}, {HEADER}"])
def test_an_invalid_header_is_ignored(api: Api, header: str) -> None:
    make_job("a")
    response = api.call("POST", "/scheduler/jobs/a/run", traceparent=header)
    assert response.status_code == 200
    assert Run.objects.get().traceparent is None


def test_the_trace_of_a_request_of_the_admin_is_kept() -> None:
    make_job("a")
    client = Client()
    client.force_login(make_user("ada", is_staff=True, is_superuser=True))
    client.post(reverse("admin:cronzimus_job_run", args=["a"]), headers={"traceparent": HEADER})
    assert Run.objects.get().traceparent == HEADER


def test_the_scheduler_gets_it_with_the_run() -> None:
    make_job()
    services.run_job("job", now=NOW, traceparent=HEADER)
    (held,) = admission.admit("s1", {"thread": 5}, NOW)
    assert held.traceparent == HEADER


def test_a_retry_by_itself_belongs_to_the_same_trace() -> None:
    make_job(retries={"max": 1, "delay": 5})
    run = services.run_job("job", now=NOW, traceparent=HEADER)
    Run.objects.filter(pk=run.pk).update(status=RunStatus.FAILED, finished_at=NOW)
    outcomes.queue_retries([run.pk], NOW)
    assert Run.objects.get(attempt=2).traceparent == HEADER


def test_runs_of_a_schedule_have_none() -> None:
    make_job(next_run_time=NOW)
    (held,) = claims.claim_due("s1", {"thread": 5}, NOW).runs
    assert held.traceparent is None
    assert Run.objects.get().traceparent is None


def test_a_shell_command_finds_it_in_its_environment(settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"JOB_SHELL": True}
    context = RunContext(run_id=1, job_id="a", scheduled_time=NOW, attempt=1, traceparent=HEADER)
    shell("echo $TRACEPARENT", context=context)
    shell("echo $TRACEPARENT", env={"TRACEPARENT": "mine"}, context=context)
    assert capsys.readouterr().out == f"{HEADER}\nmine\n"
