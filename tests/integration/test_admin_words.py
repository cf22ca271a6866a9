"""Instants and durations on the pages of the admin."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from jobs.admin import display
from jobs.admin.jobs.trigger_inputs import definition_of, inputs_of

pytestmark = pytest.mark.any_database


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
