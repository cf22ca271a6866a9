"""The admin of the product: its titles, and its choice of other apps' pages."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_login_failed
from django.http import HttpRequest
from django.utils.decorators import method_decorator
from django.views.decorators.gzip import gzip_page

from .logins import log_failed_login


class CronzimusAdminConfig(SimpleAdminConfig):
    """Django's admin with our site. `urls.py` discovers the pages, because a scheduler needs none of them."""

    default_site = "cronzimus_site.admin.CronzimusAdminSite"

    def ready(self) -> None:
        """Log failed logins."""
        super().ready()
        user_login_failed.connect(log_failed_login, dispatch_uid="cronzimus_site.log_failed_login")


class CronzimusAdminSite(AdminSite):
    """The site at /admin/."""

    site_title = site_header = index_title = "Cronzimus"
    site_url = None  # there is no other site to view
    enable_nav_sidebar = False  # templates/admin/base.html has our own sidebar

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Add the shell, which the templates in templates/admin show around every page."""
        from jobs.admin.shell.shell import Shell

        return {**super().each_context(request), "shell": Shell(self, request)}

    def login(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Show the form, or log in. A right password of a user who is not staff is a failure, too."""
        nobody = not get_user_model().objects.filter(is_active=True, is_staff=True).exists()
        response = super().login(request, {**(extra_context or {}), "nobody": nobody})
        form = (getattr(response, "context_data", None) or {}).get("form")
        if form is not None and form.is_bound and form.get_user() is not None:
            log_failed_login(self, {"username": form.get_user().get_username()}, request)
        return response

    @method_decorator(gzip_page)
    def index(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Show the overview to users who may see jobs, and Django's list of pages to others."""
        from jobs.admin import JobAdmin
        from jobs.models import Job

        jobs = self._registry.get(Job)
        if isinstance(jobs, JobAdmin) and jobs.has_view_permission(request):
            return jobs.overview_view(request)
        return super().index(request, extra_context)

    def get_urls(self) -> list[Any]:
        """Add the addresses of the shell."""
        from jobs.admin.shell.views import urls

        return [*urls(self), *super().get_urls()]


def arrange(site: AdminSite) -> None:
    """Remove django-apscheduler's pages, since ours show jobs and runs, show users in our look, and lock logins."""
    from axes.signals import user_locked_out
    from django_apscheduler.models import DjangoJob, DjangoJobExecution

    from . import users
    from .lockout import LoginForm, log_lockout

    site.unregister([DjangoJob, DjangoJobExecution])
    users.register(site)
    site.login_form = LoginForm
    user_locked_out.connect(log_lockout, dispatch_uid="cronzimus_site.log_lockout")
