"""A schedule that ends, by `end_date` or by `max_runs`: previews, scheduler and states agree on where."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from jobs.models import Job, Run
from tests.fakes import FakeClock

from .admin_support import INTERVAL, JOBS, Admin, admin_fixture, at_noon_fixture, inputs, text
from .api_client import Api
from .loop_support import MakeLoop, settle

__all__ = ["admin_fixture", "at_noon_fixture"]

END = datetime(2030, 1, 3, 23, 40, tzinfo=UTC)
LATE = {"trigger": "cron", "hour": "23", "minute": "30", "jitter": 3600, "end_date": "2030-01-03T23:40:00Z"}
"""Its jitter would carry the last fire time of the job `c` past the end."""


def run_to_the_end(make_loop: MakeLoop, clock: FakeClock) -> list[datetime]:
    """Run the one job until it has no fire time left; return the scheduled times of its runs."""
    loop = make_loop()
    for _ in range(10):
        job = Job.objects.get()
        if job.next_run_time is None:
            break
        clock.set(max(job.next_run_time, clock.now()))
        settle(loop)
    return list(Run.objects.order_by("scheduled_time").values_list("scheduled_time", flat=True))


def previewed(api: Api) -> list[datetime]:
    """Return the fire times of the job `c` in the API's preview."""
    shown = api.done("POST", "/scheduler/preview", {**LATE, "id": "c"})["fire_times"]
    return [datetime.fromisoformat(at) for at in shown]


def shown_in_form(admin: Admin, path: str, **given: Any) -> str:
    """Return the text of the preview that the form at `path` has."""
    return text(admin.client.post(path, given).content.decode())


def test_nothing_runs_after_the_end_although_jitter_would_have_it(
    api: Api, make_loop: MakeLoop, clock: FakeClock
) -> None:
    expected = previewed(api)
    assert len(expected) == 3
    assert expected[-1] == END  # capped there
    api.done("POST", "/scheduler/jobs", {**LATE, "id": "c", "func": "tests:record"})
    assert run_to_the_end(make_loop, clock) == expected
    shown = api.get("/scheduler/jobs/c")
    assert (shown["state"], shown["next_run_time"], shown["run_count"]) == ("completed", None, 3)
    assert [job["id"] for job in api.get("/scheduler/jobs?state=completed")] == ["c"]


def test_the_form_of_a_job_shows_the_same_end(api: Api, admin: Admin) -> None:
    expected = previewed(api)
    given = {**LATE, "id": "c", "func": "tests:record", "end_date": "2030-01-03 23:40:00"}
    page = shown_in_form(admin, f"{JOBS}preview/", **given)
    assert all(f"{at:%Y-%m-%d %H:%M:%S}" in page for at in expected)
    assert page.count("2030-01-0") == 1 + len(expected)  # the end in words, and each fire time


def test_after_max_runs_the_job_is_completed(api: Api, make_loop: MakeLoop, clock: FakeClock) -> None:
    expected = previewed(api)[:2]
    api.done("POST", "/scheduler/jobs", {**LATE, "id": "c", "func": "tests:record", "max_runs": 2})
    assert run_to_the_end(make_loop, clock) == expected
    shown = api.get("/scheduler/jobs/c")
    assert (shown["state"], shown["next_run_time"], shown["run_count"]) == ("completed", None, 2)


def test_the_form_shows_no_more_fire_times_than_max_runs_leaves(admin: Admin) -> None:
    new = shown_in_form(admin, f"{JOBS}preview/", **INTERVAL | {"max_runs": "2"})
    assert new.count("2030-01-01") == 2
    admin.send(f"{JOBS}add/", id="job", **INTERVAL | {"max_runs": "2"})
    Job.objects.update(claimed_count=1)
    given = inputs(admin.open(f"{JOBS}job/edit/"))
    assert shown_in_form(admin, f"{JOBS}job/preview/", **given).count("2030-01-01") == 1
    assert "no fire time left" in shown_in_form(admin, f"{JOBS}job/preview/", **given | {"max_runs": "1"})
