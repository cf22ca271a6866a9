"""The command line's output: tables that fit their terminal, plain columns in a pipe, JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest

from jobs.management.cli.output import Output

AT = datetime(2027, 3, 28, 1, 0, 0, 5, tzinfo=UTC)
ROW: dict[str, Any] = {"id": "nightly", "state": "running", "schedule": "at 02:30 every day (Europe/Berlin)", "at": AT}
COLUMNS = ("id", "state", "schedule", "at")


class Terminal(StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def table(width: int, monkeypatch: pytest.MonkeyPatch, **options: Any) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    out = Terminal()
    Output(out, StringIO(), as_json=False, **options).table(
        COLUMNS, [ROW], empty="none", wrap="schedule", drop=("at", "schedule")
    )
    return out.getvalue().splitlines()


def test_a_wide_terminal_shows_each_row_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    _, line = table(100, monkeypatch, colour=False)
    assert line.split("  ")[0] == "nightly"
    assert "at 02:30 every day (Europe/Berlin)  2027-03-28T01:00:00Z" in line


def test_a_narrower_terminal_wraps_the_long_text_and_cuts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    _, *lines = table(60, monkeypatch, colour=False)
    assert len(lines) > 1
    assert "2027-03-28T01:00:00Z" in lines[0]
    assert all(word in " ".join(lines) for word in ("02:30", "(Europe/Berlin)"))


def test_a_narrow_terminal_leaves_out_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    title, *_ = table(40, monkeypatch, colour=False)
    assert "schedule" in title
    assert "at " not in title


def test_a_terminal_that_is_too_narrow_for_a_table_shows_a_line_for_each_field(monkeypatch: pytest.MonkeyPatch) -> None:
    assert table(10, monkeypatch) == [
        "id: nightly", "state: running", "schedule: at 02:30 every day (Europe/Berlin)", "at: 2027-03-28T01:00:00Z", "",
    ]  # fmt: skip


def test_a_terminal_has_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[34mrunning" in "".join(table(100, monkeypatch))


def test_no_color_switches_the_colours_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[34m" not in "".join(table(100, monkeypatch))


def test_the_option_no_color_switches_the_colours_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[34m" not in "".join(table(100, monkeypatch, colour=False))


def test_a_pipe_has_plain_columns() -> None:
    out = StringIO()
    Output(out, StringIO(), as_json=False).table(("id", "state"), [ROW, {"id": "b", "state": None}], empty="")
    assert out.getvalue() == "ID       STATE\nnightly  running\nb        -\n"


def test_json_has_every_row_whole() -> None:
    out = StringIO()
    Output(out, StringIO(), as_json=True).table(("id",), [ROW], empty="")
    assert json.loads(out.getvalue()) == [ROW | {"at": "2027-03-28T01:00:00Z"}]


def test_control_characters_do_not_reach_the_terminal() -> None:
    out = StringIO()
    Output(out, StringIO(), as_json=False).table(("id",), [{"id": "a\x1b[2J\nb\x9b"}], empty="")
    assert out.getvalue() == "ID\na\\x1b[2J\\nb\\x9b\n"


def test_fields_are_shown_as_json_has_them() -> None:
    out = StringIO()
    row = {
        "run_count": 3,
        "tags": ["a", "b"],
        "trigger": {"hours": 1},
        "paused": True,
        "args": [1],
        "at": AT,
        "e": None,
    }
    Output(out, StringIO(), as_json=False).fields(row)
    assert out.getvalue().splitlines() == [
        "run count: 3", "tags: a, b", 'trigger: {"hours": 1}', "paused: true", "args: [1]", "at: 2027-03-28T01:00:00Z",
        "e: -",
    ]  # fmt: skip
