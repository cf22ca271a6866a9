"""A status is never forgotten: the model, the database and every table by status know all of them."""

from __future__ import annotations

import importlib
import pkgutil
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

import jobs
from jobs.core import runs
from jobs.core.runs import ACTIVE, FINISHED, Executor, JobState, MissedChoice, RunStatus, RunTrigger
from jobs.models import Job, Run

ENUMS = (RunStatus, RunTrigger, JobState, Executor, MissedChoice)


def tables() -> dict[str, dict[RunStatus, Any]]:
    """Return each dictionary of a module of Cronzimus that has run statuses as keys, by its name."""
    found = {}
    for module in pkgutil.walk_packages(jobs.__path__, "jobs."):
        if ".migrations" not in module.name:
            for name, value in vars(importlib.import_module(module.name)).items():
                if isinstance(value, dict) and any(isinstance(key, RunStatus) for key in value):
                    found[f"{module.name}.{name}"] = value
    return found


@pytest.mark.parametrize(("name", "table"), list(tables().items()), ids=list(tables()))
def test_a_table_by_status_has_every_status(name: str, table: dict[RunStatus, Any]) -> None:
    assert set(table) == set(RunStatus)


def test_every_status_is_either_active_or_finished() -> None:
    assert sorted([*ACTIVE, *FINISHED]) == sorted(RunStatus)


def test_the_models_choices_are_the_statuses() -> None:
    assert [value for value, _ in Run._meta.get_field("status").flatchoices] == [status.value for status in RunStatus]


def test_the_models_choices_are_the_triggers() -> None:
    assert [value for value, _ in Run._meta.get_field("trigger").flatchoices] == [name.value for name in RunTrigger]


@pytest.mark.parametrize("model", [Run, Job])
def test_the_models_choices_are_the_executors(model: Any) -> None:
    assert [value for value, _ in model._meta.get_field("executor").flatchoices] == [name.value for name in Executor]


@pytest.mark.parametrize("model", [Run, Job])
def test_the_longest_status_fits_its_column(model: Any) -> None:
    column = model._meta.get_field("status" if model is Run else "last_status")
    assert max(map(len, RunStatus)) <= column.max_length


@pytest.mark.parametrize("enum", ENUMS)
def test_every_member_says_what_it_means(enum: type[StrEnum]) -> None:
    source = Path(runs.__file__).read_text()
    for member in enum:
        assert f'    {member.name} = "{member.value}"\n    """' in source
