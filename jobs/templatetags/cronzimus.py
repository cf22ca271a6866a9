"""Tags for the templates in a host project."""

from __future__ import annotations

from typing import Any

from django import template
from django.contrib.admin.sites import all_sites
from django.template import RequestContext

from ..admin.shell.navigation import Item, navigation

register = template.Library()


@register.inclusion_tag("cronzimus/site_pages.html", takes_context=True)
def site_pages(context: RequestContext) -> dict[str, Any]:
    """Show links to our pages on the admin site of the request: Django's own menu has only pages of models."""
    request = context["request"]
    site = next((site for site in all_sites if site.name == getattr(request, "current_app", None)), None)
    pages: list[Item] = []
    if site is not None:
        pages = [item for group in navigation(site, request, None) for item in group.items]
    return {"pages": pages}
