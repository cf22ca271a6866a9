"""API tokens in the admin: made for a user, shown once, revoked by deleting."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from knox.models import AuthToken

from .. import display
from ..base import BaseAdmin
from ..request_time import request_now, row_now

LONGEST = 3650
"""Days that a token may be valid, at most."""


class TokenForm(forms.ModelForm):
    """Whose token, and how long it lasts."""

    days = forms.IntegerField(
        label="Days",
        min_value=1,
        max_value=LONGEST,
        required=False,
        help_text="It expires after so many. Empty: never.",
    )

    class Meta:
        model = AuthToken
        fields = ("user",)


class TokenAdmin(BaseAdmin):
    """The list of tokens by their first characters: the token itself is not kept, only its hash."""

    form = TokenForm
    fields = ("user", "days")
    list_display = ("token_key", "user", "made", "expires")
    list_select_related = ("user",)
    list_display_links = None
    ordering = ("-created",)
    search_fields = ("token_key", f"user__{get_user_model().USERNAME_FIELD}")

    def has_change_permission(self, request: HttpRequest, obj: AuthToken | None = None) -> bool:
        """A token is as it was made, until it is revoked."""
        return False

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer other people's names to superusers alone: a token acts as its user."""
        if db_field.name == "user":
            kwargs |= {"queryset": _users(request), "initial": request.user.pk}
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_form(self, request: HttpRequest, obj: AuthToken | None = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form without the buttons that would lead away to the users' own pages."""
        form = super().get_form(request, obj, change, **kwargs)
        if "user" in form.base_fields:
            widget = form.base_fields["user"].widget
            widget.can_add_related = widget.can_change_related = widget.can_view_related = False
        return form

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Offer one button: every token is shown on a page of its own."""
        context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: AuthToken, form: Any, change: bool) -> None:
        """Make the token, and keep it for the one page that shows it."""
        days = form.cleaned_data["days"]
        expiry = timedelta(days=days) if days else None
        made, obj.token = AuthToken.objects.create(obj.user, expiry=expiry)
        obj.pk, obj.token_key, obj.expiry = made.pk, made.token_key, made.expiry

    def response_add(self, request: HttpRequest, obj: AuthToken, post_url_continue: str | None = None) -> HttpResponse:
        """Show the token, this once. It goes into no cookie, no session and no log."""
        context = {
            **self.admin_site.each_context(request),
            "title": "Token added",
            "opts": self.opts,
            "token": obj.token,
            "token_user": obj.user,
            "expiry": display.instant(obj.expiry, request_now(request), ZoneInfo(settings.TIME_ZONE)),
        }
        response = TemplateResponse(request, "cronzimus/tokens/added.html", context)
        response["Cache-Control"] = "no-store"
        return response

    @admin.display(description="Created", ordering="created")
    def made(self, token: AuthToken) -> SafeString | str:
        """Return when it was made."""
        return display.instant(token.created, row_now(token), ZoneInfo(settings.TIME_ZONE))

    @admin.display(description="Expires", ordering="expiry", empty_value="never")
    def expires(self, token: AuthToken) -> SafeString | str:
        """Return when it expires, or expired."""
        if token.expiry is None:
            return "never"
        return display.instant(token.expiry, row_now(token), ZoneInfo(settings.TIME_ZONE))


def _users(request: HttpRequest) -> QuerySet[AbstractUser]:
    users = get_user_model()._default_manager.all()
    return users if request.user.is_superuser else users.filter(pk__in=[request.user.pk])
