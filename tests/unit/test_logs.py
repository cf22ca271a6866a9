"""What the product's log leaves out."""

from __future__ import annotations

import logging

from cronzimus_site.logs import MAX_CHARACTERS, ShortValues


def line(*args: object) -> str:
    record = logging.LogRecord("django.request", logging.WARNING, "", 1, "%s: %s", args, None)
    assert ShortValues().filter(record)
    return record.getMessage()


def test_a_long_value_is_cut() -> None:
    assert line("Not Found", "/" + "x" * 5000) == f"Not Found: /{'x' * (MAX_CHARACTERS - 1)}… (5,001 characters)"


def test_other_values_stay_as_they_are() -> None:
    assert line("x" * MAX_CHARACTERS, 10**400) == f"{'x' * MAX_CHARACTERS}: {10**400}"


def test_a_line_without_values_stays_as_it_is() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 1, "started", None, None)
    assert ShortValues().filter(record)
    assert record.getMessage() == "started"
