"""Backfills: runs for fire times of the past, a few at a time, each as if it had run then."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from jobs import services
from jobs.core.exceptions import BackfillNotFound, InvalidArguments, InvalidRequest
from jobs.models import Backfill, Job, Run
from jobs.scheduler.store.backfills import advance
from tests.fakes import NOW, by

pytestmark = pytest.mark.django_db

HOURLY: dict[str, Any] = {"id": "a", "func": "tests:record", "trigger": "interval", "hours": 1,
                          "start_date": "2020-01-01T00:00:00Z"}  # fmt: skip
START = NOW.replace(minute=0, second=0, microsecond=0) - timedelta(hours=5)


def hour(number: int) -> datetime:
    return START + timedelta(hours=number)


@pytest.fixture
def job() -> Job:
    return services.add_job(HOURLY, now=NOW - timedelta(days=1))


def start(**changes: Any) -> Backfill:
    given = {"start": hour(0), "end": hour(3), "only_missing": True, "max_active": 10, "now": NOW, **changes}
    return services.start_backfill("a", **given)


def make_run(number: int, status: str, attempt: int = 1) -> Run:
    return Run.objects.create(
        job_id="a", func="tests:record", status=status, trigger="schedule", scheduled_time=hour(number),
        attempt=attempt, finished_at=None if status in ("queued", "running") else NOW,
    )  # fmt: skip


def queued() -> list[tuple[int, int]]:
    """Return the hour and the attempt of each run that waits, in their order."""
    runs = Run.objects.filter(trigger="backfill", status="queued").order_by("scheduled_time")
    return [((run.scheduled_time - START) // timedelta(hours=1), run.attempt) for run in runs]


def finish_all() -> None:
    Run.objects.filter(status="queued").update(status="succeeded", finished_at=NOW)


def test_every_fire_time_of_the_range_gets_a_run_with_its_own_scheduled_time(job: Job) -> None:
    start()
    advance(NOW)
    assert queued() == [(0, 1), (1, 1), (2, 1), (3, 1)]


def test_it_is_done_once_all_its_runs_have_ended(job: Job) -> None:
    backfill = start()
    advance(NOW)
    advance(NOW)
    backfill.refresh_from_db()
    assert (backfill.state, backfill.queued) == ("running", 4)
    finish_all()
    advance(NOW)
    backfill.refresh_from_db()
    assert (backfill.state, backfill.ended_at) == ("done", NOW)


def test_only_so_many_runs_are_active_at_a_time(job: Job) -> None:
    start(max_active=2)
    advance(NOW)
    advance(NOW)
    assert queued() == [(0, 1), (1, 1)]
    Run.objects.filter(scheduled_time=hour(0)).update(status="failed", finished_at=NOW)
    advance(NOW)
    assert queued() == [(1, 1), (2, 1)]


@pytest.mark.parametrize(
    ("status", "runs"),
    [("succeeded", [(0, 1)]), ("running", [(0, 1)]), ("failed", [(0, 1), (1, 2)]), ("missed", [(0, 1), (1, 2)]),
     ("skipped", [(0, 1), (1, 2)]), ("lost", [(0, 1), (1, 2)])],
)  # fmt: skip
def test_a_fire_time_that_succeeded_or_is_active_is_left_out(
    job: Job, status: str, runs: list[tuple[int, int]]
) -> None:
    make_run(1, status)
    start(end=hour(1))
    advance(NOW)
    assert queued() == runs


def test_all_repeats_what_succeeded_as_a_further_attempt(job: Job) -> None:
    make_run(1, "succeeded")
    make_run(1, "failed", attempt=2)
    start(end=hour(1), only_missing=False)
    advance(NOW)
    assert queued() == [(0, 1), (1, 3)]


def test_the_bounds_of_the_range_belong_to_it(job: Job) -> None:
    start(start=hour(1), end=hour(1))
    advance(NOW)
    assert queued() == [(1, 1)]


def test_a_long_range_goes_on_step_by_step(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.scheduler.store.backfills.CHUNK", 2)
    start()
    assert advance(NOW) is True
    while advance(NOW):
        pass
    assert [number for number, _ in queued()] == [0, 1, 2, 3]


def test_a_cancelled_backfill_queues_no_more_and_cancels_what_waits(job: Job) -> None:
    backfill = start(max_active=2)
    advance(NOW)
    with by("somebody"):
        services.cancel_backfill(backfill.pk, now=NOW)
    advance(NOW)
    assert queued() == []
    assert set(Run.objects.values_list("status", "reason")) == {("cancelled", "its backfill was cancelled by somebody")}
    with pytest.raises(InvalidRequest, match="has ended already: cancelled"):
        services.cancel_backfill(backfill.pk, now=NOW)


def test_a_backfill_whose_job_was_removed_ends(job: Job) -> None:
    backfill = start(max_active=1)
    services.remove_job("a", now=NOW)
    advance(NOW)
    backfill.refresh_from_db()
    assert backfill.state == "cancelled"


def test_the_jobs_own_next_fire_time_is_left_to_the_schedule(job: Job) -> None:
    Job.objects.update(next_run_time=hour(2))
    start()
    advance(NOW)
    assert [number for number, _ in queued()] == [0, 1, 3]


def test_a_plan_says_what_would_run_and_writes_nothing(job: Job) -> None:
    make_run(1, "succeeded")
    plan = services.plan_backfill("a", start=hour(0), end=hour(3), only_missing=True, now=NOW)
    assert (plan.fire_times, plan.left_out) == ([hour(0), hour(2), hour(3)], 1)
    assert not Backfill.objects.exists()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"end": NOW + timedelta(seconds=1)}, "to"),
        ({"start": hour(4)}, "from"),
        ({"start": hour(0) + timedelta(minutes=1), "end": hour(0) + timedelta(minutes=2)}, "from"),
        ({"start": datetime.fromisoformat("2020-01-01T00:00:00Z")}, "to"),
        ({"max_active": 0}, "max_active"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused_by_its_field(job: Job, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        start(**changes)
    assert list(caught.value.fields) == [field]
    assert not Backfill.objects.exists()


def test_a_job_that_cannot_run_is_refused(job: Job) -> None:
    Job.objects.update(func="tests:needs_one", args=[1, 2, 3, 4])
    with pytest.raises((InvalidArguments, InvalidRequest)):
        start()


def test_an_unknown_backfill_cannot_be_cancelled() -> None:
    with pytest.raises(BackfillNotFound):
        services.cancel_backfill(99, now=NOW)


class TestApi:
    """Backfills over the API."""

    @pytest.fixture(autouse=True)
    def opened(self, settings: Any, job: Job) -> None:
        settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "none"}

    def post(self, path: str, body: Any = None) -> Any:
        return Client().post(f"/scheduler/{path}", body, content_type="application/json")

    def body(self, **changes: Any) -> dict[str, Any]:
        return {"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T03:00:00Z", **changes}

    def test_a_backfill_is_started_shown_and_cancelled(self) -> None:
        made = self.post("jobs/a/backfill", self.body()).json()
        assert made | {"backfill_id": 0} == {"id": "a", "status": "started", "backfill_id": 0, "runs": 4}
        advance(NOW)
        shown = Client().get(f"/scheduler/backfills/{made['backfill_id']}").json()
        assert (shown["state"], shown["queued"], shown["statuses"]) == ("running", 1, {"queued": 1})
        assert [one["id"] for one in Client().get("/scheduler/jobs/a/backfill").json()] == [made["backfill_id"]]
        assert self.post(f"backfills/{made['backfill_id']}/cancel").json()["status"] == "cancelled"

    def test_the_list_of_backfills_costs_as_many_queries_for_many_as_for_one(
        self, django_assert_num_queries: Any
    ) -> None:
        for _ in range(3):
            made = self.post("jobs/a/backfill", self.body()).json()["backfill_id"]
            advance(NOW)
        with django_assert_num_queries(3):
            listed = Client().get("/scheduler/jobs/a/backfill").json()
        assert [one["id"] for one in listed] == [made, made - 1, made - 2]
        assert listed[-1]["statuses"] == {"queued": 1}

    def test_a_dry_run_says_what_would_run(self) -> None:
        answer = self.post("jobs/a/backfill", self.body(dry_run=True)).json()
        assert (answer["runs"], answer["fire_times"][0]) == (4, "2026-01-01T00:00:00Z")
        assert not Backfill.objects.exists()

    def test_a_bare_date_as_the_end_is_that_whole_day(self) -> None:
        body = {"from": "2026-01-01", "to": "2026-01-01", "dry_run": True}
        assert self.post("jobs/a/backfill", body).json()["runs"] == 24

    @pytest.mark.parametrize(
        ("changes", "field"),
        [({"from": None}, "from"), ({"to": "soon"}, "to"), ({"only": "some"}, "only"),
         ({"max_active": 0}, "max_active"),
         ({"max_active": True}, "max_active"), ({"dry_run": "yes"}, "dry_run"), ({"too": 1}, "too")],
    )  # fmt: skip
    def test_a_wrong_body_is_refused_by_its_field(self, changes: dict[str, Any], field: str) -> None:
        response = self.post("jobs/a/backfill", self.body(**changes))
        assert (response.status_code, list(response.json()["fields"])) == (400, [field])

    @pytest.mark.parametrize("number", ["0", "x", "9" * 30, "-1"])
    def test_an_unknown_backfill_is_404(self, number: str) -> None:
        response = Client().get(f"/scheduler/backfills/{number}")
        assert (response.status_code, response.json()["code"]) == (404, "BACKFILL_NOT_FOUND")

    def test_an_unknown_job_is_404(self) -> None:
        assert self.post("jobs/gone/backfill", self.body()).json()["code"] == "JOB_NOT_FOUND"
