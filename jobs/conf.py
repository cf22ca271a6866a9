"""The settings of the app: Django's setting `CRONZIMUS`, one dictionary, with a default for each of its keys."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

DEFAULTS: Mapping[str, Any] = {
    "ALERT_DAYS": 90,
    "ALERT_PING_URL": "",
    "API_AUTH": "",
    "API_RATE_LIMIT": "",
    "AUDIT_DAYS": 365,
    "CELERY_APP": "",
    "CELERY_BROKER_URL": "",
    "CRONZIMUS_ENV": "",
    "JOBS": [],
    "JOB_COMMANDS": ["check", "clearsessions"],
    "JOB_DEFAULTS": {},
    "JOB_FUNCTIONS": [],
    "JOB_HTTP_ALLOWED_NETWORKS": [],
    "JOB_MODULES": [],
    "JOB_SHELL": False,
    "JOB_VERSIONS": 100,
    "LISTENERS": [],
    "SCHEDULER_API_ENABLED": True,
    "SCHEDULER_PROCESSES": 2,
    "SCHEDULER_THREADS": 10,
    "SECRETS": {},
    "SITE_URL": "",
}
"""The value of each key that `CRONZIMUS` leaves out, and the type that a value has; docs/settings.md describes them."""
CHOICES: Mapping[str, tuple[str, ...]] = {"API_AUTH": ("", "none", "token")}
"""The allowed values of keys that have a fixed set."""
BOUNDS: Mapping[str, tuple[int, int]] = {
    "ALERT_DAYS": (1, 36_500), "AUDIT_DAYS": (1, 36_500), "JOB_VERSIONS": (1, 1000), "SCHEDULER_PROCESSES": (1, 100),
    "SCHEDULER_THREADS": (1, 1000),
}  # fmt: skip
"""The lowest and the highest value of each number."""
ANY_NUMBER = (0, 2**31 - 1)
"""The bounds of a number that `BOUNDS` leaves out."""
WORKER_APP = f"{__package__}.worker.app"
"""The Celery application of the workers, which every project has."""
ENTRIES: Mapping[str, type] = {"JOBS": Mapping}
"""The type of a list's entries, where they are not texts."""


class Conf:
    """The settings by name: `conf.JOB_DEFAULTS`. Raises `AttributeError` for a name that is not in `DEFAULTS`."""

    def __getattr__(self, name: str) -> Any:
        """Return the project's value, or the default."""
        if name not in DEFAULTS:
            raise AttributeError(f"CRONZIMUS has no setting {name!r}")
        given: Mapping[str, Any] = getattr(settings, "CRONZIMUS", {})
        return given.get(name, DEFAULTS[name])


conf = Conf()
"""The settings of the app."""


def worker_command(queues: Iterable[str] = ()) -> str:
    """Return the command that starts a worker for `queues`; without any it is one for the default queue.

    A site whose own Celery application is ours, with its settings, names it in the Django setting CRONZIMUS_WORKER_APP.
    """
    module = os.environ.get("DJANGO_SETTINGS_MODULE")  # None: the settings were made by `settings.configure()`
    if app := getattr(settings, "CRONZIMUS_WORKER_APP", ""):
        command = f"celery -A {app} worker"
    else:
        command = f"{f'DJANGO_SETTINGS_MODULE={module} ' if module else ''}celery -A {WORKER_APP} worker"
    return f"{command} -Q {','.join(queues)}" if queues else command


def problems() -> dict[str, str]:
    """Return the errors in the form of `CRONZIMUS`, by key. No message shows a value: it may hold a secret."""
    given = getattr(settings, "CRONZIMUS", {})
    if not isinstance(given, Mapping):
        return {"CRONZIMUS": f"must be a dictionary, not {_type_name(given)}"}
    found = {str(name): _problem(name, value) for name, value in given.items()}
    return {name: message for name, message in found.items() if message}


def wrong_values(problems: Iterable[str]) -> ImproperlyConfigured:
    """Return the error that stops the start. Each of `problems` begins with its key."""
    where = "wrong value in CRONZIMUS, or in the environment variable of that name"
    return ImproperlyConfigured("\n  ".join([where, *problems]))


def _problem(name: object, value: Any) -> str:
    if name not in DEFAULTS:
        near = difflib.get_close_matches(str(name).upper(), DEFAULTS, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}?" if near else f"the settings are {', '.join(DEFAULTS)}"
        return f"is not a setting; {hint}"
    default = DEFAULTS[str(name)]
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else f"must be True or False, not {_type_name(value)}"
    if isinstance(default, int):
        return _number_problem(value, *BOUNDS.get(str(name), ANY_NUMBER))
    if isinstance(default, str):
        return _text_problem(value, CHOICES.get(str(name)))
    if isinstance(default, Mapping):
        return "" if isinstance(value, Mapping) else f"must be a dictionary, not {_type_name(value)}"
    return _list_problem(value, ENTRIES.get(str(name), str))


def _number_problem(value: Any, low: int, high: int) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        return f"must be a whole number, not {_type_name(value)}"
    return "" if low <= value <= high else f"must be from {low} to {high}"


def _text_problem(value: Any, choices: tuple[str, ...] | None) -> str:
    if not isinstance(value, str):
        return f"must be a text, not {_type_name(value)}"
    return "" if choices is None or value in choices else f"must be one of {', '.join(map(repr, choices))}"


def _list_problem(value: Any, entries: type) -> str:
    wanted = "dictionaries" if entries is Mapping else "texts"
    if not isinstance(value, list | tuple):
        return f"must be a list of {wanted}, not {_type_name(value)}"
    wrong = next((index for index, entry in enumerate(value) if not isinstance(entry, entries)), None)
    return "" if wrong is None else f"must be a list of {wanted}; entry {wrong} is {_type_name(value[wrong])}"


def _type_name(value: Any) -> str:
    names = {str: "a text", bool: "True or False", int: "a number", type(None): "None"}
    return names.get(type(value), f"a {type(value).__name__}")
