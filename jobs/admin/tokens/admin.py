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

from ... import services
from ...core.roles import Scope
from ...models import Token
from .. import display
from ..base import BaseAdmin
from ..request_time import request_now, row_now

MAX_DAYS = 3650
"""Days after which a token can expire, at most."""
SCOPES = {
    Scope.READ: "read: see jobs, runs and schedulers",
    Scope.RUN: "run: also run, pause and cancel",
    Scope.WRITE: "write: also create, change and delete jobs",
    Scope.ADMIN: "admin: also pause everything, and manage tokens",
}
"""What the form says of each scope."""


class TokenForm(forms.ModelForm):
    """Whose token, what it may do, and how long it lasts."""

    scope = forms.ChoiceField(
        label="Scope",
        choices=[(scope.value, text) for scope, text in SCOPES.items()],
        initial=Scope.ADMIN.value,
        help_text="It may never do more than its user.",
    )
    tag_list = forms.CharField(
        label="Tags", required=False, help_text="Limit it to jobs with one of these tags, separated by blanks."
    )
    days = forms.IntegerField(
        label="Days",
        min_value=1,
        max_value=MAX_DAYS,
        required=False,
        help_text="It expires after so many. Empty: never.",
    )

    class Meta:
        model = Token
        fields = ("user", "name")


class TokenAdmin(BaseAdmin):
    """The list of tokens by their first characters: the secret itself is not kept, only its hash."""

    form = TokenForm
    fields = ("user", "name", "scope", "tag_list", "days")
    list_display = ("prefix", "name", "user", "scope_list", "tag_list", "made", "used", "expires")
    list_select_related = ("user",)
    list_display_links = None
    ordering = ("-created_at",)
    search_fields = ("prefix", "name__has_text", f"user__{get_user_model().USERNAME_FIELD}")

    def has_change_permission(self, request: HttpRequest, obj: Token | None = None) -> bool:
        """A token is as it was made, until it is revoked."""
        return False

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer other people's names to superusers alone: a token acts as its user."""
        if db_field.name == "user":
            kwargs |= {"queryset": _users(request), "initial": request.user.pk}
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_form(self, request: HttpRequest, obj: Token | None = None, change: bool = False, **kwargs: Any) -> Any:
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

    def save_model(self, request: HttpRequest, obj: Token, form: Any, change: bool) -> None:
        """Make the token, and keep its secret for the one page that shows it."""
        now, chosen = request_now(request), form.cleaned_data
        made, secret = services.create_token(
            obj.user,
            now=now,
            name=obj.name,
            scopes=[chosen["scope"]],
            tags=chosen["tag_list"].split(),
            expires_at=now + timedelta(days=chosen["days"]) if chosen["days"] else None,
        )
        vars(obj).update(vars(made), secret=secret)

    def delete_model(self, request: HttpRequest, obj: Token) -> None:
        """Revoke the token."""
        services.revoke_token(obj, now=request_now(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Token]) -> None:
        """Revoke the tokens."""
        for token in queryset.select_related("user"):
            services.revoke_token(token, now=request_now(request))

    def response_add(self, request: HttpRequest, obj: Token, post_url_continue: str | None = None) -> HttpResponse:
        """Show the secret, this once. It goes into no cookie, no session and no log."""
        context = {
            **self.admin_site.each_context(request),
            "title": "Token added",
            "opts": self.opts,
            "token": vars(obj)["secret"],
            "token_user": obj.user,
            "expiry": _instant(obj.expires_at, request_now(request)),
        }
        response = TemplateResponse(request, "cronzimus/tokens/added.html", context)
        response["Cache-Control"] = "no-store"
        return response

    @admin.display(description="Scopes")
    def scope_list(self, token: Token) -> str:
        """Return its scopes."""
        return ", ".join(map(str, token.scopes)) if isinstance(token.scopes, list) else ""

    @admin.display(description="Tags")
    def tag_list(self, token: Token) -> str:
        """Return the tags to which it is limited."""
        return ", ".join(map(str, token.tags)) if isinstance(token.tags, list) else ""

    @admin.display(description="Created", ordering="created_at")
    def made(self, token: Token) -> SafeString | str:
        """Return when it was made."""
        return _instant(token.created_at, row_now(token))

    @admin.display(description="Last used", ordering="last_used_at")
    def used(self, token: Token) -> SafeString | str:
        """Return when it was used last, to the minute."""
        return _instant(token.last_used_at, row_now(token))

    @admin.display(description="Expires", ordering="expires_at")
    def expires(self, token: Token) -> SafeString | str:
        """Return when it expires, or expired."""
        return _instant(token.expires_at, row_now(token))


def _instant(at: Any, now: Any) -> SafeString | str:
    return display.instant(at, now, ZoneInfo(settings.TIME_ZONE)) if at else "never"


def _users(request: HttpRequest) -> QuerySet[AbstractUser]:
    users = get_user_model()._default_manager.all()
    return users if request.user.is_superuser else users.filter(pk__in=[request.user.pk])
