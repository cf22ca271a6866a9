"""API tokens in the admin: made for a user, shown once, disabled for a while, and revoked by deletion."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ... import services
from ...core.exceptions import CronzimusError
from ...core.roles import Scope
from ...definitions.validation import tag_problem
from ...models import Token
from .. import display
from ..pages import page
from ..request_time import request_now
from ..row_action_views import bulk_actions
from ..row_actions import Call, RowAction, stored
from ..tables import Column, Content, Empty, TableAdmin
from ..times import Times

MAX_DAYS = 3650
"""Days after which a token can expire, at most."""
SCOPES = {
    Scope.READ: "read: see jobs, runs and schedulers",
    Scope.RUN: "run: also run, pause and cancel",
    Scope.WRITE: "write: also create, change and delete jobs",
    Scope.ADMIN: "admin: also pause everything, and manage tokens",
}
"""The labels of the scopes in the form."""
UNUSED = timedelta(days=90)
"""Time without use after which a token is marked as unused."""
KEEPING = ((0, "no longer"), (1, "1 hour"), (24, "1 day"), (168, "7 days"))
"""Hours for which an old token may stay valid beside the new one."""


class TokenForm(forms.ModelForm):
    """The form of a token: its user, its limits, and its expiry."""

    name = forms.CharField(required=False, max_length=100, help_text="What it is for.")
    scope = forms.ChoiceField(
        label="Scope",
        widget=forms.RadioSelect,
        choices=[(scope.value, text) for scope, text in SCOPES.items()],
        initial=Scope.READ.value,
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
        widget=forms.NumberInput({"class": "short"}),
        help_text="It expires after so many. Empty: never.",
    )

    class Meta:
        model = Token
        fields = ("user", "name")

    def clean_tag_list(self) -> list[str]:
        """Refuse what cannot be a tag of a job: such a token would reach no job."""
        tags: list[str] = self.cleaned_data["tag_list"].split()
        if problem := next(filter(None, map(tag_problem, tags)), ""):
            raise forms.ValidationError(problem)
        return tags


class RotateForm(forms.Form):
    """The time for which the old token stays valid."""

    hours = forms.TypedChoiceField(
        label="The old token is valid for", choices=KEEPING, coerce=int, initial=24, widget=forms.RadioSelect,
    )  # fmt: skip


def _name(token: Token, times: Times) -> Content:
    return token.name or format_html("<code>{}…</code>", token.prefix)


def _prefix(token: Token, times: Times) -> Content:
    return format_html("<code>{}…</code>", token.prefix) if token.name else ""


def _state(token: Token, times: Times) -> Content:
    """Return whether a token is valid, and whether it is used."""
    if token.is_expired(times.now):
        return display.badge("cancelled", "expired", "clock")
    if token.disabled_at is not None:
        return display.badge("job-paused", "disabled", "pause")
    if not token.user.is_active:
        return display.badge("cancelled", "user is inactive", "stop")
    if times.now - (token.last_used_at or token.created_at) > UNUSED:
        return display.badge("missed", f"unused for {UNUSED.days} days", "hourglass")
    return display.badge("succeeded", "valid", "check")


def _since(token: Token, times: Times) -> Content:
    if token.disabled_at is None or token.is_expired(times.now):
        return ""
    return format_html("since {}", times.at(token.disabled_at, seconds=False))


def _disable(token_id: Any, call: Call) -> SafeString:
    return format_html(
        "{}; its programs get 401", str(services.disable_token(stored(Token, token_id).pk, now=call.now))
    )


def _enable(token_id: Any, call: Call) -> SafeString:
    return format_html("{}", str(services.enable_token(stored(Token, token_id).pk, now=call.now)))


def _ago(at: datetime | None, times: Times) -> Content:
    return times.ago(at) if at else "never"


def _texts(value: Any) -> Content:
    words = ((str(one),) for one in value) if isinstance(value, list) else ()
    return format_html_join(" ", '<span class="tag">{}</span>', words)


class TokenAdmin(TableAdmin):
    """The list of tokens by their first characters. Only a hash of the secret is stored."""

    form = TokenForm
    fields = ("user", "name", "scope", "tag_list", "days")
    list_select_related = ("user",)
    ordering = ("-created_at",)
    search_fields = ("prefix", "name__has_text", f"user__{get_user_model().USERNAME_FIELD}__has_text")
    placeholder = "Name, user or first characters"
    about = "Programs use tokens for the API. Each may do what its user may do, within its scope, until it expires."
    add_label = "New token"
    empty = Empty(icon="key", title="No token yet", text="A program needs one to use the API without a browser.")
    columns = (
        Column("name", "Token", _name, _prefix),
        Column("state", "State", _state, _since),
        Column("user", "User", lambda token, times: token.user.get_username()),
        Column("scope_list", "Scope", lambda token, times: _texts(token.scopes)),
        Column("tag_list", "Jobs", lambda token, times: _texts(token.tags) or "all"),
        Column("used", "Last used", lambda token, times: _ago(token.last_used_at, times),
               lambda token, times: token.last_address, "nowrap"),
        Column("expires", "Expires", lambda token, times: _ago(token.expires_at, times),
               lambda token, times: times.at(token.expires_at, seconds=False) if token.expires_at else "", "nowrap"),
        Column("made", "Created", lambda token, times: times.day(token.created_at), look="extra nowrap"),
    )  # fmt: skip
    row_actions: ClassVar[dict[str, RowAction]] = {
        "disable": RowAction(label="Disable", done="Disabled", permissions=("change_token",), do=_disable),
        "enable": RowAction(label="Enable", done="Enabled", permissions=("change_token",), do=_enable),
    }
    actions = bulk_actions(row_actions)

    def has_change_token_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may disable and enable tokens."""
        return bool(request.user.has_perm("cronzimus.change_token"))

    def offered(self, row: Token, now: datetime) -> Iterable[str]:
        """Offer to disable a token, or to enable a disabled one; an expired one has neither."""
        if row.is_expired(now):
            return ()
        return ("disable",) if row.disabled_at is None else ("enable",)

    def logged_row(self, key: Any) -> Token | None:
        """Return the token, whose log gets the entries of actions."""
        return Token.objects.filter(pk=key).first()

    def own_urls(self) -> list[URLPattern]:
        """Return the address at which a token is rotated."""
        return [self.both("<path:object_id>/rotate/", self.rotate_view, "rotate"), *super().own_urls()]

    def row_page(self, request: HttpRequest, row: Token) -> str:
        """Return "": a token has no page."""
        return ""

    def row_title(self, row: Token | None) -> str:
        """Return its name, or its first characters."""
        return str(row)

    def row_links(self, request: HttpRequest, row: Token) -> Iterable[tuple[str, str]]:
        """Link to the questions before it is rotated or revoked."""
        if self._may_rotate(request, row):
            yield "Rotate…", self.page_url("rotate", row.pk)
        if self.has_delete_permission(request):
            yield "Revoke…", self.page_url("delete", row.pk)

    def delete_effects(self, request: HttpRequest, row: Token) -> list[str]:
        """Describe the effect of a revocation."""
        used = f"It was used last {display.relative(row.last_used_at, request_now(request))}" if row.last_used_at else (
            "It was never used")  # fmt: skip
        return ["Programs that use it get 401 from now on.", f"{used}. This cannot be undone."]

    def _may_rotate(self, request: HttpRequest, token: Token) -> bool:
        """Tell whether the user may see a new secret: a token acts as its user."""
        own = token.user_id == request.user.pk or request.user.is_superuser
        return self.has_add_permission(request) and own and token.is_valid(request_now(request))

    def rotate_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for the remaining time of the old token, make the new one, and show its secret."""
        self.require(request, "add", "view")
        token: Token | None = self.get_object(request, unquote(object_id))
        if token is None:
            raise Http404
        if not self._may_rotate(request, token):
            raise PermissionDenied
        form = RotateForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            keep = timedelta(hours=form.cleaned_data["hours"])
            try:
                made, secret = services.rotate_token(token, now=request_now(request), keep=keep)
            except CronzimusError as error:
                self.message_user(request, f"Not rotated: {error}.", messages.ERROR)
                return HttpResponseRedirect(self.page_url("changelist"))
            return self._shown_once(request, made, secret, "Token rotated")
        return page(
            self.admin_site, request, "cronzimus/tokens/rotate.html", title=f"Rotate {token}", live_url="", token=token,
            form=form, back=self.page_url("changelist"), opts=self.opts,
        )  # fmt: skip

    def has_change_permission(self, request: HttpRequest, obj: Token | None = None) -> bool:
        """Return False: the limits of a token do not change."""
        return False

    def get_form(self, request: HttpRequest, obj: Token | None = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form. It offers other users only to superusers: a token acts as its user."""
        form = super().get_form(request, obj, change, **kwargs)
        form.base_fields["user"] = forms.ModelChoiceField(
            _users(request), initial=request.user.pk, help_text="The token may do what its user may do."
        )
        return form

    def save_model(self, request: HttpRequest, obj: Token, form: Any, change: bool) -> None:
        """Make the token, and keep its secret for the page that shows it once."""
        now, chosen = request_now(request), form.cleaned_data
        made, secret = services.create_token(
            obj.user,
            now=now,
            name=obj.name,
            scopes=[chosen["scope"]],
            tags=chosen["tag_list"],
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
        """Show the secret."""
        return self._shown_once(request, obj, vars(obj)["secret"], "Token added")

    def _shown_once(self, request: HttpRequest, token: Token, secret: str, title: str) -> HttpResponse:
        """Show the secret once. It is in no cookie, session or log."""
        times = Times.of(request)
        response = page(
            self.admin_site, request, "cronzimus/tokens/added.html", title=title, live_url="", opts=self.opts,
            token=secret, token_user=token.user, list_url=self.page_url("changelist"),
            expiry=times.at(token.expires_at) if token.expires_at else "never",
        )  # fmt: skip
        response["Cache-Control"] = "no-store"
        return response


def _users(request: HttpRequest) -> QuerySet[AbstractUser]:
    users = get_user_model()._default_manager.all()
    return users if request.user.is_superuser else users.filter(pk__in=[request.user.pk])
