"""A site without workers does not load Celery."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOADED = "print(*sorted({'amqp', 'billiard', 'celery', 'kombu', 'redis', 'vine'} & {*sys.modules}))"
EVERYTHING = """
import os, sys, django
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()
from django.contrib import admin
from django.core.management import call_command
import jobs.urls, cronzimus_site.urls, cronzimus_site.wsgi
from jobs.conf import conf
from jobs.management.commands import runscheduler
from jobs.management import startup
from jobs.scheduler import scheduler
from jobs.scheduler.executors import executors
from jobs.scheduler.recorder import Recorder
from jobs.calls import child, parent, slot
from tests.fakes import make_hooks
admin.autodiscover()
call_command("check", stdout=open(os.devnull, "w"))
"""
"""Loads what the web, a scheduler and its processes consist of."""


def loaded(code: str) -> list[str]:
    """Return which of Celery's packages a process has loaded after each line of `code`."""
    lines = "".join(f"{line}\n{LOADED}\n" for line in code.splitlines())
    command = [sys.executable, "-c", f"{EVERYTHING}\n{lines}"]
    found = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout
    return found.split("\n")[: code.count("\n") + 1]


def test_without_a_broker_nothing_of_celery_is_loaded() -> None:
    assert loaded("executors(1, 1, conf.CELERY_BROKER_URL)(make_hooks())") == [""]


def test_with_a_broker_a_scheduler_loads_celery_with_its_first_message() -> None:
    made, published = loaded(
        "made = executors(1, 1, 'redis://127.0.0.1:1/0')(make_hooks())['celery']\n"
        "made._transport.publish([sys.modules['jobs.scheduler.store.dispatch'].Dispatch(1, 'q', '0' * 32)])"
    )
    assert made == ""
    assert "celery" in published.split()
