"""Users and roles in the product's admin."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from jobs.models import Token
from tests.fakes import NOW
from tests.integration.admin_support import Admin, admin_fixture, at_noon_fixture, text  # noqa: F401

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

USERS, ROLES = "/admin/auth/user/", "/admin/auth/group/"
PASSWORD = "correct horse battery"


@pytest.fixture
def ben() -> User:
    user = User.objects.create_user("ben", "ben@example.com", PASSWORD, first_name="Ben", is_staff=True)
    user.groups.add(Group.objects.get(name="Cronzimus viewer"))
    return user


def keeper(*more: str) -> Admin:
    """Return somebody who keeps the users, and is no superuser."""
    somebody = Admin("view_user", "add_user", "change_user", "delete_user", *more)
    return somebody


def row(page: str, name: str) -> str:
    found = page[page.index(f'data-key="{User.objects.get(username=name).pk}"') :]
    return text(found[: found.index("</tr>")])


def test_users_are_listed_with_their_roles(admin: Admin, ben: User) -> None:
    User.objects.create_user("old", is_active=False)
    page = admin.read(USERS)
    assert "Ben · ben@example.com active Cronzimus viewer yes never" in row(page, "ben")
    assert "inactive none no never" in row(page, "old")
    assert "superuser" in row(page, "root")
    assert "Users Roles" in text(page)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"role": "Cronzimus viewer"}, {"ben"}), ({"role": "x"}, set()), ({"state": "inactive"}, {"old"}),
        ({"state": "superuser"}, {"root"}), ({"q": "example.com"}, {"ben"}), ({"state": "x"}, {"ben", "old", "root"}),
    ],
)  # fmt: skip
def test_the_list_is_narrowed(admin: Admin, ben: User, query: dict[str, str], found: set[str]) -> None:
    User.objects.create_user("old", is_active=False)
    page = admin.read(USERS, **query)
    assert {name for name in ("ben", "old", "root") if f">{name}</a>" in page} == found


def test_the_list_takes_a_fixed_number_of_queries(admin: Admin, ben: User, django_assert_max_num_queries) -> None:
    for number in range(20):
        User.objects.create_user(f"user-{number}").groups.add(*Group.objects.all())
    with django_assert_max_num_queries(20):
        admin.read(USERS)


def test_a_user_is_made_with_roles_and_a_password_in_one_form(admin: Admin) -> None:
    viewer = Group.objects.get(name="Cronzimus viewer")
    sent = {"username": "cem", "email": "cem@example.com", "is_staff": "on", "groups": [viewer.pk],
            "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}  # fmt: skip
    response = admin.send(f"{USERS}add/", **sent)
    assert response.redirect_chain[-1][0] == USERS
    cem = User.objects.get(username="cem")
    assert (cem.is_staff, cem.is_superuser, cem.email) == (True, False, "cem@example.com")
    assert list(cem.groups.all()) == [viewer]
    assert cem.check_password(PASSWORD)


def test_a_user_of_a_proxy_or_a_token_needs_no_password(admin: Admin) -> None:
    admin.send(f"{USERS}add/", username="robot", usable_password="false")
    assert not User.objects.get(username="robot").has_usable_password()


def test_a_weak_password_is_refused_at_its_input(admin: Admin) -> None:
    sent = {"username": "cem", "usable_password": "true", "password1": "password", "password2": "password"}
    assert "too common" in text(admin.send(f"{USERS}add/", **sent).content.decode())
    assert not User.objects.filter(username="cem").exists()


def test_a_user_is_changed_and_keeps_single_permissions_and_the_password(admin: Admin, ben: User) -> None:
    ben.user_permissions.add(Permission.objects.get(codename="pause_all"))
    editor = Group.objects.get(name="Cronzimus editor")
    page = admin.read(f"{USERS}{ben.pk}/change/")
    assert "Its users may" not in page
    assert "The user logs in with a password." in page
    admin.send(f"{USERS}{ben.pk}/change/", username="ben", first_name="Benjamin", is_active="on", groups=[editor.pk])
    ben.refresh_from_db()
    assert (ben.first_name, ben.is_staff, list(ben.groups.all())) == ("Benjamin", False, [editor])
    assert ben.user_permissions.count() == 1
    assert ben.check_password(PASSWORD)


def test_a_password_is_set_by_somebody_else(admin: Admin, ben: User) -> None:
    path = f"{USERS}{ben.pk}/password/"
    page = admin.read(path)
    assert "Password of ben" in page
    assert "at least 8 characters" in text(page)
    other = "another staple entirely"
    sent = {"usable_password": "true", "password1": other, "password2": other, "set-password": "1"}
    admin.send(path, **sent)
    ben.refresh_from_db()
    assert ben.check_password(other)
    admin.send(path, usable_password="false", **{"unset-password": "1"})
    ben.refresh_from_db()
    assert not ben.has_usable_password()


def test_what_is_wrong_with_a_password_is_said(admin: Admin, ben: User) -> None:
    sent = {"usable_password": "true", "password1": "a", "password2": "b", "set-password": "1"}
    page = text(admin.send(f"{USERS}{ben.pk}/password/", **sent).content.decode())
    assert "didn’t match" in page


def test_nobody_but_a_superuser_makes_or_changes_superusers(admin: Admin, ben: User) -> None:
    somebody = keeper()
    assert "is_superuser" not in somebody.read(f"{USERS}add/")
    sent = {"username": "ben", "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    somebody.send(f"{USERS}{ben.pk}/change/", **sent)
    ben.refresh_from_db()
    assert not ben.is_superuser
    root = User.objects.get(username="root")
    for page in ("change", "delete", "password"):
        assert somebody.client.get(f"{USERS}{root.pk}/{page}/").status_code == 403
    assert somebody.client.post(f"{USERS}{root.pk}/password/", {"password1": PASSWORD}).status_code == 403
    admin.send(f"{USERS}{ben.pk}/change/", **sent)
    ben.refresh_from_db()
    assert ben.is_superuser


def test_whoever_may_only_see_users_changes_none(ben: User) -> None:
    somebody = Admin("view_user")
    page = somebody.read(USERS)
    assert f"{USERS}{ben.pk}/change/" not in page
    assert "New user" not in page
    for path in (f"{USERS}add/", f"{USERS}{ben.pk}/change/", f"{USERS}{ben.pk}/password/"):
        assert somebody.client.post(path, {"username": "x"}).status_code == 403


def test_the_effects_of_deleting_a_user_are_told(admin: Admin, ben: User) -> None:
    Token.objects.create(user=ben, prefix="abc", digest="x" * 64, scopes=["read"], created_at=NOW)
    page = text(admin.read(f"{USERS}{ben.pk}/delete/"))
    assert "1 token of the user will no longer work." in page


# --- roles -----------------------------------------------------------------------------------------------------------


def test_roles_are_listed_with_their_users_and_permissions(admin: Admin, ben: User) -> None:
    page = text(admin.read(ROLES))
    assert "Cronzimus viewer 1 view " in page
    assert "and" in page
    assert "4 roles" in page


def test_a_role_is_made_of_permissions(admin: Admin) -> None:
    allowed = Permission.objects.get(codename="run_job")
    page = admin.read(f"{ROLES}add/")
    assert "New role" in text(page)
    assert "Run job" in text(page)
    assert "Add roll up" not in text(page)
    admin.send(f"{ROLES}add/", name="Starters", permissions=[allowed.pk])
    assert list(Group.objects.get(name="Starters").permissions.all()) == [allowed]


def test_a_permission_of_another_app_stays_in_its_role(admin: Admin) -> None:
    other = Permission.objects.get(codename="view_logentry")
    assert "View log entry" not in text(admin.read(f"{ROLES}add/"))
    role = Group.objects.create(name="Readers")
    role.permissions.add(other)
    assert "View log entry" in text(admin.read(f"{ROLES}{role.pk}/change/"))
    admin.send(f"{ROLES}{role.pk}/change/", name="Readers", permissions=[other.pk])
    assert list(role.permissions.all()) == [other]


def test_where_nobody_can_log_in_yet_the_login_says_how_to_make_the_first_user(client: Client) -> None:
    User.objects.create_user("program")
    assert "manage.py createsuperuser" in client.get("/admin/login/").content.decode()
    User.objects.create_superuser("ana")
    assert "createsuperuser" not in client.get("/admin/login/").content.decode()


# --- the other pages of Django ---------------------------------------------------------------------------------------


def test_the_own_password_is_changed(ben: User) -> None:
    somebody = Admin("view_job")
    user = User.objects.get(pk=somebody.client.session["_auth_user_id"])
    user.set_password(PASSWORD)
    user.save()
    somebody.client.force_login(user)
    assert "Change password" in somebody.read("/admin/password_change/")
    other = "another staple entirely"
    somebody.send("/admin/password_change/", old_password=PASSWORD, new_password1=other, new_password2=other)
    user.refresh_from_db()
    assert user.check_password(other)


def test_the_pages_of_an_app_and_of_nobody_have_the_frame(admin: Admin, ben: User) -> None:
    page = admin.read("/admin/auth/")
    assert 'id="shell-navigation"' in page
    assert f'href="{USERS}add/"' in page
    nobody = Admin()
    assert "There is nothing that you may see" in nobody.read("/admin/")


def test_a_role_links_its_users_by_a_valid_address(admin: Admin) -> None:
    page = admin.read("/admin/auth/group/")
    assert 'href="/admin/auth/user/?role=Cronzimus+admin"' in page
    assert admin.client.get("/admin/auth/user/?role=Cronzimus+admin").status_code == 200
