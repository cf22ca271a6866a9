"""The importers by name, with the source that each reads."""

from __future__ import annotations

import importlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import connection

from ..core.exceptions import CronzimusError
from ..definitions import validation
from ..definitions.triggers import is_over
from ..models import Job
from . import apscheduler, apscheduler_export, celery
from .crontab import read_crontab
from .files import read_text, shown_path
from .report import Entry, Import

TABLES = {
    "periodictask": "django_celery_beat_periodictask", "intervalschedule": "django_celery_beat_intervalschedule",
    "crontabschedule": "django_celery_beat_crontabschedule", "clockedschedule": "django_celery_beat_clockedschedule",
    "solarschedule": "django_celery_beat_solarschedule",
}  # fmt: skip
"""The tables of django-celery-beat, by the names of their models."""
LATER = ("func", "args", "kwargs")
"""The fields that may be wrong only because a function or a setting is still missing."""
RELATIONS = ("interval", "crontab", "clocked", "solar")
"""The foreign keys of a periodic task: it has one schedule."""


def read(kind: str, source: str | None, *, now: datetime, system: bool = False) -> Import:
    """Read the jobs of another scheduler.

    Args:
        kind: a key of `KINDS`.
        source: a file's path, or MODULE:NAME of a setting; None for tables of this database.
        now: aware; schedules that fired once, before it, are left out.
        system: for a crontab, whether each line names a user.

    An entry whose job the validator refuses is invalid. A missing function or setting, which only keeps the job from
    being applied yet, is a note. Raises `ValueError` if the source cannot be read, or is something else.
    """
    if source is None and kind != "celery-beat":
        raise ValueError(f"{kind} needs a file, or MODULE:NAME of a setting")
    return _validated(KINDS[kind](source, now, system), now)


def parse(kind: str, text: str, *, now: datetime, name: str = "the text", system: bool = False) -> Import:
    """Read the jobs of another scheduler from a text, as `read` does from a file.

    Args:
        kind: a key of `TEXTS`.
        text: a crontab, or the JSON that an exporter wrote.
        now: aware.
        name: the text's name in messages.
        system: for a crontab, whether each line names a user.
    """
    return _validated(TEXTS[kind](text, name, now, system), now)


def _validated(imported: Import, now: datetime) -> Import:
    not_yet: Counter[str] = Counter()
    for entry in imported.entries:
        not_yet.update(_validate(entry, now))
    imported.notes += [
        f"not to be applied yet, {number} {'job' if number == 1 else 'jobs'}: {reason}"
        for reason, number in not_yet.items()
    ]
    return imported


def _validate(entry: Entry, now: datetime) -> set[str]:
    """Refuse the entry if its job is wrong; return the reasons for which the job cannot be applied yet."""
    if entry.job is None:
        return set()
    try:
        json.dumps(entry.job, allow_nan=False)
    except (TypeError, ValueError) as error:
        entry.refuse(f"its arguments are not JSON: {error}")
        return set()
    try:
        cleaned = validation.clean_job(entry.job, now=now, allow_past=True)
    except CronzimusError as error:
        wrong = {name: text for name, text in error.fields.items() if name not in LATER}
        if wrong:
            entry.refuse("; ".join(f"{name}: {text}" for name, text in wrong.items()))
            return set()
        # The report names the functions that are not registered.
        return {text for name, text in error.fields.items() if name != "func"}
    if is_over(Job(**cleaned), now):
        entry.notes.append("its time has passed: it is completed")
    return set()


def exporter_source() -> str:
    """Return the text of the program that exports APScheduler's jobs in their own application."""
    return Path(apscheduler_export.__file__).read_text(encoding="utf-8")


def _crontab(text: str, name: str, now: datetime, system: bool) -> Import:
    return read_crontab(text, system=system)


def _celery_dump(text: str, name: str, now: datetime, system: bool) -> Import:
    dumped = _json(text, name)
    if not isinstance(dumped, list):
        raise ValueError(f"{name} is not the output of manage.py dumpdata django_celery_beat")
    with _named(name):
        return celery.read_dump(dumped, now=now)


def _apscheduler(text: str, name: str, now: datetime, system: bool) -> Import:
    exported = _json(text, name)
    with _named(name):
        return apscheduler.read_export(exported)


TEXTS: Mapping[str, Callable[[str, str, datetime, bool], Import]] = {
    "apscheduler": _apscheduler, "celery-beat": _celery_dump, "crontab": _crontab,
}  # fmt: skip
"""The importers that read a text, and nothing else of this machine."""


def _file(kind: str) -> Callable[[Any, datetime, bool], Import]:
    return lambda source, now, system: TEXTS[kind](read_text(source), shown_path(source), now, system)


def _celery_beat(source: str | None, now: datetime, system: bool) -> Import:
    if source is None:
        return celery.read_tables(_stored_tables(), now=now)
    return _celery_dump(read_text(source), shown_path(source), now, system)


def _beat_schedule(source: str, now: datetime, system: bool) -> Import:
    schedule = _setting(source)
    if not isinstance(schedule, Mapping):
        raise ValueError(f"{source} is not a beat_schedule: it is not a dictionary")
    return celery.read_schedule(schedule, now=now)


@contextmanager
def _named(source: str) -> Iterator[None]:
    """Name the file in the message of a `ValueError`."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{source} {error}") from error


def _flask(source: str, now: datetime, system: bool) -> Import:
    jobs = _json(read_text(source), shown_path(source)) if source.endswith(".json") else _setting(source)
    if not isinstance(jobs, list) or not all(isinstance(job, Mapping) for job in jobs):
        raise ValueError(f"{source} is not a JOBS of Flask-APScheduler: it is not a list of dictionaries")
    return apscheduler.read_flask_jobs(jobs)


KINDS: Mapping[str, Callable[[Any, datetime, bool], Import]] = {
    "apscheduler": _file("apscheduler"),
    "beat-schedule": _beat_schedule,
    "celery-beat": _celery_beat,
    "crontab": _file("crontab"),
    "flask-apscheduler": _flask,
}
"""The importers. `apscheduler` also reads django-apscheduler's jobs: the exporter runs in their application."""


def _stored_tables() -> dict[str, dict[Any, dict[str, Any]]]:
    """Return the rows of django-celery-beat's tables in this database."""
    present = connection.introspection.table_names()
    if TABLES["periodictask"] not in present:
        raise ValueError("this database has no tables of django-celery-beat: give the output of its dumpdata")
    return {model: _rows(table) for model, table in TABLES.items() if table in present}


def _rows(table: str) -> dict[Any, dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)} ORDER BY id")  # noqa: S608 (a name of ours)
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    for row in rows:
        row.update({name: row[f"{name}_id"] for name in RELATIONS if f"{name}_id" in row})
        row.update({name: bool(row[name]) for name in ("enabled", "one_off") if name in row})
    return {row["id"]: row for row in rows}


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is not JSON: {error}") from error


def _setting(source: str) -> Any:
    module, colon, name = source.partition(":")
    if not colon:
        raise ValueError(f"{source!r} is not of the form MODULE:NAME")
    try:
        value: Any = importlib.import_module(module)
        for part in name.split("."):
            value = getattr(value, part)
    except Exception as error:  # a module of somebody else's may raise anything
        raise ValueError(f"{source} cannot be imported: {type(error).__name__}: {error}") from error
    return value
