"""The ends of logs in the list of runs: opened and closed by links, so that they work without a script."""

from __future__ import annotations

import re

from jobs.admin.pages import LIVE_HEADER
from tests.fakes import NOW, after, make_run
from tests.integration.admin_support import RUNS, Admin, admin_fixture, at_noon_fixture, text  # noqa: F401


def shown(page: str) -> list[str]:
    """Return the texts of the open logs."""
    return [text(row) for row in re.findall(r'<tr class="log-row".*?</tr>', page, re.S)]


def link(page: str, run_id: int) -> str:
    """Return the address that opens or closes the log of a run."""
    found = re.search(rf'href="([^"]*#run-{run_id})" aria-expanded', page)
    assert found
    return found[1].replace("&amp;", "&").partition("#")[0]


def test_a_row_opens_the_last_ten_lines_of_its_log(admin: Admin) -> None:
    make_run(id=7, status="succeeded", output="".join(f"line {number}\n" for number in range(1, 31)))
    page = admin.read(link(admin.read(RUNS), 7))
    (log,) = shown(page)
    assert re.findall(r"line (\d+)", log) == [str(number) for number in range(21, 31)]
    assert "20 lines before. The whole log of run 7" in log
    assert 'data-n="21"' in page
    assert shown(admin.read(link(page, 7))) == []


def test_the_filters_and_the_other_open_logs_stay(admin: Admin) -> None:
    make_run("a", id=1, output="one", status="succeeded")
    make_run("a", id=2, output="two", status="succeeded", scheduled_time=after(1))
    first = link(admin.read(RUNS, job="a"), 1)
    assert first.startswith(f"{RUNS}?job=a&")
    assert [log.split(" ")[0] for log in shown(admin.read(link(admin.read(first), 2)))] == ["two", "one"]


def test_a_log_without_a_line_says_why(admin: Admin) -> None:
    make_run(id=1, status="running", started_at=NOW)
    assert shown(admin.read(f"{RUNS}?open=1"))[0].startswith("Waiting for its first output.")


def test_one_long_line_is_cut(admin: Admin) -> None:
    make_run(id=1, status="succeeded", output="x" * 50_000)
    assert 4000 < len(shown(admin.read(f"{RUNS}?open=1"))[0]) < 4200


def test_a_poll_keeps_the_logs_open(admin: Admin) -> None:
    make_run(id=1, status="running", started_at=NOW, output="first\n")
    address = re.search(r'data-live-url="([^"]*)"', admin.read(f"{RUNS}?open=1"))
    assert address
    answer = admin.client.get(address[1].replace("&amp;", "&"), headers={LIVE_HEADER: "1"})
    assert "first" in shown(answer.content.decode())[0]


def test_an_address_with_nonsense_opens_nothing(admin: Admin) -> None:
    make_run(id=1, output="one")
    assert shown(admin.read(f"{RUNS}?open=x,-1,999,{'9' * 30}")) == []


def test_no_more_than_ten_are_open(admin: Admin) -> None:
    for number in range(1, 13):
        make_run(id=number, scheduled_time=after(number))
    assert len(shown(admin.read(f"{RUNS}?open={','.join(map(str, range(1, 13)))}"))) == 10


def test_what_a_program_wrote_is_escaped(admin: Admin) -> None:
    make_run(id=1, output="<script>alert(1)</script>", status="succeeded")
    assert "<script>alert" not in admin.read(f"{RUNS}?open=1")
