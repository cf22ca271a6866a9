"""Requests at the very instant of an event: each comes before it or after it, never between."""

from __future__ import annotations

import json
import random
import time
import urllib.error
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest

from tests.waiting import until

from .checker import Break, problems
from .support import Site, Web
from .test_schedulers import stop

SECOND = timedelta(seconds=1)
CLIENTS = 20


def test_one_of_twenty_clients_that_create_the_same_id_at_once_succeeds(site: Site) -> None:
    web = site.web(workers=3, threads=8)
    until(lambda: all(web.answers("/scheduler/jobs") for _ in range(9)), 20, "answers of all workers")
    for attempt in range(5):
        job_id, barrier = f"job-{attempt}", Barrier(CLIENTS)

        def create(number: int, job_id: str = job_id, barrier: Barrier = barrier) -> tuple[int, Any]:
            job = {**site.job(job_id, trigger="interval", hours=1), "description": f"of client {number}"}
            barrier.wait(20)
            return status_of(web, "POST", "/scheduler/jobs", job)

        with ThreadPoolExecutor(CLIENTS) as pool:
            answers = list(pool.map(create, range(CLIENTS)))
        assert Counter(status for status, _ in answers) == {200: 1, 409: CLIENTS - 1}
        assert {body["code"] for status, body in answers if status == 409} == {"JOB_EXISTS"}
        winner = next(number for number, (status, _) in enumerate(answers) if status == 200)
        assert web.ask("GET", f"/scheduler/jobs/{job_id}")["description"] == f"of client {winner}"
    assert site.query("SELECT count(*) FROM cronzimus_job") == [(5,)]


def status_of(web: Web, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Return the status and the JSON of any answer."""
    try:
        return 200, web.ask(method, path, body)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


class Breaker:
    """Takes one job off its schedule at the instant at which it is due, puts it back, and does so again."""

    ROUND = 2 * SECOND
    OFF = 1.5 * SECOND

    def __init__(self, web: Web, job: dict[str, Any], first: datetime, how: str, chance: random.Random) -> None:
        """Do so with `job`, whose first fire time is `first`; `how` is "pause", "pause until" or "remove"."""
        self.web, self.job, self.how = web, job, how
        self.path = f"/scheduler/jobs/{job['id']}"
        self.due = [first + SECOND + number * self.ROUND for number in range(5)]
        self.late = [timedelta(seconds=chance.uniform(-0.03, 0.03)) for _ in self.due]
        self.breaks: list[Break] = []
        self._start = (first, first)

    def steps(self) -> Iterator[tuple[datetime, Any]]:
        """Return the calls with their times."""
        for due, late in zip(self.due, self.late, strict=True):
            yield due + late, self._begin
            yield due + self.OFF, self._end

    def _begin(self) -> None:
        asked = datetime.now(UTC)
        if self.how == "remove":
            self.web.ask("DELETE", self.path)
        elif self.how == "pause":
            self.web.ask("POST", f"{self.path}/pause")
        else:
            asked = self._pause_until()
        self._start = (asked, datetime.now(UTC))

    def _pause_until(self) -> datetime:
        """Pause the job for a while, and return when that was asked for."""
        while True:
            asked = datetime.now(UTC)
            self._until = asked + self.OFF
            status, answer = status_of(self.web, "POST", f"{self.path}/pause", {"until": self._until.isoformat()})
            if status == 200:
                return asked
            # On a busy machine the request may arrive after its own `until`.
            assert "lies in the past" in answer["error"], answer

    def _end(self) -> None:
        asked = datetime.now(UTC)
        if self.how == "remove":
            self.web.ask("POST", "/scheduler/jobs", self.job)
        elif self.how == "pause":
            self.web.ask("POST", f"{self.path}/resume")
        else:
            asked = self._until
        answered = max(asked, datetime.now(UTC))
        self.breaks.append(Break(job_id=self.job["id"], start=self._start, end=(asked, answered)))


@pytest.mark.slow
def test_a_job_that_is_paused_or_removed_as_it_is_due_runs_before_it_or_says_why_not(site: Site) -> None:
    schedulers = site.schedulers(2)
    web = site.web(workers=2, threads=4)
    chance, breakers = random.Random(500), []
    begin = datetime.now(UTC) + 3 * SECOND
    for number in range(100):
        # Spread over two seconds: a request has to come just when its job is due.
        first, how = begin + number * SECOND / 50, ("pause", "pause until", "remove")[number % 3]
        job = {**site.job(f"job-{number}"), "start_date": first.isoformat()}
        web.ask("POST", "/scheduler/jobs", job)
        breakers.append(Breaker(web, job, first, how, chance))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [breakers[number::8] for number in range(8)]))
    until(lambda: all_are_back(site, breakers), 60, "a fire time of each job after its last break")
    stop(*schedulers)

    breaks = [pause for breaker in breakers for pause in breaker.breaks]
    assert len(breaks) == 500
    rows = site.rows()
    assert problems(rows, site.marks(), breaks=breaks) == []
    due = site.next_run_times()
    last = {row.job_id: row.scheduled_time for row in sorted(rows, key=lambda row: row.scheduled_time)}
    assert {job_id: at - last[job_id] for job_id, at in due.items()} == dict.fromkeys(last, SECOND)
    assert len(due) == 100
    assert not any(scheduler.logged("Traceback") for scheduler in schedulers)


def all_are_back(site: Site, breakers: list[Breaker]) -> bool:
    """Tell whether each job has a row for a fire time after its last break. On a busy machine that takes a while."""
    newest = {row.job_id: row.scheduled_time for row in sorted(site.rows(), key=lambda row: row.scheduled_time)}
    return all(newest[breaker.job["id"]] > breaker.breaks[-1].end[1] for breaker in breakers)


def work(breakers: list[Breaker]) -> None:
    """Do the steps of some breakers, each at its time."""
    for at, step in sorted((step for breaker in breakers for step in breaker.steps()), key=lambda step: step[0]):
        time.sleep(max(0.0, (at - datetime.now(UTC)).total_seconds()))
        step()
