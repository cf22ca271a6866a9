"""Functions can print with any standard streams of their scheduler."""

from __future__ import annotations

import signal
import sys
from itertools import accumulate

import pytest

from jobs.core.output_marks import decoded, mark_at
from tests.waiting import until

from .support import Process, Site


def errors_in(output: str, marks: str) -> list[str]:
    """Return the lines of standard error."""
    starts = accumulate((len(line) + 1 for line in output.splitlines()), initial=0)
    found = [(line, mark_at(decoded(marks), start)) for line, start in zip(output.splitlines(), starts, strict=False)]
    return [line for line, mark in found if mark is not None and mark.is_error]


EACH = [pytest.param(closed, marks=pytest.mark.slow) for closed in ("<&-", ">&-", "2>&-")]


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", *EACH])
def test_functions_print_where_the_scheduler_has_no_standard_streams(sqlite_site: Site, closed: str) -> None:
    site = sqlite_site
    rule = {"func": "tests:speak_everywhere", "trigger": "interval", "seconds": 1}
    site.jobs = [{"id": name, "executor": name, **rule} for name in ("thread", "process")]
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "manage.py", "runscheduler"]
    scheduler = Process(command, site.environment, site.folder / "log")
    site.processes.append(scheduler)
    until(lambda: len(site.rows()) >= 4 and site.rows()[1].finished_at, 30, "the runs")
    scheduler.send(signal.SIGTERM)
    assert scheduler.wait(40) == 0
    # A run that was claimed just before the end is given back.
    runs = site.query(
        "SELECT executor, status, error, output, output_marks FROM cronzimus_run "
        "WHERE status NOT IN ('skipped', 'queued')"
    )
    lines = {"printed", "printed as an error", "printed by a thread"}
    expected = {"thread": lines, "process": lines | {"printed by a child"}}
    for executor, status, error, output, marks in runs:
        assert (status, error) == ("succeeded", ""), output
        assert set(output.splitlines()) == expected[executor]
        assert errors_in(output, marks) == ["printed as an error"]
    assert {executor for executor, *_ in runs} == {"thread", "process"}
