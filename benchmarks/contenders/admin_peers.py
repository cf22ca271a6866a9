"""The admins of others on a long history: their lists of jobs and of runs, as they come, on as many rows."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta

from benchmarks import child
from benchmarks.contenders import django_pages
from benchmarks.contenders.django_apscheduler import configure

PAGES = {
    "django_apscheduler": {
        "jobs": "/admin/django_apscheduler/djangojob/", "runs": "/admin/django_apscheduler/djangojobexecution/",
    },
    "django_celery_results": {"runs": "/admin/django_celery_results/taskresult/"},
}  # fmt: skip
"""The lists, by what they are lists of."""
SPAN = timedelta(days=30)
NUMBERS = {
    "sqlite": "(WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers LIMIT {runs}) "
              "SELECT n FROM numbers)",
    "postgresql": "generate_series(0, {runs} - 1) AS numbers(n)",
}  # fmt: skip
AT = {
    "sqlite": "datetime('{first}', '+' || (n * {step}) || ' seconds')",
    "postgresql": "timestamptz '{first}+00' + n * interval '{step} seconds'",
}


def prepare(app: str, jobs: int, runs: int) -> None:
    """Make the database with so many jobs, where the peer has jobs, and so many runs."""
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    User.objects.create_superuser("root")
    now = datetime.now(UTC).replace(microsecond=0, tzinfo=None)
    at = AT[connection.vendor].format(first=now - SPAN, step=SPAN.total_seconds() / runs)
    insert = {"django_apscheduler": _executions, "django_celery_results": _results}[app](jobs, at)
    with connection.cursor() as cursor:
        cursor.execute(f"{insert} FROM {NUMBERS[connection.vendor].format(runs=runs)}")
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM ANALYZE")


def _executions(jobs: int, at: str) -> str:
    from django.utils import timezone
    from django_apscheduler.models import DjangoJob

    now = timezone.now()
    DjangoJob.objects.bulk_create(
        DjangoJob(id=f"job-{number}", next_run_time=now + timedelta(minutes=number), job_state=b"")
        for number in range(jobs)
    )
    return (
        "INSERT INTO django_apscheduler_djangojobexecution (job_id, status, run_time, duration, finished) "
        f"SELECT 'job-' || (n % {jobs}), CASE WHEN n % 20 = 0 THEN 'Error!' ELSE 'Executed' END, {at}, 1.5, 1.5"
    )


def _results(jobs: int, at: str) -> str:
    return (
        "INSERT INTO django_celery_results_taskresult (task_id, task_name, status, worker, content_type, "
        "content_encoding, date_created, date_started, date_done) "
        f"SELECT 'task-' || n, 'shop.tasks.task_' || (n % {jobs}), "
        "CASE WHEN n % 20 = 0 THEN 'FAILURE' ELSE 'SUCCESS' END, 'celery@host-' || (n % 3), 'application/json', "
        f"'utf-8', {at}, {at}, {at}"
    )


def pages(app: str, times: int) -> None:
    """Print what each list takes."""
    for page in django_pages.measured(PAGES[app], times):
        print(json.dumps(page), flush=True)


if __name__ == "__main__":
    configure(json.loads(sys.argv[2])["app"])
    child.main({"prepare": prepare, "pages": pages})
