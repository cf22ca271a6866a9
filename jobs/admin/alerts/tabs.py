"""The tabs and the badges of the pages of alerts."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import Model
from django.http import HttpRequest
from django.utils.safestring import SafeString

from ...core.alerts import DeliveryState, IncidentState
from ...models import AlertRule, Channel, Delivery, Incident
from .. import display
from ..base import model_url
from ..lists import Link
from ..tables import TableAdmin

TABS: tuple[tuple[str, type[Model]], ...] = (
    ("Incidents", Incident), ("Rules", AlertRule), ("Channels", Channel), ("Deliveries", Delivery),
)  # fmt: skip


class AlertsAdmin(TableAdmin):
    """A list among the pages of alerts."""

    heading = "Alerts"
    about: ClassVar[str] = "Who is told when jobs break, and when they have recovered."

    def tabs(self, request: HttpRequest) -> list[Link]:
        """Return the lists that the user may see."""
        site = self.admin_site
        shown = [(label, model) for label, model in TABS if _may_see(site, model, request)]
        return [Link(label, model_url(site, model, "changelist"), model is self.model) for label, model in shown]


def _may_see(site: Any, model: type[Model], request: HttpRequest) -> bool:
    return site.is_registered(model) and bool(site.get_model_admin(model).has_view_permission(request))


LOOKS: dict[str, tuple[str, str]] = {
    IncidentState.OPEN: ("failed", "flag"), IncidentState.ACKNOWLEDGED: ("missed", "user"),
    IncidentState.RECOVERED: ("succeeded", "check"), DeliveryState.PENDING: ("queued", "hourglass"),
    DeliveryState.DELIVERED: ("succeeded", "check"), DeliveryState.FAILED: ("failed", "cross"),
    DeliveryState.DROPPED: ("skipped", "skip"),
}  # fmt: skip
"""The class that gives the colour of a state, and its icon."""


def badge(state: str, *, pill: bool = False) -> SafeString:
    """Return the state of an incident or of a delivery as icon and word."""
    kind, icon = LOOKS.get(state, ("unknown", "warning"))
    return display.badge(kind, state, icon, pill=pill)
