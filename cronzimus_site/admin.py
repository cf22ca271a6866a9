"""The admin of the product: its titles, and which pages of other apps it shows."""

from __future__ import annotations

from django.apps import apps
from django.contrib.admin import AdminSite
from django.contrib.admin.apps import SimpleAdminConfig


class CronzimusAdminConfig(SimpleAdminConfig):
    """Django's admin with our site. `urls.py` discovers the pages, because a scheduler needs none of them."""

    default_site = "cronzimus_site.admin.CronzimusAdminSite"


class CronzimusAdminSite(AdminSite):
    """The site at /admin/."""

    site_title = site_header = index_title = "Cronzimus"
    site_url = None  # there is no other site to view


def arrange(site: AdminSite) -> None:
    """Replace knox's page of tokens by ours, and leave out django-apscheduler's pages: ours show jobs and runs."""
    from django_apscheduler.models import DjangoJob, DjangoJobExecution
    from knox.models import AuthToken

    from jobs.admin import TokenAdmin

    site.unregister([DjangoJob, DjangoJobExecution, AuthToken])
    site.register(AuthToken, TokenAdmin)
    # "Auth tokens" of "Knox" mean nothing to the users. Only names change: migrations do not see it.
    vars(apps.get_app_config("knox"))["verbose_name"] = "API"
    AuthToken._meta.verbose_name, AuthToken._meta.verbose_name_plural = "token", "tokens"
