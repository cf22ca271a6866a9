"""The cases of fire_times.json, all computed without a cron library."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jobs.core.exceptions import InvalidTrigger
from jobs.core.triggers import build_trigger, clean_trigger

CASES = json.loads(Path(__file__).with_name("fire_times.json").read_text())
FIRING = [case for case in CASES if case["expect"]]
NEVER_FIRING = [case for case in CASES if not case["expect"]]


def parts(case: dict[str, Any]) -> tuple[dict[str, Any], datetime, list[datetime]]:
    definition = {"type" if name == "trigger" else name: value for name, value in case["trigger"].items()}
    return definition, datetime.fromisoformat(case["after"]), [datetime.fromisoformat(time) for time in case["expect"]]


@pytest.mark.parametrize("case", FIRING, ids=lambda case: case["name"])
def test_fires_as_computed_by_hand(case: dict[str, Any]) -> None:
    definition, after, expected = parts(case)
    clean = clean_trigger(definition, now=after, default_timezone="UTC")
    trigger = build_trigger(clean, anchor=after, default_timezone="UTC")
    assert trigger.fire_times(after, len(expected) + case["complete"]) == expected
    assert trigger.count(after, expected[-1]) == len(expected)
    assert trigger.latest_until(expected[-1]) == expected[-1]


@pytest.mark.parametrize("case", FIRING, ids=lambda case: case["name"])
def test_gives_its_times_in_utc(case: dict[str, Any]) -> None:
    definition, after, expected = parts(case)
    times = build_trigger(definition, anchor=after, default_timezone="UTC").fire_times(after, len(expected))
    assert {time.tzinfo for time in times} == {UTC}


@pytest.mark.parametrize("case", NEVER_FIRING, ids=lambda case: case["name"])
def test_refuses_what_never_fires(case: dict[str, Any]) -> None:
    definition, after, _ = parts(case)
    with pytest.raises(InvalidTrigger, match="lies in the past"):
        clean_trigger(definition, now=after, default_timezone="UTC")
