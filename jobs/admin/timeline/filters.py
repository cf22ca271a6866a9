"""The filters of the timeline: jobs by words, `job:` and `tag:`, and runs by the qualifiers of the list of runs."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import Q

from ...models import Job, Run
from ...models.job import JobQuerySet
from ...models.run import RunQuerySet
from ...selectors.run_search import MAX_JOBS, SUGGESTED, RunSearch, narrowed, parse_search

STATUSES = (("", "All"), ("failures", "Failed"), ("not_run", "Did not run"), ("running", "Running"))
"""The statuses that the page offers, with their labels."""
SUGGESTED_HERE = (*(name for name in SUGGESTED if not name.startswith(("since:", "until:"))), "tag:")
"""Qualifiers that the search offers."""
TAG = re.compile(r"(?:^|\s)tag:(\S+)")


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of a page. `problems` has a message for each wrong qualifier."""

    tags: tuple[str, ...]
    search: RunSearch
    problems: tuple[str, ...]

    @property
    def names_runs(self) -> bool:
        """Whether only some runs of a job are shown, and so no fire times to come."""
        search = self.search
        named = search.status or search.trigger or search.host or search.error or search.attempt
        return bool(named) or search.longer is not None or search.shorter is not None

    @property
    def is_empty(self) -> bool:
        """Whether all is shown."""
        return not (self.names_runs or self.tags or self.search.jobs or self.search.words)

    def jobs(self) -> JobQuerySet:
        """Return the jobs whose ids or names have the words, and that have the tags."""
        jobs = Job.objects.all()
        for tag in self.tags:
            jobs = jobs.tagged(tag)
        for words in (*self.search.jobs, *self.search.words):
            jobs = jobs.filter(Q(id__has_text=words) | Q(name__has_text=words))
        return jobs

    def runs(self, since: datetime, now: datetime) -> RunQuerySet:
        """Return the runs that match, due since an instant."""
        runs = narrowed(Run.objects.all(), replace(self.search, since=since), now)
        if self.tags:
            tagged = replace(self, search=RunSearch()).jobs()
            runs = runs.filter(job_id__in=list(tagged.order_by("pk").values_list("pk", flat=True)[:MAX_JOBS]))
        return runs


def filters_of(text: str, status: str, now: datetime) -> Filters:
    """Read a search, and a status of `STATUSES`."""
    search = parse_search(TAG.sub(" ", text), now)
    problems = list(search.problems)
    if search.since is not None or search.until is not None:
        problems.append("since and until are not for the timeline: choose a range, and Earlier or Later")
    if status in dict(STATUSES) and not search.status:
        search.status = status
    return Filters(tuple(TAG.findall(text)), search, tuple(problems))
