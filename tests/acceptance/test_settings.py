"""A wrong value in the environment stops the start, with a message that names the variable, and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import thinned

ROOT = Path(__file__).parents[2]

WRONG = [
    ("DEBUG", "perhaps"),
    ("HTTPS", "2"),
    ("TIME_ZONE", "Mars/Olympus"),
    ("PORT", "0"),
    ("PORT", "65536"),
    ("PORT", "http"),
    ("LOG_LEVEL", "LOUD"),
    ("LOG_FORMAT", "xml"),
    ("TRUSTED_PROXIES", "localhost"),
    ("PROXY_USER_HEADER", "X_Auth_Request_User"),
    ("PROXY_USER_HEADER", "X-Auth-Request-User"),  # and no TRUSTED_PROXIES
    ("PROXY_GROUPS_HEADER", "X-Auth-Request-Groups"),  # and no PROXY_USER_HEADER
    ("PROXY_ROLES", '{"ops": "root"}'),
    ("LOGIN_FAILURES", "-1"),
    ("LOGIN_LOCK_MINUTES", "0"),
    ("DATABASE_URL", "mysql://root@localhost/db"),
    ("DATABASE_URL", "db.sqlite3"),
    ("DATABASE_URL", "postgresql://localhost:99999/db"),
    ("DATABASE_URL", "postgresql://[::1/db"),
    ("DATABASE_URL", "postgresql://user:pass#word@localhost/db"),
    ("ALLOWED_HOSTS", "https://cronzimus.example.com"),
    ("ALLOWED_HOSTS", "cronzimus.example.com other.example.com"),
    ("CSRF_TRUSTED_ORIGINS", "cronzimus.example.com"),
    ("CSRF_TRUSTED_ORIGINS", "https://cronzimus.example.com/admin"),
    ("CSRF_TRUSTED_ORIGINS", "https://user:password@cronzimus.example.com"),
    ("CORS_ALLOWED_ORIGINS", "*"),
    ("SCHEDULER_API_ENABLED", "maybe"),
    ("API_AUTH", "password"),
    ("SCHEDULER_THREADS", "0"),
    ("SCHEDULER_THREADS", "1.5"),
    ("JOB_DEFAULTS", "[]"),
    ("JOB_DEFAULTS", "{coalesce: false}"),
    ("JOBS", "{}"),
    ("JOBS", "[5]"),
    ("JOBS", "["),
    ("JOBS", '[{"id": "a", "kwargs": {"a": NaN}}]'),
    ("JOBS", '[{"id": "a", "id": "b"}]'),
    ("JOB_DEFAULTS", '{"timeout": 1, "timeout": 2}'),
    ("JOB_MODULES", "shop.reports,"),
    ("JOB_MODULES", "../reports"),
    ("JOB_MODULES", ".reports"),
    ("JOB_FUNCTIONS", "shop.tasks.send"),
    ("JOB_FUNCTIONS", "shop.tasks:send,"),
    ("JOB_FUNCTIONS", "shop.tasks:"),
    ("JOB_FUNCTIONS", "../tasks:send"),
    ("LISTENERS", "ops.events"),
]
WRONG_FOR_DJANGO = [
    ("JOB_DEFAULTS", '{"coalesce": "yes"}'),
    ("JOB_DEFAULTS", '{"max_instances": 0}'),
    ("JOB_DEFAULTS", '{"colour": "red"}'),
    ("JOB_MODULES", "no.such_module"),
    ("JOB_FUNCTIONS", "no.such_module:send"),
    ("JOB_FUNCTIONS", "json:dump,json:lods"),
    ("JOB_COMMANDS", "check,clear_sessions"),
    ("JOB_HTTP_ALLOWED_NETWORKS", "10.1.0.0/99"),
]


def started(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python with `command` in an environment of its own."""
    clean = {"PATH": os.environ["PATH"], "SECRET_KEY": "only-for-tests", "PYTHONPATH": str(ROOT)}
    clean["DJANGO_SETTINGS_MODULE"] = "cronzimus_site.settings"
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env={**clean, **environment}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("name", "value"), thinned(WRONG, every=4) + thinned(WRONG_FOR_DJANGO, every=4))
def test_a_command_ends_with_a_message_that_names_the_variable(name: str, value: str) -> None:
    result = started("manage.py", "check", **{name: value})
    assert result.returncode == 1
    assert result.stderr.startswith("cronzimus: wrong value in ")
    assert name in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(("name", "value"), [("PORT", "0"), ("JOB_DEFAULTS", '{"max_instances": 0}')])
def test_the_web_does_not_start_and_names_the_variable(name: str, value: str) -> None:
    result = started("-c", "import cronzimus_site.wsgi", **{name: value})
    assert result.returncode != 0
    last = result.stderr[result.stderr.rindex("ImproperlyConfigured") :]
    assert last.startswith("ImproperlyConfigured: wrong value in ")
    assert name in last


def test_all_wrong_values_are_named_at_once() -> None:
    result = started("manage.py", "check", PORT="0", LOG_LEVEL="LOUD", JOBS="5")
    assert all(name in result.stderr for name in ("PORT", "LOG_LEVEL", "JOBS"))


def test_blanks_around_what_commas_separate_do_not_count() -> None:
    result = started("manage.py", "check", ALLOWED_HOSTS=" localhost , cronzimus.example.com", JOB_COMMANDS=" ")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(("text", "value"), [("TRUE", True), ("1", True), ("off", False), ("0", False)])
def test_a_flag_may_be_said_in_several_ways(text: str, value: bool) -> None:
    script = f"from cronzimus_site import settings; assert settings.HTTPS is {value}"
    assert started("-c", script, HTTPS=text).returncode == 0


def test_a_misspelt_variable_is_a_warning() -> None:
    result = started("manage.py", "check", SHEDULER_THREADS="5")
    assert result.returncode == 0
    assert "The environment variable SHEDULER_THREADS has no effect." in result.stderr
    assert "Did you mean SCHEDULER_THREADS?" in result.stderr


def test_the_defaults_are_right() -> None:
    result = started("manage.py", "check", "--fail-level", "WARNING")
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("url", ["sqlite:///x.sqlite3", "postgres://u@h/d", "postgresql://u:p%40w@h:5433/d"])
def test_the_url_of_a_database_is_accepted(url: str) -> None:
    assert started("-c", "import cronzimus_site.settings", DATABASE_URL=url).returncode == 0


def test_an_unmigrated_database_is_said_and_nothing_is_made(tmp_path: Path) -> None:
    result = started("manage.py", "runscheduler", "--once", DATABASE_URL=f"sqlite:///{tmp_path}/new.sqlite3")
    assert result.returncode == 1
    assert result.stderr == "CommandError: the database is not up to date; run: manage.py migrate\n"


def test_a_database_server_that_is_not_there_is_said() -> None:
    result = started("manage.py", "runscheduler", "--once", DATABASE_URL="postgresql://u@127.0.0.1:1/d")
    assert result.returncode == 1
    assert result.stderr.startswith("CommandError: the database does not answer: ")
    assert "Traceback" not in result.stderr


def test_a_token_without_a_database_ends_with_a_message(tmp_path: Path) -> None:
    result = started("manage.py", "createtoken", "admin", DATABASE_URL=f"sqlite:///{tmp_path}/new.sqlite3")
    assert result.returncode == 1
    assert result.stderr.startswith("CommandError: the database cannot be used (no such table")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("runscheduler", "--once"), "CommandError: the database cannot be used: file is not a database\n"),
        (("migrate",), "cronzimus: the database file {path}: file is not a database\n"),
    ],
)
def test_a_file_that_is_no_database_is_said(tmp_path: Path, command: Sequence[str], says: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("this is a text, and no database\n" * 100)
    result = started("manage.py", *command, DATABASE_URL=f"sqlite:///{path}")
    assert (result.returncode, result.stderr) == (1, says.format(path=path))


def test_hosts_and_origins_are_accepted() -> None:
    hosts, origins = (
        ".example.com,192.0.2.7,[2001:db8::1],*",
        "https://cronzimus.example.com:8443,https://*.example.com",
    )
    result = started("manage.py", "check", ALLOWED_HOSTS=hosts, CSRF_TRUSTED_ORIGINS=origins)
    assert result.returncode == 0, result.stderr


PREFLIGHT = """
import django
django.setup()
from django.test import Client
headers = {"origin": "https://app.example.com", "access-control-request-method": "PUT"}
print(Client().options("/scheduler/jobs/a", headers=headers).get("Access-Control-Allow-Origin"))
"""


@pytest.mark.parametrize(("named", "allowed"), [("https://app.example.com", "https://app.example.com"), ("", "None")])
def test_pages_of_another_origin_may_use_the_api_where_it_is_named(named: str, allowed: str) -> None:
    result = started("-c", PREFLIGHT, CORS_ALLOWED_ORIGINS=named, API_AUTH="token", ALLOWED_HOSTS="testserver")
    assert result.stdout.strip() == allowed, result.stderr


@pytest.mark.parametrize(("prefix", "path"), [("/cronzimus", "/cronzimus"), ("", "/")])
def test_cookies_are_not_those_of_another_django_site_on_the_same_host(prefix: str, path: str) -> None:
    names = ("SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME", "SESSION_COOKIE_PATH", "CSRF_COOKIE_PATH")
    show = f"from cronzimus_site.settings import {', '.join(names)}; print({', '.join(names)})"
    shown = started("-c", show, SCRIPT_NAME=prefix).stdout.split()
    assert shown == ["cronzimus_sessionid", "cronzimus_csrftoken", path, path]


def test_a_wrong_declaration_is_said(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/new.sqlite3"
    assert started("manage.py", "migrate", DATABASE_URL=database).returncode == 0
    jobs = '[{"id": "a", "func": "cronzimus.functions:http", "trigger": "interval", "seconds": 0}]'
    result = started("manage.py", "runscheduler", "--once", DATABASE_URL=database, JOBS=jobs)
    assert result.returncode == 1
    assert result.stderr.startswith("CommandError: JOBS[0].")


def test_a_relative_file_is_the_same_in_whichever_folder_a_process_is() -> None:
    show = "from cronzimus_site.settings import DATABASES; print(DATABASES['default']['NAME'])"
    assert started("-c", show, DATABASE_URL="sqlite:///some.sqlite3").stdout == f"{ROOT / 'some.sqlite3'}\n"


@pytest.mark.parametrize(("debug", "jobs"), [("true", ["sample_task"]), ("false", [])])
def test_only_a_development_start_has_the_sample_job(debug: str, jobs: list[str]) -> None:
    show = "from cronzimus_site.settings import CRONZIMUS; print([job['id'] for job in CRONZIMUS['JOBS']])"
    assert started("-c", show, DEBUG=debug).stdout == f"{jobs}\n"


def test_a_database_file_that_cannot_be_opened_is_named_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "db.sqlite3"
    result = started("manage.py", "migrate", DATABASE_URL=f"sqlite:///{path}")
    assert result.returncode == 1
    assert result.stderr == f"cronzimus: the database file {path}: unable to open database file\n"


def test_a_database_server_that_does_not_answer_is_named_without_its_password() -> None:
    result = started("manage.py", "migrate", DATABASE_URL="postgresql://u:hunter2@127.0.0.1:1/d")
    assert result.returncode == 1
    assert result.stderr.startswith("cronzimus: the database d on 127.0.0.1: connection ")
    assert "Traceback" not in result.stderr
    assert "hunter2" not in result.stderr
