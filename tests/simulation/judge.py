"""Judge a history: by the checker of the acceptance tests, and by facts that only a simulation can see."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from jobs.core.runs import RunTrigger
from jobs.models import Job, Run
from tests.acceptance.checker import Demand, Mark, Outage, Row, accounts, calls, unmet

from .cast import Call
from .plans import JobPlan, jobs_with_room

COUNTED = {"succeeded", "failed", "timed_out", "lost"}
"""Statuses that count as a run of the job."""
UNSUCCESSFUL = {"failed", "timed_out", "lost"}
ENDED_BY_CALL = {"succeeded", "failed", "timed_out"}
"""Statuses of runs whose row is written once their call has ended."""
WINDOW = timedelta(seconds=8)
"""The longest delay of a run where all is well: the polls of two loops, and a run before it."""
LONGEST = timedelta(seconds=100)
"""Time within which a run begins, or ends: a lost message is sent again after 60 s, and a call takes 17 s at most."""
BEFORE_ALL = datetime(1, 1, 2, tzinfo=UTC)
WRITTEN_SECONDS = 1.0
"""Seconds within which the start of a run is on record."""


class Evidence:
    """The rows that a history leaves, and the calls that the functions wrote down."""

    def __init__(
        self,
        jobs: Mapping[str, JobPlan],
        noted: Sequence[Call],
        ended_at: float,
        *,
        clock_went_back: bool,
        stood_still: bool,
    ) -> None:
        """Read the runs of a history that ended at a monotonic time.

        Where the clock went back, it cannot be told which of two instants came first. Where a process stood still, what
        it had started went on.
        """
        self.jobs, self.noted = jobs, noted
        self._clock_went_back, self._stood_still = clock_went_back, stood_still
        self._just_called = {call.key for call in noted if call.began > ended_at - WRITTEN_SECONDS}
        self.runs = list(Run.objects.order_by("id"))
        self.rows = [_row(run) for run in self.runs]
        self.marks = [_mark(call, call.scheduled_time if clock_went_back else call.at) for call in noted]
        self._early_marks = [_mark(call, BEFORE_ALL if clock_went_back else call.at) for call in noted]

    def problems(self, calm_at: datetime, until: datetime) -> Iterator[str]:
        """Yield the errors of the history, in which the world was calm from `calm_at` until `until`."""
        for job_id, job in self.jobs.items():
            yield from accounts(self._scheduled(job_id), timedelta(seconds=job.interval))
        yield from calls([self._as_called(run) for run in self.runs], self._early_marks)
        yield from self._not_in_time(calm_at, until)
        yield from self._stuck(until)
        yield from self._not_retried()
        yield from self._retried_too_often()
        yield from self._ended_before_its_call()
        yield from self._together()
        yield from self._miscounted()
        yield from self._lost_unstarted()

    def _scheduled(self, job_id: str) -> list[Row]:
        """Return the rows of the fire times of a job."""
        return [
            _row(run) for run in self.runs
            if run.job_id == job_id and run.attempt == 1 and run.trigger == RunTrigger.SCHEDULE
        ]  # fmt: skip

    def _as_called(self, run: Run) -> Row:
        """Return the row of a run as its function sees it.

        One that was cancelled while it ran was called, and the start of one that has just begun may not be written yet.
        """
        row = _row(run)
        was_called = run.status == "cancelled" and run.started_at is not None
        begins = run.status == "queued" and row.key in self._just_called
        return replace(row, status="running") if was_called or begins else row

    def _not_in_time(self, calm_at: datetime, until: datetime) -> Iterator[str]:
        trouble = Outage(start=BEFORE_ALL, end=calm_at)
        for job_id, job in jobs_with_room(self.jobs).items():
            expected = [
                replace(row, status="succeeded") if row.status == job.ends_as else row
                for row in self._scheduled(job_id)
            ]
            demand = Demand(
                job_ids=[job_id],
                until=until,
                window=WINDOW,
                interval=timedelta(seconds=job.interval),
                outages=[trouble],
            )
            yield from unmet(expected, self.marks, demand)

    def _stuck(self, until: datetime) -> Iterator[str]:
        """Find runs that should have ended, or begun: those of an overloaded lane may wait."""
        roomy = jobs_with_room(self.jobs)
        for run in self.runs:
            since = run.started_at or run.queued_at
            waits_long = run.started_at is not None or run.job_id in roomy
            if run.finished_at is None and waits_long and since < until - LONGEST:
                yield f"run {run.pk} of {run.job_id}: {run.status} since {since}"

    def _not_retried(self) -> Iterator[str]:
        """Find attempts that failed and have no successor, although their job has one left."""
        by_key = {row.key: row for row in self.rows}
        cancelled = {run.pk for run in self.runs if run.cancel_requested_at is not None}
        for run, row in zip(self.runs, self.rows, strict=True):
            job_id, at, attempt = row.key
            has_left = attempt <= self.jobs[job_id].retries
            following = by_key.get((job_id, at, attempt + 1))
            if row.status in UNSUCCESSFUL and has_left and following is None and run.pk not in cancelled:
                yield f"run {run.pk} of {job_id}: {row.status}, and attempt {attempt} has none after it"

    def _retried_too_often(self) -> Iterator[str]:
        """Find attempts after one that did not fail, or beyond the job's last."""
        status = {row.key: row.status for row in self.rows}
        for row in self.rows:
            job_id, at, attempt = row.key
            before = status.get((job_id, at, attempt - 1))
            if attempt > 1 and before not in UNSUCCESSFUL:
                yield f"{job_id} {at}: attempt {attempt} follows one that is {before}"
            if attempt > self.jobs[job_id].retries + 1:
                yield f"{job_id} {at}: attempt {attempt}, although it may have {self.jobs[job_id].retries} retries"

    def _ended_before_its_call(self) -> Iterator[str]:
        """Find runs whose row has an end before that of their call."""
        if self._clock_went_back:
            return
        ends = {row.key: row.finished_at for row in self.rows if row.status in ENDED_BY_CALL}
        for call in self.noted:
            on_record = ends.get(call.key)
            if on_record and call.ended_at and on_record < call.ended_at:
                yield f"{call.job_id} {call.scheduled_time}: ended at {on_record}, and its call at {call.ended_at}"

    def _together(self) -> Iterator[str]:
        """Find two calls of a job at once. A run that was given up may go on, where nobody can end it in time."""
        status = {row.key: row.status for row in self.rows}
        by_job: dict[str, list[Call]] = defaultdict(list)
        for call in self.noted:
            is_ended_by_lease = self.jobs[call.job_id].executor == "celery" and not self._stood_still
            if is_ended_by_lease or status.get(call.key) not in ("lost", "timed_out", "cancelled"):
                by_job[call.job_id].append(call)
        for job_id, own in by_job.items():
            for first, second in pairwise(sorted(own, key=lambda call: call.began)):
                if first.ended is None or second.began < first.ended:
                    yield f"{job_id}: called at {second.at}, while the call of {first.at} went on"

    def _miscounted(self) -> Iterator[str]:
        """Find jobs whose counters are not those of their runs. Some cancelled runs count, and others do not."""
        runs = Counter((run.job_id, run.status) for run in self.runs)
        for job in Job.objects.all():
            counted, failed = _sum(runs, job.pk, COUNTED), _sum(runs, job.pk, UNSUCCESSFUL)
            if not counted <= job.run_count <= counted + runs[job.pk, "cancelled"]:
                yield f"{job.pk}: counts {job.run_count} runs, and has {counted}"
            if job.failure_count != failed:
                yield f"{job.pk}: counts {job.failure_count} failures, and has {failed}"

    def _lost_unstarted(self) -> Iterator[str]:
        """Find runs for workers that are lost although none started them."""
        for run in self.runs:
            if run.executor == "celery" and run.status == "lost" and run.started_at is None:
                yield f"run {run.pk} of {run.job_id}: lost, and never started"


def _sum(runs: Mapping[tuple[str, str], int], job_id: str, statuses: Iterable[str]) -> int:
    return sum(runs[job_id, status] for status in statuses)


def _row(run: Run) -> Row:
    return Row(
        job_id=run.job_id, scheduled_time=run.scheduled_time, status=run.status, fire_times=run.fire_times,
        finished_at=run.finished_at, attempt=run.attempt,
    )  # fmt: skip


def _mark(call: Call, at: datetime) -> Mark:
    return Mark(job_id=call.job_id, scheduled_time=call.scheduled_time, at=at, attempt=call.attempt)
