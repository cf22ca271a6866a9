"""How the pages of the admin put instants and lengths of time into words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from jobs.admin import display
from jobs.admin.jobs.trigger_inputs import definition_of, inputs_of
from tests.fakes import NOW, after


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "–"), (-1, "0 ms"), (0, "0 ms"), (0.412, "412 ms"), (0.9996, "1.0 s"), (9.14, "9.1 s"),
        (59.96, "1 m 00 s"), (185, "3 m 05 s"), (3599.6, "1 h 00 m"), (7380, "2 h 03 m"), (10**7, "2,777 h 46 m"),
    ],
)  # fmt: skip
def test_a_length_of_time_is_told_in_its_largest_units(seconds, words):
    assert display.duration(None if seconds is None else timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "now"), (0.4, "now"), (5, "in 5 s"), (-5, "5 s ago"), (59.6, "in 1 min"), (-3600, "1 h ago"),
        (86_399, "in 23 h"), (-200_000, "2 d ago"),
    ],
)  # fmt: skip
def test_an_instant_is_told_by_how_far_it_is(seconds, words):
    assert display.relative(after(seconds), NOW) == words


def test_an_instant_at_the_end_of_the_calendar_can_be_told():
    last = datetime.max.replace(tzinfo=UTC)
    assert display.local(last, ZoneInfo("Pacific/Kiritimati")).startswith("9999-12-31")


@pytest.mark.parametrize(("text", "line"), [("", ""), ("\n a\nb", "a"), ("x" * 130, "x" * 119 + "…")])
def test_of_a_text_the_first_line_is_told(text, line):
    assert display.first_line(text) == line


@pytest.mark.parametrize(
    "definition",
    [
        {"type": "interval", "hours": 1, "jitter": 2.5, "end_date": "2040-01-01 00:00:00"},
        {"type": "cron", "hour": 9, "minute": "*/5", "timezone": "UTC"},
        {"type": "cron", "crontab": "@daily"},
        {"type": "date", "run_date": "2040-01-01T00:00:00+01:00"},
    ],
)
def test_a_trigger_comes_back_from_the_form_as_it_was(definition):
    assert definition_of(inputs_of(definition)) == definition
