"""Users and roles in the product's admin, in the look of its other pages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from django import forms
from django.contrib.admin import AdminSite
from django.contrib.admin.options import ModelAdmin
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UsernameField
from django.contrib.auth.models import Group, Permission, User
from django.contrib.auth.password_validation import password_validators_help_texts
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html_join
from django.utils.http import urlencode
from django.utils.text import capfirst

from jobs.admin import display
from jobs.admin.base import model_url
from jobs.admin.filters import BarFilter
from jobs.admin.lists import Link
from jobs.admin.pages import page_context
from jobs.admin.tables import Column, Content, Empty, TableAdmin
from jobs.admin.times import Times
from jobs.core.roles import Scope, permissions_of
from jobs.models import Token

PAGES = Q(content_type__app_label="cronzimus", codename__in=permissions_of(Scope.ADMIN)) | Q(
    content_type__app_label="auth", content_type__model__in=("user", "group")
)
"""The permissions that the pages of this admin ask for."""


def _roles_field() -> forms.ModelMultipleChoiceField:
    return forms.ModelMultipleChoiceField(
        Group.objects.order_by("name"), label="Roles", required=False, widget=forms.CheckboxSelectMultiple,
        help_text="What the user may do. The list of roles says what each of them allows.",
    )  # fmt: skip


class UserForm(forms.ModelForm):
    """The form of a user. The password has a page of its own."""

    groups = _roles_field()

    class Meta:
        model = User
        fields = ("username", "first_name", "last_name", "email", "is_active", "is_staff", "is_superuser", "groups")
        field_classes: ClassVar[dict[str, Any]] = {"username": UsernameField}
        labels: ClassVar[dict[str, str]] = {
            "is_staff": "May log in here", "is_superuser": "Superuser", "email": "E-mail address",
        }  # fmt: skip
        help_texts: ClassVar[dict[str, str]] = {
            "username": "Letters, digits and @ . + - _, at most 150.",
            "is_active": "A user who is not active cannot log in, and tokens of the user are refused.",
            "is_staff": "Programs that use the API need not.",
            "is_superuser": "May do everything, without a role.",
        }


class NewUserForm(AdminUserCreationForm):
    """The form of a new user, with a password or without one."""

    groups = _roles_field()

    class Meta(UserForm.Meta):
        pass

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Say what a password must be."""
        super().__init__(*args, **kwargs)
        self.fields["password1"].help_text = password_rules()
        self.fields["usable_password"].label = "Log in with a password"
        self.fields["usable_password"].help_text = "Without one, a proxy or a token must tell who the user is."
        self.fields["is_staff"].initial = True


class RoleFilter(BarFilter):
    """Users with a role."""

    title = parameter_name = "role"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the roles."""
        return list(Group.objects.order_by("name").values_list("name", "name"))

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        """Narrow the users to the chosen role."""
        return queryset.filter(groups__name=self.value()) if self.value() else queryset


class StateFilter(BarFilter):
    """Users who are active, or not."""

    title = parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the states."""
        return [("active", "active"), ("inactive", "inactive"), ("superuser", "superuser")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        """Narrow the users to the chosen state."""
        chosen = {"active": {"is_active": True}, "inactive": {"is_active": False}, "superuser": {"is_superuser": True}}
        return queryset.filter(**chosen.get(self.value() or "", {}))


def _state(user: User, times: Times) -> Content:
    if not user.is_active:
        return display.badge("cancelled", "inactive", "stop")
    return display.badge("succeeded", "active", "check")


def _roles(user: User, times: Times) -> Content:
    names = [*(["superuser"] if user.is_superuser else []), *(group.name for group in user.groups.all())]
    return format_html_join(" ", '<span class="tag">{}</span>', ((name,) for name in names)) or "none"


def _tabs(site: AdminSite, request: HttpRequest, chosen: type[Any]) -> list[Link]:
    pages = ((User, "Users", "auth.view_user"), (Group, "Roles", "auth.view_group"))
    return [
        Link(label, model_url(site, model, "changelist"), model is chosen)
        for model, label, permission in pages
        if request.user.has_perm(permission)
    ]


class UserPages(TableAdmin, UserAdmin):
    """The users, with their roles and their passwords. Only superusers change superusers."""

    form, add_form = UserForm, NewUserForm
    add_form_template = None
    change_user_password_template = "admin/user_password.html"  # noqa: S105
    list_filter = (RoleFilter, StateFilter)
    filter_horizontal = ()
    search_fields = tuple(f"{name}__has_text" for name in ("username", "first_name", "last_name", "email"))
    placeholder = "Name or e-mail address"
    add_label = "New user"
    empty = Empty(icon="user", title="No user matches")
    fieldsets = (
        ("Who", {"fields": ("username", "first_name", "last_name", "email")}),
        ("Access", {"fields": ("is_active", "is_staff", "groups", "is_superuser")}),
    )
    add_fieldsets = (
        ("Who", {"fields": ("username", "first_name", "last_name", "email")}),
        ("Password", {"fields": ("usable_password", "password1", "password2")}),
        ("Access", {"fields": ("is_staff", "groups", "is_superuser")}),
    )
    columns = (
        Column("name", "User", lambda user, times: user.get_username(),
               lambda user, times: " · ".join(filter(None, (user.get_full_name(), user.email)))),
        Column("state", "State", _state),
        Column("roles", "Roles", _roles),
        Column("staff", "Logs in here", lambda user, times: "yes" if user.is_staff else "no", look="extra"),
        Column("login", "Last login", lambda user, times: times.ago(user.last_login) if user.last_login else "never",
               look="nowrap"),
        Column("joined", "Joined", lambda user, times: times.day(user.date_joined), look="extra nowrap"),
    )  # fmt: skip

    def tabs(self, request: HttpRequest) -> list[Link]:
        """Return the tabs of users and roles."""
        return _tabs(self.admin_site, request, User)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """Return the users with their roles."""
        users: QuerySet[User] = super().get_queryset(request)
        return users.prefetch_related("groups")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the inputs. Only a superuser makes superusers."""
        found = super().get_fieldsets(request, obj)
        if request.user.is_superuser:
            return found
        return [
            (title, {**options, "fields": tuple(name for name in options["fields"] if name != "is_superuser")})
            for title, options in found
        ]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let only superusers change superusers."""
        return super().has_change_permission(request, obj) and _may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let only superusers delete superusers."""
        return super().has_delete_permission(request, obj) and _may_touch(request, obj)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the form of a user, or save it."""
        user = self.get_object(request, unquote(object_id))
        if user is not None and not self.has_change_permission(request, user):
            raise PermissionDenied
        return super().change_view(request, object_id, form_url, extra_context)

    def delete_effects(self, request: HttpRequest, row: User) -> list[str]:
        """Return the effects of deleting a user."""
        tokens = Token.objects.filter(user=row).count()
        found = [f"{tokens} token{'' if tokens == 1 else 's'} of the user will no longer work."] if tokens else []
        return [*found, "What the user did stays on record.", "To shut somebody out, take Active away instead."]

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """Go to the list: the form had everything."""
        return ModelAdmin.response_add(self, request, obj, post_url_continue)

    def aside(self, request: HttpRequest, obj: Any) -> str:
        """Return the panel with the password of a user."""
        return "admin/user_aside.html" if obj is not None else ""

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002
        """Show the form of a user's password as a page of ours, or save it."""
        response = super().user_change_password(request, id, form_url)
        context = getattr(response, "context_data", None)
        if context is not None:
            context["form"].fields["password1"].help_text = password_rules()
            context |= page_context(self.admin_site, request, live_url="", title=f"Password of {context['original']}")
        return response


def password_rules() -> str:
    """Return what a password of somebody else must be."""
    rules = " ".join(map(str, password_validators_help_texts()))
    return rules.replace("Your password", "It").replace("your other", "the user’s other")


def _may_touch(request: HttpRequest, user: Any) -> bool:
    return user is None or not user.is_superuser or bool(request.user.is_superuser)


def permission_words(permission: Permission) -> str:
    """Return a permission in words: "pause all"."""
    return capfirst(permission.name.removeprefix("Can "))


class Permissions(forms.ModelMultipleChoiceField):
    """A box for each permission."""

    widget = forms.CheckboxSelectMultiple

    def label_from_instance(self, obj: Any) -> str:
        """Return the permission in words."""
        return permission_words(obj)


class RoleForm(forms.ModelForm):
    """The form of a role, with `PAGES` and the permissions that roles have besides."""

    permissions = Permissions(
        Permission.objects.filter(PAGES | Q(group__isnull=False)).distinct()
        .order_by("content_type__app_label", "content_type__model", "codename"),
        label="Its users may", required=False,
    )  # fmt: skip

    class Meta:
        model = Group
        fields = ("name", "permissions")


class RolePages(TableAdmin, GroupAdmin):
    """The roles: groups with permissions."""

    form = RoleForm
    filter_horizontal = ()
    heading, noun = "Roles", "role"
    about = "A user may do what one of the user's roles allows."
    add_label = "New role"
    empty = Empty(icon="user", title="No role")
    columns = (
        Column("name", "Role", lambda role, times: role.name),
        Column("users", "Users", lambda role, times: f"{role.members:,}", look="num"),
        Column("permissions", "Permissions", lambda role, times: _allowed(role)),
    )  # fmt: skip

    def tabs(self, request: HttpRequest) -> list[Link]:
        """Return the tabs of users and roles."""
        return _tabs(self.admin_site, request, Group)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        """Return the roles, each with the number of its users and its permissions."""
        roles: QuerySet[Group] = super().get_queryset(request)
        return roles.annotate(members=Count("user")).prefetch_related("permissions")

    def row_links(self, request: HttpRequest, row: Group) -> Iterable[tuple[str, str]]:
        """Link to the users with the role."""
        yield "Users", f"{model_url(self.admin_site, User, 'changelist')}?{urlencode({'role': row.name})}"


def _allowed(role: Group) -> str:
    names = [permission_words(one).lower() for one in role.permissions.all()]
    shown = ", ".join(names[:6])
    return f"{shown} and {len(names) - 6} more" if len(names) > 6 else shown or "none"


def register(site: AdminSite) -> None:
    """Show users and roles in our look, instead of Django's."""
    site.unregister([User, Group])
    site.register(User, UserPages)
    site.register(Group, RolePages)
