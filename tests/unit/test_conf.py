"""The dictionary CRONZIMUS: its wrong keys and values are named, and no message shows a value."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from jobs import checks
from jobs.conf import DEFAULTS, conf, problems

HIDDEN = "hunter2"

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"SCHEDULER_THREAD": 5}, "SCHEDULER_THREAD: is not a setting; did you mean SCHEDULER_THREADS?"),
    ({"scheduler_threads": 5}, "scheduler_threads: is not a setting; did you mean SCHEDULER_THREADS?"),
    ({"COLOUR": 5}, f"COLOUR: is not a setting; the settings are {', '.join(DEFAULTS)}"),
    ({5: 5}, "5: is not a setting"),
    ({"SCHEDULER_THREADS": "5"}, "SCHEDULER_THREADS: must be a whole number, not a text"),
    ({"SCHEDULER_THREADS": True}, "SCHEDULER_THREADS: must be a whole number, not True or False"),
    ({"SCHEDULER_THREADS": 0}, "SCHEDULER_THREADS: must be from 1 to 1000"),
    ({"SCHEDULER_PROCESSES": 101}, "SCHEDULER_PROCESSES: must be from 1 to 100"),
    ({"SCHEDULER_API_ENABLED": "yes"}, "SCHEDULER_API_ENABLED: must be True or False, not a text"),
    ({"API_AUTH": None}, "API_AUTH: must be a text, not None"),
    ({"API_AUTH": HIDDEN}, "API_AUTH: must be one of '', 'none', 'token'"),
    ({"JOB_MODULES": "shop.jobs"}, "JOB_MODULES: must be a list of texts, not a text"),
    ({"JOB_MODULES": [5]}, "JOB_MODULES: must be a list of texts; entry 0 is a number"),
    ({"JOBS": {"id": HIDDEN}}, "JOBS: must be a list of dictionaries, not a dict"),
    ({"JOBS": [{}, HIDDEN]}, "JOBS: must be a list of dictionaries; entry 1 is a text"),
    ({"JOB_DEFAULTS": [HIDDEN]}, "JOB_DEFAULTS: must be a dictionary, not a list"),
    ({"JOB_DEFAULTS": {"coalesce": HIDDEN}}, "JOB_DEFAULTS: coalesce must be true or false"),
    ({"SECRETS": {"dir": HIDDEN}}, "SECRETS: has no key 'dir'"),
    ({"SECRETS": {"env": HIDDEN}}, "SECRETS: env must be a list of environment variables"),
    ({"SECRETS": {"env_prefix": 5}}, "SECRETS: env_prefix must be a text"),
    ({"SECRETS": {"folder": HIDDEN}}, "SECRETS: folder must be an absolute path, such as /run/secrets"),
]


@pytest.mark.parametrize(("given", "message"), WRONG, ids=lambda value: None if isinstance(value, dict) else value)
def test_a_wrong_setting_is_named_and_its_value_is_not_shown(
    settings: Settings, given: dict[str, Any], message: str
) -> None:
    settings.CRONZIMUS = given
    with pytest.raises(ImproperlyConfigured) as refused:
        checks.require_valid_settings()
    assert message in str(refused.value)
    assert HIDDEN not in str(refused.value)


def test_all_wrong_settings_are_named_at_once(settings: Settings) -> None:
    settings.CRONZIMUS = {"JOBS": 5, "COLOUR": "red"}
    assert problems().keys() == {"JOBS", "COLOUR"}


@pytest.mark.parametrize("given", [None, [], "token"])
def test_what_is_no_dictionary_is_refused(settings: Settings, given: Any) -> None:
    settings.CRONZIMUS = given
    with pytest.raises(ImproperlyConfigured, match="CRONZIMUS: must be a dictionary, not"):
        checks.require_valid_settings()


def test_the_defaults_are_right(settings: Settings) -> None:
    settings.CRONZIMUS = dict(DEFAULTS)
    checks.require_valid_settings()


def test_a_project_need_not_have_the_setting(settings: Settings) -> None:
    del settings.CRONZIMUS
    checks.require_valid_settings()
    assert conf.SCHEDULER_THREADS == 10


def test_a_tuple_does_for_a_list(settings: Settings) -> None:
    settings.CRONZIMUS = {"JOB_COMMANDS": ("check",)}
    checks.require_valid_settings()


def test_a_name_that_is_no_setting_is_a_mistake_in_the_code() -> None:
    with pytest.raises(AttributeError, match="CRONZIMUS has no setting 'COLOUR'"):
        _ = conf.COLOUR
