"""The admin site: its titles, and the pages of others that ours take the place of."""

from __future__ import annotations

import django_apscheduler.admin  # noqa: F401 (registers its pages, whichever app comes first)
import knox.models
from django.apps import apps
from django.contrib import admin
from django_apscheduler.models import DjangoJob, DjangoJobExecution

admin.site.site_title = admin.site.site_header = admin.site.index_title = "Cronzimus"
admin.site.site_url = None  # there is no other site to view
# People see one list of jobs and one of runs, ours.
admin.site.unregister([DjangoJob, DjangoJobExecution])
# What people know as tokens of the API is no "auth token" of "Knox" to them. Names alone: migrations see none of it.
vars(apps.get_app_config("knox"))["verbose_name"] = "API"
knox.models.AuthToken._meta.verbose_name = "token"
knox.models.AuthToken._meta.verbose_name_plural = "tokens"
