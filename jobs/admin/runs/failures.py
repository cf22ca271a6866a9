"""The page of failures: a matrix of kinds of failures and periods, whose numbers link to runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib.admin.utils import quote
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.utils.http import urlencode
from django.utils.safestring import SafeString, mark_safe

from ...models import Job, Run
from ...selectors.failures import WINDOWS, By, Failures, FailureState, failures, to_retry
from ...selectors.run_search import run_number
from .. import display, export, lists
from ..base import model_url
from ..bulk import Question
from ..lists import Chip, Link
from ..pages import page
from ..request_time import request_now
from ..row_actions import perform
from ..times import Times
from .actions import RUN_ACTIONS

if TYPE_CHECKING:
    from .admin import RunAdmin

SHOWN = 200
"""Kinds of failures that the page shows."""
MOST = 500
"""Runs that are retried at once."""
BY_WORDS = {By.JOB_ERROR: "Job and error", By.ERROR: "Error", By.JOB: "Job", By.HOST: "Host"}
LABELS = {"1h": "1 h", "3h": "3 h", "24h": "24 h", "3d": "3 d", "7d": "7 d"}
STATES = {FailureState.OPEN: "Open", FailureState.RECOVERED: "Recovered", FailureState.REMOVED: "Removed"}
STATE_LOOKS = {
    FailureState.OPEN: ("failed", "cross"),
    FailureState.RECOVERED: ("succeeded", "check"),
    FailureState.REMOVED: ("skipped", "stop"),
}
"""The look of a state: the class that gives its colour, and the icon."""
HEATS = (4, 10)
"""Failures from which a cell is darker, and darkest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One number of the matrix: its darkness, and the address of its runs."""

    label: str
    number: int
    heat: int
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRow:
    """A kind of failure on the page."""

    key: str
    title: str
    title_url: str
    error: str
    jobs: str
    cells: Sequence[Cell]
    days: SafeString
    days_words: str
    last: SafeString | str
    last_url: str
    first: SafeString | str
    state: SafeString
    is_open: bool


def failures_page(admin: RunAdmin, request: HttpRequest) -> HttpResponse:
    """Show the matrix, narrowed by the state, the tag and the words that the address names."""
    times = Times.of(request)
    by = _by(request)
    found = failures(times.now, by)
    asked = {name: request.GET.get(name, "") for name in ("state", "tag", "q")}
    matching = [group for group in found if _matches(group, asked["tag"], asked["q"])]
    shown = [group for group in matching if asked["state"] in ("", group.state)]
    links = _Links(admin, request.GET.dict())
    query = urlencode({"by": by.value})
    context = {
        "rows": [_row(group, by, links, times) for group in shown[:SHOWN]],
        "cut": max(len(shown) - SHOWN, 0),
        "labels": list(LABELS.values()),
        "sentence": _sentence(found),
        "by": BY_WORDS[by],
        "groupings": [Link(words, links.here(by=name.value), name is by) for name, words in BY_WORDS.items()],
        "tabs": _tabs(matching, asked["state"], links),
        "chips": _chips(found, asked["tag"], links),
        "hidden": [(name, value) for name, value in links.given.items() if name in ("state", "tag", "by") and value],
        "query": asked["q"],
        "clear_url": request.path,
        "narrowed": bool(asked["state"] or asked["tag"] or asked["q"]),
        "exports": [(kind.upper(), f"{request.path}export/{kind}/?{query}") for kind in export.KINDS],
        "may_retry": admin.has_retry_permission(request),
        "retry_url": admin.page_url("failures_retry"),
        "by_value": by.value,
        "open_keys": [group.key for group in shown if group.state is FailureState.OPEN][:SHOWN],
        "any": bool(found),
        "back": request.get_full_path(),
    }  # fmt: skip
    return page(admin.admin_site, request, "cronzimus/runs/failures.html", title="Failures", **context)


def retry_failures(admin: RunAdmin, request: HttpRequest) -> HttpResponse:
    """Ask, and then retry the runs of the chosen kinds of failures whose fire times have not succeeded since."""
    if request.POST.get("post") == "yes":
        keys: list[Any] = [run_number(text) for text in request.POST.getlist("_selected_action")[:MOST]]
    else:
        keys = list(to_retry(request_now(request), _by(request), request.POST.getlist("kind")[:SHOWN], MOST))
    back = admin.page_url("failures")
    if not keys:
        admin.message_user(request, "Nothing is left to retry: each fire time has succeeded or is being tried again.")
        return HttpResponseRedirect(back)
    action = RUN_ACTIONS["retry"]
    answer = Question(admin=admin, request=request, name="retry", action=action, keys=keys, back=back).answer()
    if isinstance(answer, HttpResponse):
        return answer
    perform(admin, request, action, keys, answer)
    return HttpResponseRedirect(back)


def export_failures(request: HttpRequest, kind: str) -> StreamingHttpResponse:
    """Answer with the matrix as a file."""
    now = request_now(request)
    columns = ("job", "error", "host", *WINDOWS, "first", "last", "last_run", "state")
    rows = (
        {"job": group.job_id or sorted(group.jobs), "error": group.error, "host": group.host,
         **dict(zip(WINDOWS, group.counts, strict=True)), "first": group.first, "last": group.last,
         "last_run": group.last_run, "state": group.state.value}
        for group in failures(now, _by(request))
    )  # fmt: skip
    return export.download(kind, "failures", columns, rows, now)


class _Links:
    """The addresses of the page's links."""

    def __init__(self, admin: RunAdmin, given: dict[str, str]) -> None:
        self.given = given
        self.runs = model_url(admin.admin_site, Run, "changelist")
        self.jobs = model_url(admin.admin_site, Job, "changelist")

    def here(self, **changed: str) -> str:
        """Return the address of this page with other parameters."""
        return f"?{urlencode({name: value for name, value in {**self.given, **changed}.items() if value})}"

    def of_runs(self, group: Failures, since: str) -> str:
        """Return the address of the list of the failures of a kind."""
        asked = {"job": group.job_id, "status": "failures", "since": since, "error": group.needle,
                 "q": f"host:{group.host}" if group.host else ""}  # fmt: skip
        return f"{self.runs}?{urlencode({name: value for name, value in asked.items() if value})}"


def _by(request: HttpRequest) -> By:
    asked = request.POST.get("by") or request.GET.get("by", "")
    return By(asked) if asked in list(By) else By.JOB_ERROR


def _matches(group: Failures, tag: str, words: str) -> bool:
    text = f"{group.error} {group.host} {' '.join(group.jobs)}".casefold()
    return (not tag or tag in group.tags) and all(word in text for word in words.casefold().split())


def _sentence(found: Sequence[Failures]) -> str:
    if not found:
        return ""
    number, still = sum(group.counts[-1] for group in found), sum(g.state is FailureState.OPEN for g in found)
    runs = "run that failed, timed out or was lost" if number == 1 else "failed, timed-out or lost runs"
    kinds = "of one kind" if len(found) == 1 else f"of {len(found):,} kinds"
    left = f"{still:,} {'is' if still == 1 else 'are'} still open." if still else "All are over."
    return f"{number:,} {runs} in 7 days, {kinds}. {left}"


def _tabs(found: Sequence[Failures], chosen: str, links: _Links) -> list[Link]:
    tabs = [Link("All", links.here(state=""), not chosen, f"{len(found):,}")]
    for state, label in STATES.items():
        number = sum(group.state is state for group in found)
        if number or state is not FailureState.REMOVED:
            bad = state is FailureState.OPEN and number > 0
            tabs.append(Link(label, links.here(state=state.value), chosen == state, f"{number:,}", bad))
    return tabs


def _chips(found: Sequence[Failures], chosen: str, links: _Links) -> list[Chip]:
    tags = sorted({tag for group in found for tag in group.tags} | ({chosen} if chosen else set()))
    if not tags:
        return []
    choices = [
        Link("All", links.here(tag=""), not chosen),
        *(Link(tag, links.here(tag=tag), tag == chosen) for tag in tags),
    ]
    return [Chip("Tag", chosen or "any", bool(chosen), tuple(choices))]


def _row(group: Failures, by: By, links: _Links, times: Times) -> FailureRow:
    title = group.job_id or group.error or group.host or "no host"
    return FailureRow(
        key=group.key, title=title, title_url=f"{links.jobs}{quote(group.job_id)}/change/" if group.job_id else "",
        error=display.first_line(group.error, 200) if group.job_id else "",
        jobs="" if group.job_id else lists.named(sorted(group.jobs)[:3]) + (" and more" if len(group.jobs) > 3 else ""),
        cells=list(_cells(group, links)), days=_days(group.days), days_words=", ".join(map(str, group.days)),
        last=times.ago(group.last), last_url=f"{links.runs}{group.last_run}/change/",
        first=times.at(group.first, seconds=False),
        state=display.badge(STATE_LOOKS[group.state][0], group.state.value, STATE_LOOKS[group.state][1]),
        is_open=group.state is FailureState.OPEN,
    )  # fmt: skip


def _cells(group: Failures, links: _Links) -> Iterator[Cell]:
    for (name, label), number in zip(LABELS.items(), group.counts, strict=True):
        heat = 1 + sum(number >= limit for limit in HEATS)
        yield Cell(label=label, number=number, heat=heat, url=links.of_runs(group, name))


def _days(days: Sequence[int]) -> SafeString:
    """Return the failures of each of the last seven days as bars."""
    most = max(days) or 1
    empty = "".join(f"M{n * 12} 16h11v2h-11z" for n, number in enumerate(days) if not number)
    full = ""
    for n, number in enumerate(days):
        if number:
            height = max(round(number / most * 16), 2)
            full += f"M{n * 12} {18 - height}h11v{height}h-11z"
    # Numbers only: nothing of it comes from a user.
    return mark_safe(  # noqa: S308
        '<svg class="bars" width="83" height="18" viewBox="0 0 83 18" aria-hidden="true">'
        f'<path class="f-none" d="{empty}"/><path class="f-bad" d="{full}"/></svg>'
    )
