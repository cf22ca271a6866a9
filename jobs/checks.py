"""System checks of the settings and of the database. Each problem has an id and a hint."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register, run_checks
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage
from django.core.management import get_commands
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, router

from .conf import conf, problems, worker_command, wrong_values
from .core.brokers import broker_problem
from .core.clock import SystemClock
from .core.queues import queue_names
from .core.rates import parse_rate
from .core.zone_data import package_data, used_data
from .definitions import policies
from .functions import secrets
from .models import Job, Worker

if TYPE_CHECKING:  # imported by the checks that need it: a scheduler has no URLs
    from django.urls import URLResolver

MIN_SQLITE = (3, 38)
"""The oldest version of SQLite that can run the statements of the scheduler."""
VENDORS = ("sqlite", "postgresql")
"""The databases that Cronzimus runs on, by Django's names."""
NEEDED_APPS = ("django.contrib.auth", "django.contrib.contenttypes", "django_apscheduler")
"""The apps whose models Cronzimus uses."""
OWN_CACHES = (".LocMemCache", ".DummyCache")
"""The caches that each process has for itself, by the ends of their names."""
A_TEMPLATE, A_STATIC_FILE = "cronzimus/table.html", "cronzimus/pages.css"
"""A template and a static file of the admin's pages: if these are found, so are the others."""
STATIC = Path(__file__).parent / "static"
"""The folder of the static files of the admin's pages."""

FORMS = {
    "ALERT_PING_URL": (re.compile(r"https?://[^\s@/]+(/\S*)?"), "https://hc-ping.com/…"),
    "CELERY_APP": (re.compile(r"[A-Za-z_][\w.]*(:[A-Za-z_][\w.]*)?"), "proj.celery:app"),
    "SITE_URL": (re.compile(r"https?://[^\s@/?#]+"), "https://cronzimus.example.com"),
}
"""The forms of texts, each with an example. No message shows a value: it may hold a secret."""


def register_checks() -> None:
    """Register the checks of this module with Django."""
    for check in (
        check_installed_apps, check_time_zones, check_zone_data, check_databases, check_sqlite, check_body_limit,
        check_secrets, check_workers,
    ):  # fmt: skip
        register(check, "cronzimus")
    register(check_encoding, Tags.database)
    register(check_queues, Tags.database)
    register(check_urls, Tags.urls)
    register(check_templates, Tags.templates)
    register(check_static_files, Tags.staticfiles)
    register(check_collected, "cronzimus_pages")  # not Tags.staticfiles, which collectstatic itself checks
    register(check_rate_limit, Tags.caches)
    register(check_open_api, Tags.security, deploy=True)


def require_valid_settings() -> None:
    """Raise `ImproperlyConfigured` that names each key of `CRONZIMUS` with a wrong value."""
    wrong = [f"{name}: {text}" for name, text in problems().items()]
    wrong = wrong or list(_wrong_values())
    if wrong:
        raise wrong_values(wrong)


def errors() -> list[CheckMessage]:
    """Return the errors that `manage.py check` shows, without its warnings.

    For commands that skip Django's system checks, because these load the whole web application.
    """
    return [message for message in run_checks(tags=["cronzimus"]) if message.is_serious() and not message.is_silenced()]


def _wrong_values() -> Iterator[str]:
    try:
        parse_rate(conf.API_RATE_LIMIT)
    except ValueError as error:
        yield f"API_RATE_LIMIT: {error}"
    yield from (f"JOB_DEFAULTS: {name} {text}" for name, text in policies.policy_problems(conf.JOB_DEFAULTS).items())
    yield from (f"SECRETS: {text}" for text in secrets.setting_problems(conf.SECRETS))
    for network in conf.JOB_HTTP_ALLOWED_NETWORKS:
        if not _is_network(network):
            yield f"JOB_HTTP_ALLOWED_NETWORKS: {network!r} is not a network, such as 10.1.0.0/16"
    for name, (form, example) in FORMS.items():
        if (value := getattr(conf, name)) and not form.fullmatch(value):
            yield f"{name}: must have a form such as {example}"
    if problem := broker_problem(conf.CELERY_BROKER_URL):
        yield f"CELERY_BROKER_URL: {problem}"
    for command in conf.JOB_COMMANDS:
        if command not in get_commands():
            yield f"JOB_COMMANDS: {command!r} is not a management command"


def check_installed_apps(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Report apps that are missing (cronzimus.E002)."""
    return [
        Error(f"{name} is not installed.", hint=f"Add '{name}' to INSTALLED_APPS.", id="cronzimus.E002")
        for name in NEEDED_APPS
        if not apps.is_installed(name)
    ]


def check_time_zones(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Report that instants are stored without a time zone (cronzimus.E003)."""
    if settings.USE_TZ:
        return []
    return [Error("USE_TZ is False: fire times would be ambiguous.", hint="Set USE_TZ = True.", id="cronzimus.E003")]


def check_zone_data(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Warn that newer time zone data is installed than the data in use (cronzimus.W005)."""
    used, package = used_data(), package_data()
    if package is None or package.version <= used.version:
        return []
    return [
        CheckWarning(
            f"The time zone data in use is {used}, but {package} is newer: fire times may be those of old rules.",
            hint=f"Update the system, or call {__package__}.core.zone_data.use_newest_data() in the settings.",
            id="cronzimus.W005",
        )
    ]


def check_databases(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Report a router that sends the app elsewhere (cronzimus.E004), and an unsupported database (cronzimus.E005)."""
    found: list[CheckMessage] = []
    elsewhere = sorted({alias for alias in _aliases() if alias != DEFAULT_DB_ALIAS})
    if elsewhere:
        found.append(
            Error(
                f"DATABASE_ROUTERS keeps Cronzimus from the database 'default': it goes to {', '.join(elsewhere)}.",
                hint="Have the routers return 'default', or None, for the models of the app 'cronzimus'.",
                id="cronzimus.E004",
            )
        )
    if connection.vendor not in VENDORS:
        found.append(
            Error(
                f"The database 'default' is {connection.display_name}.",
                hint="Use PostgreSQL or SQLite: claims need SELECT … FOR UPDATE SKIP LOCKED and partial indexes.",
                id="cronzimus.E005",
            )
        )
    return found


def check_body_limit(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Report that the size of request bodies is not limited (cronzimus.E006)."""
    if settings.DATA_UPLOAD_MAX_MEMORY_SIZE is not None:
        return []
    hint = "Set it to a number of bytes, such as Django's default of 2621440."
    return [Error("DATA_UPLOAD_MAX_MEMORY_SIZE is None: no body is too large.", hint=hint, id="cronzimus.E006")]


def check_secrets(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Warn that the folder of the secrets cannot be read (cronzimus.W006)."""
    folder = secrets.folder()
    if folder is None or os.access(folder, os.R_OK | os.X_OK):
        return []
    hint = "Mount it where the schedulers run, or correct 'folder' in SECRETS."
    return [CheckWarning(f"The folder of the secrets cannot be read: {folder}.", hint=hint, id="cronzimus.W006")]


def check_templates(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Report that the templates of the admin's pages cannot be loaded (cronzimus.E007)."""
    if not apps.is_installed("django.contrib.admin"):
        return []
    from django.template import TemplateDoesNotExist
    from django.template.loader import get_template

    try:
        get_template(A_TEMPLATE)
    except TemplateDoesNotExist:
        hint = "Set 'APP_DIRS': True in TEMPLATES, or add django.template.loaders.app_directories.Loader."
        return [Error("The templates of Cronzimus's admin pages are not found.", hint=hint, id="cronzimus.E007")]
    except ImproperlyConfigured:
        pass  # no template engine at all: the admin's own check says so (admin.E403)
    return []


def check_sqlite(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Report a SQLite that is too old for the statements of the scheduler (cronzimus.E001)."""
    if connection.vendor != "sqlite":
        return []
    import sqlite3  # here: PostgreSQL does not need it

    if sqlite3.sqlite_version_info >= MIN_SQLITE:
        return []
    wanted = ".".join(map(str, MIN_SQLITE))
    return [Error(f"SQLite {sqlite3.sqlite_version} is too old.", hint=f"Use {wanted} or later.", id="cronzimus.E001")]


def check_workers(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Warn of a database in a file, where there are workers (cronzimus.W008)."""
    if not conf.CELERY_BROKER_URL or connection.vendor != "sqlite":
        return []
    message = "CELERY_BROKER_URL is set, and the database is a file of this machine."
    hint = "Workers on other machines cannot reach it: use PostgreSQL for them."
    return [CheckWarning(message, hint=hint, id="cronzimus.W008")]


def check_encoding(app_configs: Any, databases: Collection[str] | None = None, **kwargs: Any) -> Sequence[CheckMessage]:
    """Warn of a PostgreSQL database that cannot store all text (cronzimus.W004)."""
    if connection.vendor != "postgresql" or DEFAULT_DB_ALIAS not in (databases or ()):
        return []
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_encoding")
        (encoding,) = cursor.fetchone()
    if encoding == "UTF8":
        return []
    return [
        CheckWarning(
            f"The encoding of the database is {encoding}: it cannot store all that functions print and return.",
            hint="Create the database with ENCODING 'UTF8' TEMPLATE template0. Until then a run fails whose output, "
            "result or error has a character that the encoding lacks.",
            id="cronzimus.W004",
        )
    ]


def check_queues(app_configs: Any, databases: Collection[str] | None = None, **kwargs: Any) -> Sequence[CheckMessage]:
    """Warn of queues of jobs that no worker serves (cronzimus.W010)."""
    if not conf.CELERY_BROKER_URL or DEFAULT_DB_ALIAS not in (databases or ()):
        return []
    try:
        wanted = Job.objects.queues_to_come()
        missing = sorted(wanted - Worker.objects.served_queues(SystemClock().now()))
    except DatabaseError:  # the tables are not there yet: `migrate` makes them
        return []
    if not missing:
        return []
    hint = f"Until one is started, these jobs stay due: {worker_command(missing)}"
    message = f"No worker serves {queue_names(missing)}, which jobs use."
    return [CheckWarning(message, hint=hint, id="cronzimus.W010")]


def check_open_api(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Warn of an API that needs no token on a server (cronzimus.W001)."""
    if conf.API_AUTH != "none":
        return []
    message = "API_AUTH is none: everybody who reaches the API may change jobs."
    return [CheckWarning(message, hint="Set API_AUTH to token.", id="cronzimus.W001")]


def check_rate_limit(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Warn of a rate limit that each web process counts for itself (cronzimus.W007)."""
    backend = str(settings.CACHES.get("default", {}).get("BACKEND", ""))
    if not conf.API_RATE_LIMIT or not backend.endswith(OWN_CACHES):
        return []
    message = "API_RATE_LIMIT is set, but no other process sees the cache 'default': each counts for itself."
    hint = "Set CACHES to a cache that all web processes share: the database's, Redis or Memcached."
    return [CheckWarning(message, hint=hint, id="cronzimus.W007")]


def check_urls(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Warn that the API has no address (cronzimus.W002)."""
    from django.urls import get_resolver

    if not getattr(settings, "ROOT_URLCONF", None) or not conf.SCHEDULER_API_ENABLED or _has_api(get_resolver()):
        return []
    return [
        CheckWarning(
            f"{settings.ROOT_URLCONF} does not include the addresses of the API.",
            hint=f"Add path('', include('{__package__}.urls')), or set SCHEDULER_API_ENABLED to False in CRONZIMUS.",
            id="cronzimus.W002",
        )
    ]


def check_static_files(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Warn that the style sheet of the admin's pages is not found (cronzimus.W003)."""
    if not apps.is_installed("django.contrib.admin") or not apps.is_installed("django.contrib.staticfiles"):
        return []
    from django.contrib.staticfiles import finders

    if finders.find(A_STATIC_FILE):
        return []
    hint = "Add django.contrib.staticfiles.finders.AppDirectoriesFinder to STATICFILES_FINDERS."
    return [CheckWarning("The static files of Cronzimus's admin pages are not found.", hint=hint, id="cronzimus.W003")]


def check_collected(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Warn that `collectstatic` has not run since the last upgrade (cronzimus.W009).

    It is silent before the first `collectstatic`: a build may check before it collects.
    """
    if settings.DEBUG or not apps.is_installed("django.contrib.staticfiles"):
        return []
    from django.contrib.staticfiles.storage import ManifestFilesMixin, staticfiles_storage

    if not isinstance(staticfiles_storage, ManifestFilesMixin) or not staticfiles_storage.hashed_files:
        return []
    files = (path for path in STATIC.rglob("*") if path.is_file())
    missing = sorted(path.name for path in files if not _is_collected(staticfiles_storage, path))
    if not missing:
        return []
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    message = f"Static files of Cronzimus are missing or outdated: {missing[0]}{more}."
    return [CheckWarning(message, hint="Run manage.py collectstatic, and restart the web.", id="cronzimus.W009")]


def _is_collected(storage: Any, path: Path) -> bool:
    name = path.relative_to(STATIC).as_posix()
    if name not in storage.hashed_files:
        return False
    # Copies elsewhere than on this machine are not compared: that would take a request for each.
    if not isinstance(storage, FileSystemStorage) or not storage.exists(name):
        return True
    return Path(storage.path(name)).read_bytes() == path.read_bytes()


def _aliases() -> Iterator[str]:
    for model in apps.get_app_config("cronzimus").get_models():
        yield router.db_for_read(model)
        yield router.db_for_write(model)
        if not router.allow_migrate_model(DEFAULT_DB_ALIAS, model):
            yield "no database, by allow_migrate"


def _has_api(resolver: URLResolver) -> bool:
    from django.urls import URLPattern, URLResolver

    views = f"{__package__}.api.views."
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver) and _has_api(pattern):
            return True
        if isinstance(pattern, URLPattern) and getattr(pattern.callback, "__module__", "").startswith(views):
            return True
    return False


def _is_network(value: str) -> bool:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        return False
    return True
