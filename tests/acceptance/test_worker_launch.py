"""Worker processes import what their scheduler can import, whatever the project's layout and the current folder."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

from .support import ROOT
from .worker_site import IN_TIME

pytestmark = IN_TIME

MANAGE = """
import os, sys
from pathlib import Path

here = Path(__file__).parent
sys.path[:0] = [str(here / "src"), {root!r}]
if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
"""
SETTINGS = """
SECRET_KEY = "only-for-tests"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "jobs",
                  "django_apscheduler", "shop"]
DATABASES = {"default": {"ENGINE": "jobs.db.sqlite3", "NAME": "@folder@/shop.sqlite3",
    "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 10, "init_command": "PRAGMA journal_mode=WAL"}}}
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CRONZIMUS = {"JOBS": [{"id": "report", "func": "shop.job_functions:report", "executor": "process",
                       "trigger": "interval", "seconds": 1}]}
"""
FUNCTIONS = """
import os, sys
from jobs import register

@register
def report() -> dict:
    import shop.settings
    return {"folder": os.getcwd(), "python_path": os.environ.get("PYTHONPATH"), "safe_path": "" not in sys.path,
            "settings": os.environ["DJANGO_SETTINGS_MODULE"]}
"""


def write_project(folder: Path) -> None:
    """Write a project in a src layout, whose `manage.py` puts it on the import path, with a job in a process."""
    package = folder / "src" / "shop"
    package.mkdir(parents=True)
    (folder / "manage.py").write_text(MANAGE.format(root=str(ROOT)))
    (package / "__init__.py").write_text("")
    (package / "settings.py").write_text(SETTINGS.replace("@folder@", str(folder)))
    (package / "job_functions.py").write_text(FUNCTIONS)


def manage(project: Path, folder: Path, *command: str, **environment: str) -> None:
    """Run a management command of `project` in the current folder `folder`."""
    environment = {"PATH": os.environ["PATH"], **environment}
    command = (sys.executable, str(project / "manage.py"), *command)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_worker_process_imports_a_project_in_a_src_layout_from_any_folder(tmp_path: Path) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    elsewhere.mkdir()
    # A module of the current folder must not stand in for one of the standard library.
    (elsewhere / "json.py").write_text("raise RuntimeError('the wrong module')")
    write_project(project)
    manage(project, elsewhere, "migrate", "--verbosity=0")
    manage(project, elsewhere, "runscheduler", "--once")
    with sqlite3.connect(project / "shop.sqlite3") as database:
        database.execute("UPDATE cronzimus_job SET next_run_time = '2020-01-01 00:00:00'")
    database.close()
    manage(project, elsewhere, "runscheduler", "--once", PYTHONPATH="/somewhere/of/theirs")
    with sqlite3.connect(project / "shop.sqlite3") as database:
        rows = database.execute(
            "SELECT status, error, output, result FROM cronzimus_run WHERE status <> 'skipped'"
        ).fetchall()
    database.close()
    status, error, output, result = rows[-1]
    assert (status, error) == ("succeeded", ""), output
    assert json.loads(result) == {
        "folder": str(elsewhere), "python_path": "/somewhere/of/theirs", "safe_path": True,
        "settings": "shop.settings",
    }  # fmt: skip


def start_in_vain(folder: Path, *options: str, **environment: str) -> list[str]:
    """Start a Celery worker that refuses to start; return the last lines that it wrote."""
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "SECRET_KEY": "only-for-tests", "JOBS": "[]", **environment,
    }  # fmt: skip
    command = (Path(sys.executable).with_name("celery"), "-A", "cronzimus_site", "worker", "-Q", "reports", *options)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()


def test_a_celery_worker_that_may_not_start_says_why_in_one_line(tmp_path: Path) -> None:
    said = start_in_vain(tmp_path)
    assert said[-1] == "CELERY_BROKER_URL is not set: a worker needs the address of a broker."


def test_a_celery_worker_refuses_options_that_would_do_nothing_or_harm(tmp_path: Path) -> None:
    options = (
        "--pool=solo", "--autoscale=3,1", "-B", "--time-limit=5", "--soft-time-limit=5", "--max-tasks-per-child=5",
        "--max-memory-per-child=5", "--pool-start-method=spawn", "--prefetch-multiplier=4", "--statedb=state", "-E",
        "--purge", "--disable-prefetch", "task.acks_late=true",
    )  # fmt: skip
    said = start_in_vain(tmp_path, *options, CELERY_BROKER_URL="redis://127.0.0.1:1/0")
    names = "pool autoscale beat time-limit soft-time-limit max-tasks-per-child max-memory-per-child pool-start-method "
    names += "prefetch-multiplier statedb task-events purge"
    refused = [line.rpartition("leave out the option --")[2] for line in said if "leave out the option" in line]
    assert refused == [f"{name}." for name in names.split()]
    assert "The setting worker_disable_prefetch is True, and has to be False." in said
    assert "The setting task_acks_late is True, and has to be False." in said
