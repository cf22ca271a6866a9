"""The system checks: each names a missing setting, by its id, and is silent if all is well."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import ProgrammingError, connection
from django.urls import include, path
from pytest_django import Settings

from jobs import checks
from jobs.core.zone_data import ZoneData
from jobs.models import Worker
from jobs.models.job import JobQuerySet
from jobs.scheduler.executors import celery
from jobs.selectors.workers import Fleet
from tests.fakes import NOW, make_job, make_worker

ROOT = Path(__file__).parents[2]
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
TAGS = ("cronzimus", "cronzimus_pages", "urls", "templates", "staticfiles", "security")


def found(tags: Sequence[str] = TAGS) -> dict[str, str]:
    """Return the hints of our own checks' messages, by id."""
    messages = run_checks(tags=tags, include_deployment_checks=True)
    return {str(m.id): str(m.hint) for m in messages if str(m.id).startswith("cronzimus.")}


class Routes:
    """A router that sends the app `cronzimus` to the database of a test."""

    target: str | None = "archive"
    migrates = True

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return self.target if model._meta.app_label == "cronzimus" else None

    db_for_read = db_for_write

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return self.migrates or app_label != "cronzimus"


class Stays(Routes):
    """A router that leaves the app on `default`."""

    target = "default"


class NotMigrated(Routes):
    """A router that makes no tables on `default`."""

    target, migrates = None, False


urlpatterns: list[Any] = []


class Included:
    """The URLs of a project that has the API below a prefix."""

    urlpatterns = [path("ops/", include("jobs.urls"))]


def test_nothing_is_found_where_all_is_well() -> None:
    assert found() == {}


def test_an_old_sqlite_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "vendor", "sqlite")
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 37, 2))
    assert found() == {"cronzimus.E001": "Use 3.38 or later."}


def test_a_missing_app_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.apps, "is_installed", lambda name: name != "django_apscheduler")
    assert found() == {"cronzimus.E002": "Add 'django_apscheduler' to INSTALLED_APPS."}


def test_instants_without_a_time_zone_are_found(settings: Settings) -> None:
    settings.USE_TZ = False
    assert found() == {"cronzimus.E003": "Set USE_TZ = True."}


@pytest.mark.parametrize("router", ["Routes", "NotMigrated"])
def test_a_router_that_sends_the_app_away_is_found(settings: Settings, router: str) -> None:
    settings.DATABASE_ROUTERS = [f"{__name__}.{router}"]
    assert found().keys() == {"cronzimus.E004"}


def test_a_router_that_leaves_the_app_on_default_is_fine(settings: Settings) -> None:
    settings.DATABASE_ROUTERS = [f"{__name__}.Stays"]
    assert found() == {}


def test_a_database_that_will_not_do_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "connection", SimpleNamespace(vendor="mysql", display_name="MySQL"))
    assert found().keys() == {"cronzimus.E005"}


def test_bodies_of_any_size_are_found(settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = None
    assert found().keys() == {"cronzimus.E006"}


def test_templates_that_cannot_be_loaded_are_found(settings: Settings) -> None:
    (engine,) = settings.TEMPLATES
    settings.TEMPLATES = [{**engine, "DIRS": [], "APP_DIRS": False}]
    assert found().keys() == {"cronzimus.E007"}


# --- workers ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def broker(settings: Settings) -> None:
    """Have a broker."""
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": "redis://host/0"}


def worker_messages(monkeypatch: pytest.MonkeyPatch, vendor: str = "postgresql", **versions: str) -> dict[str, str]:
    """Return what the checks of workers say with these versions of Celery and kombu, by id."""
    monkeypatch.setattr(connection, "vendor", vendor)
    monkeypatch.setattr(celery, "_installed", lambda name: versions.get(name, "5.7.0"))
    return {str(m.id): f"{m.msg} {m.hint}" for m in run_checks(tags=["cronzimus"]) if "BROKER" in m.msg}


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize(
    ("name", "version", "problem"),
    [
        ("kombu", "5.6.2", "kombu 5.6.2 is too old"), ("kombu", "4.10", "kombu 4.10 is too old"),
        ("celery", "5.6.99", "celery 5.6.99 is too old"), ("kombu", "", "kombu is not installed"),
        ("celery", "", "celery is not installed"),
    ],
)  # fmt: skip
def test_celery_that_cannot_carry_runs_is_found(
    monkeypatch: pytest.MonkeyPatch, name: str, version: str, problem: str
) -> None:
    said = worker_messages(monkeypatch, **{name: version})
    assert said.keys() == {"cronzimus.E008"}
    assert problem in said["cronzimus.E008"]
    assert f"requirements-celery.txt: {name} 5.7 or later" in said["cronzimus.E008"]


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize("version", ["5.7.0", "5.10.1", "6.0.0rc1"])
def test_celery_that_can_carry_runs_is_fine(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    assert worker_messages(monkeypatch, kombu=version, celery=version) == {}


def test_without_a_broker_celery_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert worker_messages(monkeypatch, "sqlite", kombu="", celery="") == {}


@pytest.mark.usefixtures("broker")
def test_a_database_that_workers_elsewhere_cannot_reach_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    said = worker_messages(monkeypatch, "sqlite")
    assert said.keys() == {"cronzimus.W008"}
    assert "Workers on other machines cannot reach it: use PostgreSQL" in said["cronzimus.W008"]


def unserved() -> list[str]:
    """Return what `manage.py check --database default` says of queues."""
    return [m.msg for m in run_checks(tags=["database"], databases=["default"]) if m.id == "cronzimus.W010"]


@pytest.mark.django_db
@pytest.mark.usefixtures("broker")
def test_queues_of_jobs_that_no_worker_serves_are_found() -> None:
    assert unserved() == []
    for queue in ("reports", "mail"):
        make_job(queue, executor="celery", queue=queue, next_run_time=NOW)
    make_job("ended", executor="celery", queue="ended", next_run_time=None)
    make_job("local", queue="local", next_run_time=NOW)
    assert unserved() == ["No worker serves the queues mail and reports, which jobs use."]
    make_worker("dead", queues=["mail"], lease_until=LONG_AGO)
    make_worker("stopped", queues=["mail"], lease_until=LONG_AGO, stopped_at=LONG_AGO)
    make_worker(queues=["reports"])
    assert unserved() == ["No worker serves the queue mail, which jobs use."]
    assert [m for m in run_checks(tags=["database"]) if m.id == "cronzimus.W010"] == [], "only with --database"


@pytest.mark.django_db
@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize("fields", [{"slots": 0}, {"slots": 0, "stopped_at": NOW}])
def test_a_queue_whose_last_worker_may_be_restarting_is_none_of_them(fields: dict[str, Any]) -> None:
    make_job(executor="celery", queue="reports", next_run_time=NOW)
    make_worker(**fields)
    assert unserved() == list(Fleet(NOW).unserved) == []


@pytest.mark.django_db
@pytest.mark.usefixtures("broker")
def test_a_damaged_worker_serves_no_queue() -> None:
    make_job(executor="celery", queue="reports", next_run_time=NOW)
    make_worker()
    Worker.objects.update(queues=7)
    assert unserved() == ["No worker serves the queue reports, which jobs use."]


@pytest.mark.django_db
def test_without_a_broker_no_queue_is_looked_for() -> None:
    make_job(executor="celery", queue="reports", next_run_time=NOW)
    assert unserved() == []


@pytest.mark.usefixtures("broker")
@pytest.mark.django_db
def test_queues_are_not_looked_for_before_the_tables_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> None:
        raise ProgrammingError("there is no such table")

    monkeypatch.setattr(JobQuerySet, "queues_to_come", fail)
    assert unserved() == []


def test_an_open_api_is_found(settings: Settings) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "none"}
    assert found() == {"cronzimus.W001": "Set API_AUTH to token."}


def test_an_api_without_an_address_is_found(settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__
    assert found().keys() == {"cronzimus.W002"}


def test_an_api_below_a_prefix_has_an_address(settings: Settings) -> None:
    settings.ROOT_URLCONF = Included
    assert found() == {}


def test_an_api_that_is_switched_off_needs_no_address(settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__
    settings.CRONZIMUS = settings.CRONZIMUS | {"SCHEDULER_API_ENABLED": False}
    assert found() == {}


def test_a_missing_style_sheet_is_found(settings: Settings) -> None:
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    assert found().keys() == {"cronzimus.W003"}


def test_the_errors_that_keep_a_scheduler_from_working_are_no_warnings(settings: Settings) -> None:
    settings.USE_TZ = False
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "none"}
    assert [message.id for message in checks.errors()] == ["cronzimus.E003"]


def test_an_error_may_be_silenced(settings: Settings) -> None:
    settings.USE_TZ, settings.SILENCED_SYSTEM_CHECKS = False, ["cronzimus.E003"]
    assert checks.errors() == []


@pytest.mark.parametrize(
    ("used", "package", "warns"),
    [
        ("2025b", "2026f", True),
        ("", "2026f", True),
        ("2026f", "2026f", False),
        ("2026g", "2026f", False),
        ("", None, False),
    ],
)
def test_older_time_zone_data_than_there_is(
    monkeypatch: pytest.MonkeyPatch, used: str, package: str | None, warns: bool
) -> None:
    monkeypatch.setattr(checks, "used_data", lambda: ZoneData("the system's", used))
    monkeypatch.setattr(checks, "package_data", lambda: package and ZoneData("the package tzdata", package))
    messages = [message for message in run_checks(tags=["cronzimus"]) if message.id == "cronzimus.W005"]
    assert bool(messages) is warns
    if warns:
        assert (used or "an unknown version") in messages[0].msg
        assert "2026f (the package tzdata) is newer" in messages[0].msg
        assert "use_newest_data" in str(messages[0].hint)


def test_a_folder_of_secrets_that_cannot_be_read(settings: Settings, tmp_path: Path) -> None:
    def messages() -> list[str]:
        return [message.msg for message in run_checks(tags=["cronzimus"]) if message.id == "cronzimus.W006"]

    settings.CRONZIMUS = settings.CRONZIMUS | {"SECRETS": {"folder": str(tmp_path)}}
    assert messages() == []
    settings.CRONZIMUS = settings.CRONZIMUS | {"SECRETS": {"folder": str(tmp_path / "none")}}
    assert messages() == [f"The folder of the secrets cannot be read: {tmp_path / 'none'}."]


def test_the_docs_list_every_check() -> None:
    pattern = r"cronzimus\.[EW]\d{3}"
    documented = re.findall(rf"^\| `({pattern})`", (ROOT / "docs" / "embed.md").read_text(), flags=re.M)
    sources = "".join(path.read_text() for path in (ROOT / "jobs").rglob("*.py"))
    assert documented == sorted(set(re.findall(rf'id="({pattern})"', sources)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALERT_PING_URL", "geheim"), ("ALERT_PING_URL", "ftp://hc.example.com/geheim"), ("CELERY_APP", "a b"),
        ("CELERY_APP", "../proj:app"), ("SITE_URL", "jobs.example.com"), ("SITE_URL", "https://jobs.example.com/"),
        ("SITE_URL", "https://ann:geheim@jobs.example.com"),
    ],
)  # fmt: skip
def test_an_address_of_another_form_stops_the_start_without_being_shown(
    settings: Settings, name: str, value: str
) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {name: value}
    with pytest.raises(ImproperlyConfigured, match=f"{name}: must have a form such as") as caught:
        checks.require_valid_settings()
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALERT_PING_URL", "https://hc-ping.com/5c5d-1"), ("ALERT_PING_URL", "http://127.0.0.1:8000"),
        ("CELERY_APP", "proj.celery:app"), ("CELERY_APP", "proj"), ("SITE_URL", ""),
        ("SITE_URL", "http://localhost:5000"),
    ],
)  # fmt: skip
def test_an_address_of_the_right_form_is_taken(settings: Settings, name: str, value: str) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {name: value}
    checks.require_valid_settings()


def test_files_that_were_not_collected_are_named(settings: Settings, tmp_path: Path) -> None:
    backend = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
    settings.STORAGES, settings.STATIC_ROOT = settings.STORAGES | {"staticfiles": {"BACKEND": backend}}, tmp_path
    assert not found(["cronzimus_pages"])
    call_command("collectstatic", verbosity=0, interactive=False)
    settings.STORAGES = dict(settings.STORAGES)  # another process
    assert not found(["cronzimus_pages"])
    (tmp_path / "cronzimus/pages.css").write_text("that of the last version")
    (message,) = checks.check_collected(None)
    assert message.hint == "Run manage.py collectstatic, and restart the web."
    assert message.msg == "Static files of Cronzimus are missing or outdated: pages.css."
    settings.DEBUG = True
    assert not checks.check_collected(None)
