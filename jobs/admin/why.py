"""Explain why a fire time ran, or did not run, in sentences with the job's own numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

from django.contrib.admin import AdminSite
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from ..core.retries import attempts_allowed
from ..core.runs import FAILURES, Executor, Overlap, RunStatus, RunTrigger
from ..models import Job, Run
from ..models.run import duration as length
from ..selectors import states
from ..selectors.why import Answer, Explanation
from . import display
from .base import model_url
from .times import Times, duration

NOTICED = timedelta(seconds=1)
"""The shortest wait for a free slot that is mentioned."""
_LOOKS = {
    Answer.COALESCED: ("skipped", "skipped", "skip"),
    Answer.TO_COME: ("queued", "to come", "upcoming"),
    Answer.DUE: ("missed", "due", "clock"),
    Answer.PAUSED: ("job-paused", "paused", "pause"),
    Answer.BEFORE: ("unknown", "no run", "info"),
    Answer.PRUNED: ("unknown", "no run", "info"),
    Answer.NO_FIRE_TIME: ("unknown", "no fire time", "info"),
    Answer.UNKNOWN: ("unknown", "no run", "info"),
}
_HEADLINES = {
    Answer.ACTIVE: "{} has its run.",
    Answer.MISSED: "{} did not run.",
    Answer.SKIPPED: "{} did not run.",
    Answer.COALESCED: "{} has no run of its own.",
    Answer.TO_COME: "{} is to come.",
    Answer.DUE: "{} is due, and no scheduler has claimed it yet.",
    Answer.PAUSED: "{} falls into a pause of the job.",
    Answer.BEFORE: "{} was no fire time then.",
    Answer.PRUNED: "{} is older than the runs that are kept.",
    Answer.NO_FIRE_TIME: "{} is no fire time of this job.",
    Answer.UNKNOWN: "Nothing is on record of {}.",
}
_TEXTS = {
    Answer.DUE: "A scheduler claims it as soon as one is alive and claiming is not paused.",
    Answer.BEFORE: "The job was added, or was given its trigger, after that.",
    Answer.PRUNED: "Its run may have been deleted by the job’s retention.",
    Answer.UNKNOWN: "A job that was paused then, or whose schedule was computed again, leaves no run.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """An answer in words. `links` lead to the runs that it names."""

    badge: SafeString
    headline: str
    text: SafeString
    at: str
    links: list[tuple[str, str]]
    facts: list[tuple[str, SafeString | str]]


def why(found: Explanation, job: Job | None, times: Times, site: AdminSite) -> Why:
    """Return `found` in words."""
    return _Words(found, job, times, site).why()


class _Words:
    """The words for one explanation."""

    def __init__(self, found: Explanation, job: Job | None, times: Times, site: AdminSite) -> None:
        self.found, self.job, self.times, self.site = found, job, times, site
        self.zone: ZoneInfo | None = states.zone_of(job) if job is not None else None
        self.at = times.short(found.at, self.zone)
        in_the_way = found.in_the_way
        self.blocker = Run.objects.filter(pk=in_the_way).only("id", "started_at", "finished_at").first() if (
            in_the_way is not None) else None  # fmt: skip

    def why(self) -> Why:
        sentences = [sentence for sentence in self.sentences() if sentence]
        return Why(
            badge=self.badge(), headline=self.headline(), at=self.at, links=list(self.links()),
            text=format_html_join(" ", "{}", ((sentence,) for sentence in sentences)), facts=list(self.facts()),
        )  # fmt: skip

    def badge(self) -> SafeString:
        if self.found.answer in _LOOKS or self.found.run is None:
            return display.badge(*_LOOKS[self.found.answer])
        return display.run_badge(self.found.run.status)

    def headline(self) -> str:
        run = self.found.run
        if self.found.answer is Answer.RAN and run is not None:
            word = run.status.replace("_", " ")
            return f"{self.at} ran." if run.status == RunStatus.SUCCEEDED else f"{self.at}: its run {_was(word)}."
        return _HEADLINES[self.found.answer].format(self.at)

    def sentences(self) -> Iterator[SafeString | str]:
        found, run = self.found, self.found.run
        if found.answer in (Answer.RAN, Answer.ACTIVE):
            yield from self._ran()
        elif run is not None and found.answer is Answer.COALESCED:
            due = self.times.short(run.scheduled_time, self.zone)
            yield f"Run {run.pk}, due {due}, stands for {run.fire_times:,} fire times that were due at once."
        elif run is not None:
            yield from self._did_not_run(run)
        else:
            yield from self._no_run()
        if found.answer not in (Answer.RAN, Answer.ACTIVE) and found.after is not None:
            yield f"The next fire time is {self.times.short(found.after, self.zone)}."

    def _ran(self) -> Iterator[SafeString | str]:
        first, last = self.found.runs[0], self.found.runs[-1]
        yield from self._made(first)
        wait = length(first.available_at or first.queued_at, first.started_at)
        if wait is not None and wait >= NOTICED:
            yield f"It waited {duration(wait)} for {_slot(first)}."
        if first.fire_times > 1:
            yield f"It stands for {first.fire_times:,} fire times that were due at once."
        if len(self.found.runs) > 1:
            earlier = self.found.runs[:-1]
            words = " and ".join(f"{run.attempt} {_was(run.status.replace('_', ' '))}" for run in earlier[-3:])
            yield f"Attempt{'' if len(earlier) == 1 else 's'} {words}."
        if last.status in FAILURES and self.job is not None:
            allowed = attempts_allowed(self.job.retries)
            left = max(allowed - last.attempt, 0)
            number = "1 attempt" if allowed == 1 else f"{allowed} attempts"
            yield f"The policy is {number}: {'none is' if not left else f'{left} may be'} left."

    def _made(self, run: Run) -> Iterator[SafeString | str]:
        if run.trigger == RunTrigger.MANUAL:
            yield f"{run.actor or 'Somebody'} asked for it."
            return
        if run.trigger == RunTrigger.BACKFILL:
            yield f"A backfill of {run.actor or 'somebody'} asked for it."
            return
        late = length(run.scheduled_time, run.queued_at)
        name = claimer(run) or "A scheduler"
        if run.attempt == 1 and late is not None:
            yield f"{name} claimed it {duration(late)} after it was due."
        if self.job is not None and run.attempt == 1:
            most = self.job.max_instances
            free = (
                "No other run of the job was active" if most == 1 else f"Fewer than {most} runs of the job were active"
            )
            policy = {Overlap.SKIP: free, Overlap.QUEUE: "Its overlap policy lets it wait for its turn",
                      Overlap.REPLACE: "Its overlap policy cancels older runs for it"}  # fmt: skip
            yield f"{policy.get(Overlap(self.job.overlap), free)}."

    def _did_not_run(self, run: Run) -> Iterator[SafeString | str]:
        if self.found.in_the_way is not None:
            blocker = self.blocker
            took = length(blocker.started_at, blocker.finished_at or self.times.now) if blocker else None
            yield f"Run {self.found.in_the_way} was still going{f' ({duration(took)})' if took else ''}."
            policy = run.reason.partition("; ")[2]
            yield f"Its {policy}." if policy else f"{capfirst(run.reason)}."
            if self.job is not None:
                yield format_html("The overlap policy is <em>{}</em>.", self.job.overlap)
        else:
            yield f"{capfirst(run.reason or 'no reason is on record')}."
        if run.fire_times > 1:
            until = self.times.short(run.scheduled_time, self.zone)
            yield f"The same holds for {run.fire_times:,} fire times up to {until}."

    def _no_run(self) -> Iterator[SafeString | str]:
        yield _TEXTS.get(self.found.answer, "")
        job, before = self.job, self.found.before
        if self.found.answer is Answer.PAUSED and job is not None:
            since = f" since {self.times.short(job.paused_at, self.zone)}" if job.paused_at else ""
            until = f" until {self.times.short(job.paused_until, self.zone)}" if job.paused_until else ""
            yield f"It has been paused{since}{until}."
        if self.found.answer is Answer.NO_FIRE_TIME and before is not None:
            yield f"The one before it is {self.times.short(before, self.zone)}."

    def links(self) -> Iterator[tuple[str, str]]:
        for run in self.found.runs[-3:]:
            yield f"Run {run.pk}", model_url(self.site, Run, "change", run.pk)
        if self.blocker is not None:
            yield f"The run in its way, {self.blocker.pk}", model_url(self.site, Run, "change", self.blocker.pk)

    def facts(self) -> Iterator[tuple[str, SafeString | str]]:
        found, times = self.found, self.times
        yield "Due at", times.exact(found.at, self.zone)
        if found.runs:
            first, last = found.runs[0], found.runs[-1]
            yield "On record", times.exact(first.queued_at, self.zone) if first.queued_at else "—"
            yield "By", claimer(first) or first.actor or "a scheduler"
            if first.worker:
                yield "On the worker", first.worker
            if last.started_at:
                yield "Started", times.exact(last.started_at, self.zone)
            if last.finished_at:
                yield "Ended", times.exact(last.finished_at, self.zone)
            if last.reason:
                yield "Reason", last.reason
        if self.job is not None:
            yield "Policies", f"overlap {self.job.overlap}, at most {self.job.max_instances} at once, " + self._grace()
        yield "Result", self.badge()

    def _grace(self) -> str:
        grace = self.job.misfire_grace_time if self.job is not None else None
        return "any lateness" if grace is None else f"{duration(timedelta(seconds=grace))} of grace"


def claimer(run: Run) -> str | None:
    """Return the scheduler that claimed `run`, if that is on record: the holder of a remote run is its worker."""
    return None if run.executor == Executor.CELERY else run.scheduler_id


def _slot(run: Run) -> str:
    return "a worker to start it" if run.executor == Executor.CELERY else "a free slot"


def _was(word: str) -> str:
    return word if word in ("failed", "succeeded", "timed out") else f"was {word}"
