"""Charts that are drawn on the server."""

from __future__ import annotations

import re
from datetime import date

from jobs.admin.jobs.history_charts import heat_map


def months(today: date) -> list[str]:
    """Return the names of months above the heat map of the ninety days before `today`."""
    chart = heat_map({}, today, lambda day, found: str(day), lambda day: f"?day={day}")
    return re.findall(r'<text x="\d+" y="8">(\w+)</text>', chart)


def test_a_month_is_named_above_its_first_week() -> None:
    assert months(date(2026, 12, 20)) == ["Sep", "Oct", "Nov", "Dec"]


def test_a_month_of_one_week_has_no_name_for_lack_of_room() -> None:
    assert months(date(2026, 11, 29)) == ["Sep", "Oct", "Nov"]
