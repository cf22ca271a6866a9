"""/metrics: the figures of jobs, runs and schedulers for Prometheus."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from jobs import services
from jobs.core.runs import DISPATCHED, FINISHED
from jobs.models import Channel, Control, Delivery, Incident, Job, Run, RunTotal, Scheduler, SiteTotal
from jobs.scheduler.store.statistics import BEHIND, roll_up
from jobs.selectors import metrics
from tests.fakes import NOW, make_job, make_run, make_worker

pytestmark = pytest.mark.django_db

DOCUMENTED = re.findall(r"`(cronzimus_\w+)", (Path(__file__).parents[2] / "docs/metrics.md").read_text())
BODY: dict[str, Any] = {"id": "a", "func": "tests:record", "trigger": "interval", "hours": 1}


def samples() -> dict[str, float]:
    """Return all samples by name and labels, as a parser of the format reads them."""
    text = metrics.exposition(NOW).decode()
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def ended(seconds: float, status: str = "succeeded") -> Run:
    at = NOW + timedelta(seconds=seconds)
    return Run.objects.create(
        job_id="a", func="f", status=status, trigger="schedule", scheduled_time=at,
        started_at=at + timedelta(seconds=0.2), finished_at=at + timedelta(seconds=2.2),
    )  # fmt: skip


def count_all() -> None:
    for step in range(3):
        roll_up(NOW + step * BEHIND)


def test_runs_are_counted_by_status_and_by_job() -> None:
    services.add_job(BODY, now=NOW)
    for seconds, status in enumerate(("succeeded", "succeeded", "failed", "missed")):
        ended(seconds, status)
    count_all()
    found = samples()
    assert found["cronzimus_runs_total status=succeeded"] == 2
    assert found["cronzimus_job_runs_total job=a status=failed"] == 1
    assert found["cronzimus_job_runs_total job=a status=missed"] == 1


def test_counters_do_not_fall_when_runs_are_pruned() -> None:
    ended(0)
    count_all()
    Run.objects.all().delete()
    assert samples()["cronzimus_runs_total status=succeeded"] == 1


def test_durations_and_start_delays_are_histograms() -> None:
    ended(0)
    count_all()
    found = samples()
    assert found["cronzimus_run_duration_seconds_bucket le=1.0"] == 0
    assert found["cronzimus_run_duration_seconds_bucket le=5.0"] == 1
    assert found["cronzimus_run_duration_seconds_count"] == 1
    assert found["cronzimus_run_duration_seconds_sum"] == pytest.approx(2)
    assert found["cronzimus_run_start_delay_seconds_bucket le=0.5"] == 1


def test_the_last_run_and_the_last_success_of_a_job_are_told() -> None:
    job = services.add_job(BODY, now=NOW)
    Job.objects.filter(pk=job.pk).update(last_status="failed")
    run = ended(0)
    count_all()
    found = samples()
    assert found["cronzimus_job_last_run_succeeded job=a"] == 0
    assert found["cronzimus_job_last_success_timestamp_seconds job=a"] == pytest.approx(run.finished_at.timestamp())


def test_the_last_success_has_all_of_its_digits() -> None:
    services.add_job(BODY, now=NOW)
    Run.objects.filter(pk=ended(0).pk).update(finished_at=NOW + timedelta(seconds=2, microseconds=123456))
    count_all()
    shown = f'cronzimus_job_last_success_timestamp_seconds{{job="a"}} {int(NOW.timestamp()) + 2}.123456\n'
    assert shown in metrics.exposition(NOW).decode()


def test_a_job_whose_runs_never_succeeded_has_no_last_success() -> None:
    services.add_job(BODY, now=NOW)
    ended(0, "failed")
    count_all()
    assert not [name for name in samples() if "last_success" in name]


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "a\\nb", "é{}="])
def test_labels_are_escaped(name: str) -> None:
    Job.objects.create(id=name, func="f", trigger={}, anchor=NOW, last_status="failed")
    RunTotal.objects.create(job_id=name, status="failed", count=3)
    found = samples()
    assert found[f"cronzimus_job_runs_total job={name} status=failed"] == 3
    assert found[f"cronzimus_job_last_run_succeeded job={name}"] == 0


def test_removed_jobs_have_no_series_of_their_own() -> None:
    ended(0)
    count_all()
    assert not [name for name in samples() if "job=a" in name]


def test_schedulers_and_their_heartbeat_are_told() -> None:
    assert samples()["cronzimus_schedulers_alive"] == 0
    Scheduler.objects.create(
        id="s", hostname="h", pid=1, version="1", threads=1, started_at=NOW, heartbeat_at=NOW - timedelta(seconds=3),
        lease_until=NOW + timedelta(seconds=9), running_runs=4,
    )  # fmt: skip
    found = samples()
    assert (found["cronzimus_schedulers_alive"], found["cronzimus_heartbeat_age_seconds"]) == (1, 3)
    assert found["cronzimus_runs_running"] == 4


def test_what_waits_is_told() -> None:
    services.add_job(BODY, now=NOW - timedelta(hours=2))
    found = samples()
    assert (found["cronzimus_jobs_due"], found["cronzimus_jobs_overdue"]) == (1, 1)
    assert found["cronzimus_due_age_seconds"] == 3600


def test_jobs_are_counted_by_whether_they_are_paused() -> None:
    services.add_job(BODY, now=NOW)
    services.add_job(BODY | {"id": "b", "paused": True}, now=NOW)
    found = samples()
    assert (found["cronzimus_jobs paused=false"], found["cronzimus_jobs paused=true"]) == (1, 1)


def test_the_pause_of_everything_is_told() -> None:
    assert samples()["cronzimus_paused"] == 0
    Control.objects.create(paused=True)
    assert samples()["cronzimus_paused"] == 1


def test_alerts_are_told() -> None:
    job = services.add_job(BODY, now=NOW)
    for kind, state in (("failure", "open"), ("not_run", "acknowledged"), ("deadline", "recovered")):
        Incident.objects.create(job=job, kind=kind, state=state, opened_at=NOW, last_at=NOW)
    channel = Channel.objects.create(name="c", kind=Channel.EMAIL, target="a@example.com")
    for state in ("failed", "delivered"):
        Delivery.objects.create(channel=channel, reason="failure", payload={}, state=state, created_at=NOW)
    found = samples()
    kinds = {kind: found[f"cronzimus_incidents_open kind={kind}"] for kind in ("failure", "not_run", "deadline")}
    assert kinds == {"failure": 1, "not_run": 1, "deadline": 0}
    assert found["cronzimus_deliveries_failed"] == 1


def test_runs_that_wait_are_told() -> None:
    Run.objects.create(job_id="a", func="f", status="queued", trigger="manual", scheduled_time=NOW,
                       queued_at=NOW - timedelta(seconds=30))  # fmt: skip
    found = samples()
    assert (found["cronzimus_runs_waiting"], found["cronzimus_queue_age_seconds"]) == (1, 30)


def test_every_documented_series_is_there(settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": "memory://"}
    job = services.add_job(BODY, now=NOW)
    Job.objects.filter(pk=job.pk).update(last_status="succeeded")
    Scheduler.objects.create(id="s", hostname="h", pid=1, version="1", threads=1, started_at=NOW, heartbeat_at=NOW,
                             lease_until=NOW + timedelta(seconds=9))  # fmt: skip
    ended(0)
    count_all()
    text = metrics.exposition(NOW).decode()
    shown = {family.name for family in text_string_to_metric_families(text) if family.samples}
    assert {name.removesuffix("_total") for name in DOCUMENTED} == shown


def test_the_workers_that_are_alive_are_summed_up(settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": "redis://host/0"}
    make_worker("a", queues=["reports", "mail"], slots=4, running_runs=3)
    make_worker("b", slots=2, running_runs=1)
    make_worker("dead", queues=["print"], slots=16, running_runs=16, lease_until=NOW - timedelta(seconds=1))
    make_job(executor="celery", queue="print", next_run_time=NOW)
    for number in range(2):
        make_run(executor="celery", queue="slow", scheduler_id=DISPATCHED, scheduled_time=NOW + timedelta(number))
    make_run(executor="celery", queue="mail", status="running", scheduler_id="a", scheduled_time=NOW - timedelta(1))
    found = samples()
    names = ("workers_alive", "worker_slots", "worker_runs_running", "queues_without_worker", "runs_dispatched")
    assert [found[f"cronzimus_{name}"] for name in names] == [2, 6, 4, 2, 2]


def test_without_a_broker_there_are_no_series_of_workers() -> None:
    make_worker()
    assert not [name for name in samples() if "worker" in name or name == "cronzimus_runs_dispatched"]


def test_an_empty_site_has_its_series() -> None:
    found = samples()
    assert found["cronzimus_runs_total status=succeeded"] == 0
    assert found["cronzimus_run_duration_seconds_count"] == 0


def test_a_scrape_asks_as_much_whatever_there_is(statements: Any) -> None:
    for number in range(5):
        services.add_job(BODY | {"id": f"j{number}"}, now=NOW)
        RunTotal.objects.create(job_id=f"j{number}", status="succeeded", count=number)
        SiteTotal.objects.create(status=sorted(FINISHED)[number], count=number)
    with statements() as asked:
        metrics.exposition(NOW)
    assert len(asked) <= 12


def test_the_address_answers_in_the_text_format(settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "none"}
    response = Client().get("/metrics")
    assert response.status_code == 200
    assert response["content-type"].startswith("text/plain; version=0.0.4")


def test_the_address_is_closed_where_the_api_is(settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}
    response = Client().get("/metrics")
    assert (response.status_code, response.json()["code"]) == (401, "UNAUTHORIZED")
