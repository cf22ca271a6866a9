"""The admin of the product: its titles, and which pages of other apps it shows."""

from __future__ import annotations

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
    """Leave out django-apscheduler's pages: ours show jobs and runs."""
    from django_apscheduler.models import DjangoJob, DjangoJobExecution

    site.unregister([DjangoJob, DjangoJobExecution])
