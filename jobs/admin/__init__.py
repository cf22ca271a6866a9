"""The admin: jobs, their runs, the schedulers and the API's tokens. It uses `services`, and never the scheduler."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Model

from ..models import AlertRule, AuditEvent, Channel, Delivery, Incident, Job, Run, Scheduler, Token
from .alerts.admin import AlertRuleAdmin, ChannelAdmin, DeliveryAdmin, IncidentAdmin
from .audit.admin import AuditEventAdmin
from .base import BaseAdmin
from .jobs.admin import JobAdmin
from .runs.admin import RunAdmin
from .schedulers.admin import SchedulerAdmin
from .tokens.admin import TokenAdmin

__all__ = ["JobAdmin", "RunAdmin", "SchedulerAdmin", "TokenAdmin", "register"]

PAGES: dict[type[Model], type[BaseAdmin]] = {
    Job: JobAdmin, Run: RunAdmin, Scheduler: SchedulerAdmin, Incident: IncidentAdmin, AlertRule: AlertRuleAdmin,
    Channel: ChannelAdmin, Delivery: DeliveryAdmin, Token: TokenAdmin, AuditEvent: AuditEventAdmin,
}  # fmt: skip
"""Our pages, by model."""


def register(site: admin.AdminSite) -> None:
    """Add our pages to `site`, except for models that it has already. Nothing else of the site changes."""
    for model, page in PAGES.items():
        if not site.is_registered(model):
            site.register(model, page)


register(admin.site)
