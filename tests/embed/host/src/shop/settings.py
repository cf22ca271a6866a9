"""The shop's settings, which differ from Cronzimus's own site as much as a project's may."""

import os
from pathlib import Path

from cronzimus.core.zone_data import use_newest_data

use_newest_data()

FOLDER = Path(os.environ["SHOP_FOLDER"])
DEBUG = False
SECRET_KEY = "only-for-tests"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "shop.urls"
FORCE_SCRIPT_NAME = os.environ.get("SHOP_SCRIPT_NAME") or None

INSTALLED_APPS = [
    "accounts",
    "jobs",  # the shop's vacancies
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "cronzimus",
    "django_apscheduler",
]

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
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

AUTH_USER_MODEL = "accounts.Customer"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "de"
TIME_ZONE = "Europe/Berlin"
USE_TZ = True
USE_THOUSAND_SEPARATOR = True
STATIC_URL = "static/"

if name := os.environ.get("SHOP_POSTGRESQL"):
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": name,
            "HOST": os.environ["SHOP_HOST"],
            "PORT": os.environ["SHOP_PORT"],
            "USER": os.environ["SHOP_USER"],
            "PASSWORD": os.environ["SHOP_PASSWORD"],
            "OPTIONS": {"pool": True},
        }
    }
else:
    # Django's own five seconds are too few where all processes write to a slow disk.
    OPTIONS = {"timeout": 60}
    DATABASES = {
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "shop.sqlite3", "OPTIONS": OPTIONS}
    }
DATABASES["default"]["ATOMIC_REQUESTS"] = True
DATABASES["archive"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "archive.sqlite3"}
DATABASE_ROUTERS = ["shop.routers.Routes"]

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["shop.rendering.CamelCaseRenderer"],
    "DEFAULT_PARSER_CLASSES": ["shop.rendering.ShopParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.AnonRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {"anon": "1/day"},
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.AcceptHeaderVersioning",
    "EXCEPTION_HANDLER": "shop.api.handle",
    "PAGE_SIZE": 2,
}

CRONZIMUS = {"API_AUTH": "token", "SCHEDULER_THREADS": 10, "SCHEDULER_PROCESSES": 1}
if broker := os.environ.get("SHOP_BROKER"):
    CRONZIMUS["CELERY_BROKER_URL"] = broker
