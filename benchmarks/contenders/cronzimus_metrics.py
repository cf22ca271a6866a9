"""Cronzimus scraped: `prepare` makes jobs with statistics, `scrape` times /metrics and what writes the same text."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from benchmarks import child

STATUSES = ("succeeded", "failed", "missed")
"""Each job has runs of all of these."""
TIMES = 11
"""Repetitions of each scrape, after one that does not count."""


def prepare(jobs: int) -> None:
    """Make the database, with so many jobs and the totals of their runs."""
    from django.core.management import call_command
    from django.db import connection

    from jobs.models import Job, Run
    from jobs.scheduler.store.statistics import BEHIND, roll_up

    call_command("migrate", verbosity=0)
    now = datetime.now(UTC).replace(microsecond=0)
    Job.objects.bulk_create(
        Job(
            id=f"job-{number:06}", name=f"Job {number}", func="benchmarks.functions:noop", anchor=now,
            trigger={"type": "interval", "hours": 1}, next_run_time=now + timedelta(hours=1), last_status="succeeded",
        )
        for number in range(jobs)
    )  # fmt: skip
    Run.objects.bulk_create(
        Run(
            job_id=f"job-{number:06}", func="benchmarks.functions:noop", status=status, trigger="schedule",
            queued_at=now, scheduled_time=now + timedelta(seconds=nth),
            started_at=now + timedelta(seconds=nth + 0.01), finished_at=now + timedelta(seconds=nth + 1.5),
        )
        for number in range(jobs)
        for nth, status in enumerate(STATUSES)
    )  # fmt: skip
    for step in range(3):
        while roll_up(now + step * BEHIND):
            pass
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


def scrape() -> None:
    """Print the time of a scrape, and the time of prometheus-client to write the same samples after they are read."""
    from django.test import Client

    client, asked = Client(), 0

    def answer() -> bytes:
        response = client.get("/metrics")
        if response.status_code != 200:
            raise RuntimeError(f"/metrics gave {response.status_code}")
        return response.content

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal asked
        asked += 1
        return execute(sql, params, many, context)

    from django.db import connection

    with connection.execute_wrapper(note):
        text = answer().decode()
    _tell("Cronzimus", answer, statements=asked, size=len(text.encode()), samples=_samples(text))
    _tell("prometheus-client", _writer(text), statements=0, size=len(text.encode()), samples=_samples(text))


def _writer(text: str) -> Callable[[], bytes]:
    """Return a function that writes the families of `text` with prometheus-client."""
    from prometheus_client.exposition import generate_latest
    from prometheus_client.parser import text_string_to_metric_families

    families = list(text_string_to_metric_families(text))

    class Registry:
        def collect(self) -> Any:
            return families

    return lambda: generate_latest(Registry())  # type: ignore[arg-type]


def _samples(text: str) -> int:
    return sum(not line.startswith("#") for line in text.splitlines())


def _tell(contender: str, call: Callable[[], bytes], **facts: int) -> None:
    call()
    spent = [_timed(call) for _ in range(TIMES)]
    seconds, cpu = (median(column) for column in zip(*spent, strict=True))
    print(json.dumps({"contender": contender, "seconds": seconds, "cpu": cpu, **facts}), flush=True)


def _timed(call: Callable[[], bytes]) -> tuple[float, float]:
    started, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - started, time.process_time() - cpu


if __name__ == "__main__":
    child.set_up_site()
    child.main({"prepare": prepare, "scrape": scrape})
