"""The estimate of the runs that other limits of a job would delete is what the pruner deletes."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.models import Run
from jobs.scheduler.store.retention import prune_job
from jobs.selectors import retention
from jobs.selectors.retention import freed_runs
from tests.fakes import NOW, after, make_job, make_run
from tests.integration.admin_support import JOBS, Admin, admin_fixture, at_noon_fixture, text  # noqa: F401

pytestmark = pytest.mark.django_db
DAY = 86_400


@pytest.mark.parametrize(
    "limits",
    [{"keep_runs": 3}, {"keep_days": 5}, {"keep_runs": 2, "keep_days": 8}, {"keep_days": 5, "keep_failed_days": 8},
     {"keep_days": 8, "keep_failed_days": 2}, {"keep_runs": 100}, {}, {"keep_failed_days": 1}],
)  # fmt: skip
def test_it_is_what_the_pruner_deletes(limits: dict[str, int]) -> None:
    job = make_job(**{"keep_days": None, **limits})
    for number in range(10):
        make_run(scheduled_time=after(-DAY * number - 1), status="failed" if number % 3 else "succeeded")
    asked: dict[str, Any] = {"keep_runs": None, "keep_days": None, "keep_failed_days": None, **limits}
    freed = freed_runs("job", NOW, **asked)
    assert freed == prune_job(job, NOW).deleted
    assert Run.objects.count() == 10 - freed


def test_the_form_of_a_job_tells_it(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    make_job(keep_days=5, run_count=10)
    for number in range(10):
        make_run(scheduled_time=after(-DAY * number - 1), status="succeeded")
    assert "Once saved, about 5 of its runs are deleted." in text(admin.read(f"{JOBS}job/edit/"))
    monkeypatch.setattr(retention, "MAX_COUNTED", 3)
    assert freed_runs("job", NOW, keep_runs=None, keep_days=5, keep_failed_days=None) == 4


def test_the_form_tells_if_nothing_is_deleted(admin: Admin) -> None:
    make_job(keep_runs=50, keep_days=None, run_count=1)
    make_run(status="succeeded")
    assert "All runs that it has now are within the limits." in text(admin.read(f"{JOBS}job/edit/"))
