"""Django's settings. The environment is read here and nowhere else; docs/settings.md lists the variables."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import dj_database_url

from jobs.core.roles import ROLES
from jobs.core.zone_data import use_newest_data

from . import env as checks
from . import logs, mail

# First, before any zone is read from older data.
use_newest_data()

BASE_DIR = Path(__file__).resolve().parent.parent
env = checks.Environment(BASE_DIR / ".env")

SAMPLE_JOBS = [{"id": "sample_task", "func": "cronzimus.controller.task:task", "trigger": "interval", "seconds": 5}]

# --- the environment --------------------------------------------------------------------------------------------------

DEBUG = env.flag("DEBUG", False)
SECRET_KEY = env.text("SECRET_KEY", "") or checks.secret_key(BASE_DIR)
ALLOWED_HOSTS = env.texts("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"], checks.are_hosts)
HTTPS = env.flag("HTTPS", False)
# gunicorn reads the same variable, and removes the prefix from the paths of requests.
FORCE_SCRIPT_NAME = env.text("SCRIPT_NAME", "", checks.is_path_prefix) or None
CSRF_TRUSTED_ORIGINS = env.texts("CSRF_TRUSTED_ORIGINS", [], checks.are_origins)
CORS_ALLOWED_ORIGINS = env.texts("CORS_ALLOWED_ORIGINS", [], checks.are_named_origins)
TIME_ZONE = env.text("TIME_ZONE", "UTC", checks.is_time_zone)
PORT = env.number("PORT", 5000, checks.between(1, 65535))
LOG_LEVEL = env.text("LOG_LEVEL", "INFO", checks.one_of(("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")))
LOG_FORMAT = env.text("LOG_FORMAT", "text", checks.one_of(logs.FORMATS))
TRUSTED_PROXIES = env.texts("TRUSTED_PROXIES", [], checks.are_networks)
PROXY_USER_HEADER = env.text("PROXY_USER_HEADER", "", checks.is_header)
PROXY_GROUPS_HEADER = env.text("PROXY_GROUPS_HEADER", "", checks.is_header)
PROXY_ROLES = env.json("PROXY_ROLES", {}, checks.are_roles(role.removeprefix("Cronzimus ") for role in ROLES))
LOGIN_FAILURES = env.number("LOGIN_FAILURES", 5, checks.between(0, 1000))
LOGIN_LOCK_MINUTES = env.number("LOGIN_LOCK_MINUTES", 15, checks.between(1, 1440))
# Lower case: it holds a password, and error pages of a development server show every setting.
database_url = env.text("DATABASE_URL", "", checks.is_database_url) or f"sqlite:///{BASE_DIR / 'db.sqlite3'}"

cache_url = env.text("CACHE_URL", "", checks.is_cache_url)
email_url = env.text("EMAIL_URL", "", mail.is_email_url)
DEFAULT_FROM_EMAIL = env.text("EMAIL_FROM", "webmaster@localhost", checks.is_sender)

# The settings of the app, which reads nothing else of this module: jobs/conf.py has the keys and their defaults.
CRONZIMUS: dict[str, Any] = {
    "SCHEDULER_API_ENABLED": env.flag("SCHEDULER_API_ENABLED", True),
    # Empty means the default: open to this machine alone in development, and with a token otherwise.
    "API_AUTH": env.text("API_AUTH", "", checks.one_of(("", "none", "token"))),
    "API_RATE_LIMIT": env.text("API_RATE_LIMIT", "", checks.is_rate),
    "SCHEDULER_THREADS": env.number("SCHEDULER_THREADS", 10, checks.between(1, 1000)),
    "SCHEDULER_PROCESSES": env.number("SCHEDULER_PROCESSES", 2, checks.between(1, 100)),
    "CRONZIMUS_ENV": env.text("CRONZIMUS_ENV", ""),
    "JOB_MODULES": env.texts("JOB_MODULES", [], checks.are_modules),
    "JOB_FUNCTIONS": env.texts("JOB_FUNCTIONS", [], checks.are_references),
    "LISTENERS": env.texts("LISTENERS", [], checks.are_references),
    "JOB_DEFAULTS": env.json("JOB_DEFAULTS", {}, checks.holds(dict)),
    "AUDIT_DAYS": env.number("AUDIT_DAYS", 365, checks.between(1, 36_500)),
    "ALERT_DAYS": env.number("ALERT_DAYS", 90, checks.between(1, 36_500)),
    "JOB_VERSIONS": env.number("JOB_VERSIONS", 100, checks.between(1, 1000)),
    "SECRETS": env.json("SECRETS", {}, checks.holds(dict)),
    # A server has no sample job: it would run every five seconds for ever.
    "JOBS": env.json("JOBS", SAMPLE_JOBS if DEBUG else [], checks.holds(list, dict)),
    # The limits of the built-in functions; see docs/functions.md.
    "SITE_URL": env.text("SITE_URL", ""),
    "ALERT_PING_URL": env.text("ALERT_PING_URL", ""),
    "JOB_SHELL": env.flag("JOB_SHELL", False),
    "CELERY_APP": env.text("CELERY_APP", ""),
    # Jobs on workers of other machines; see docs/workers.md.
    "CELERY_BROKER_URL": env.text("CELERY_BROKER_URL", "", checks.is_broker_url),
    "JOB_COMMANDS": env.texts("JOB_COMMANDS", ["check", "clearsessions"]),
    "JOB_HTTP_ALLOWED_NETWORKS": env.texts("JOB_HTTP_ALLOWED_NETWORKS", []),
}

if PROXY_USER_HEADER and not TRUSTED_PROXIES:
    env.refuse("PROXY_USER_HEADER", "name the address of the proxy in TRUSTED_PROXIES, such as 127.0.0.1.")
if PROXY_GROUPS_HEADER and not (PROXY_USER_HEADER and PROXY_ROLES):
    env.refuse("PROXY_GROUPS_HEADER", "goes with PROXY_USER_HEADER and PROXY_ROLES; set them, too.")
CRONZIMUS_WORKER_APP = __package__  # in the commands that messages name: `celery -A cronzimus_site worker`
env.close()
MISSPELT_VARIABLES = env.misspelt()

# --- database --------------------------------------------------------------------------------------------------------

SQLITE_OPTIONS: dict[str, Any] = {
    # Writers queue at BEGIN, where the busy timeout holds, and not at their first write, where it does not.
    "transaction_mode": "IMMEDIATE",
    "timeout": 10,  # seconds; less than a scheduler's lease, so that a wait does not cost it
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}

POSTGRESQL_OPTIONS: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    # READ COMMITTED in every transaction, whatever the database's default is. Stricter levels fail one of two writers,
    # where this one lets it wait for the other.
    "isolation_level": 2,
}

DATABASES: dict[str, Any] = {
    "default": dj_database_url.parse(database_url, conn_max_age=60, conn_health_checks=True),
}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["ENGINE"] = "jobs.db.sqlite3"
    DATABASES["default"]["OPTIONS"] = SQLITE_OPTIONS
    if not DATABASES["default"]["NAME"].startswith((":", "file:")):
        # An absolute path, so that the file does not depend on the current folder.
        DATABASES["default"]["NAME"] = str(BASE_DIR / DATABASES["default"]["NAME"])
else:
    # Keepalives notice a server that is gone without a word. Options in the URL come first.
    DATABASES["default"]["ENGINE"] = "jobs.db.postgresql"
    DATABASES["default"]["OPTIONS"] = POSTGRESQL_OPTIONS | DATABASES["default"].get("OPTIONS", {})
if cache_url:
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": cache_url,
            "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1},  # seconds; without them, for ever
        }
    }
elif CRONZIMUS["API_RATE_LIMIT"]:
    # Counted for all web processes together. `migrate` makes the table (cronzimus_site.apps).
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cronzimus_cache"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- applications ----------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "jobs",
    "cronzimus_site.admin.CronzimusAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_apscheduler",
    "rest_framework",
    "axes",
    "cronzimus_site",  # for `manage.py up`, and the cache's table
]

MIDDLEWARE = [
    "cronzimus_site.logs.RequestIdMiddleware",
    "cronzimus_site.csp.ContentSecurityPolicyMiddleware",
    "jobs.api.middleware.ErrorEnvelopeMiddleware",
    "jobs.api.middleware.ProbeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "cronzimus_site.errors.UnknownCharacterMiddleware",
    "axes.middleware.AxesMiddleware",  # the last one: it sees the login's answer
]

if CORS_ALLOWED_ORIGINS:
    INSTALLED_APPS.append("corsheaders")
    # Around all others, so that pages of those origins can read errors and redirects as well.
    MIDDLEWARE.insert(0, "corsheaders.middleware.CorsMiddleware")

ROOT_URLCONF = "cronzimus_site.urls"
WSGI_APPLICATION = "cronzimus_site.wsgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- mail ------------------------------------------------------------------------------------------------------------

globals().update(mail.email_settings(email_url))
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# --- web -------------------------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en-us"
USE_I18N = False
USE_TZ = True
STATIC_URL = f"{FORCE_SCRIPT_NAME or ''}/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "cronzimus_site.static_files.StaticFiles"
    },
}
WHITENOISE_USE_FINDERS = DEBUG

# No page has inline scripts or styles, or requests anything from another host.
SECURE_CSP = {
    "default-src": ["'self'"],
    "base-uri": ["'none'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
    "object-src": ["'none'"],
}
# Pages of CORS_ALLOWED_ORIGINS may use the API with a token. Browsers add no cookies of ours to their requests.
CORS_URLS_REGEX = r"^/(api|scheduler|metrics)(/|\Z)"
CORS_ALLOW_METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
CORS_ALLOW_HEADERS = (
    "accept", "authorization", "content-type", "idempotency-key", "if-match", "if-none-match", "traceparent",
    "tracestate", "x-request-id",
)  # fmt: skip
CORS_EXPOSE_HEADERS = (
    "ETag", "Idempotency-Replayed", "Link", "Location", "Retry-After", "WWW-Authenticate", "X-Request-ID",
    "X-Total-Count",
)  # fmt: skip
CORS_PREFLIGHT_MAX_AGE = 3600

# Names and a path of its own: browsers keep one cookie of a name for all ports of a host, and send it to all sites
# below its path. Another Django site on the same host would end the sessions of this one.
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "cronzimus_sessionid", "cronzimus_csrftoken"
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = FORCE_SCRIPT_NAME or "/"

DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 3600 if HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None

# Subdomains and the preload list are the decision of the site's owner.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

# --- logins ----------------------------------------------------------------------------------------------------------

LOGIN_REDIRECT_URL = "admin:index"  # also from a login that names an address of another site

AUTHENTICATION_BACKENDS = ["cronzimus_site.lockout.LockoutBackend", "django.contrib.auth.backends.ModelBackend"]
if PROXY_USER_HEADER:
    AUTHENTICATION_BACKENDS.insert(0, "cronzimus_site.proxy.ProxyUserBackend")
    MIDDLEWARE.insert(
        MIDDLEWARE.index("django.contrib.auth.middleware.AuthenticationMiddleware") + 1,
        "cronzimus_site.proxy.ProxyUserMiddleware",
    )

# By name and address together, so that nobody can lock a user out from elsewhere.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_ENABLED = LOGIN_FAILURES > 0
AXES_FAILURE_LIMIT = LOGIN_FAILURES
AXES_COOLOFF_TIME = timedelta(minutes=LOGIN_LOCK_MINUTES)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # so that the time that the page names is right
AXES_RESET_ON_SUCCESS = True
AXES_CLIENT_IP_CALLABLE = "cronzimus_site.proxy.client_address"
AXES_WHITELIST_CALLABLE = "cronzimus_site.proxy.is_login_of_proxy"
AXES_LOCKOUT_CALLABLE = "cronzimus_site.lockout.locked_response"
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "csrfmiddlewaretoken"]
AXES_DISABLE_ACCESS_LOG = True  # it would grow with each login
AXES_ENABLE_ADMIN = AXES_VERBOSE = False

# --- logging ---------------------------------------------------------------------------------------------------------

LOGGING = logs.configuration(LOG_FORMAT, LOG_LEVEL)
