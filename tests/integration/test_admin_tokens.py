"""Tokens are switched off and on again: their programs keep the secret, and get 401 meanwhile."""

from __future__ import annotations

import pytest

from jobs import services
from jobs.core.exceptions import InvalidRequest
from jobs.models import AuditEvent, Token
from jobs.services import find_token
from tests.fakes import NOW, after, make_token, make_user
from tests.integration.admin_support import TOKENS, Admin, admin_fixture, at_noon_fixture, cell, messages  # noqa: F401


def test_a_token_is_disabled_and_enabled_again(admin: Admin) -> None:
    secret = make_token(admin.user, name="deploy").partition(" ")[2]
    token = Token.objects.get()
    assert f'formaction="{TOKENS}{token.pk}/disable/"' in admin.read(TOKENS)
    assert messages(admin.send(f"{TOKENS}{token.pk}/disable/")) == ["Disabled: deploy; its programs get 401."]
    assert find_token(secret, now=NOW) is None
    assert cell(admin.read(TOKENS), "state") == "disabled since 12:00"
    admin.send(f"{TOKENS}{token.pk}/enable/")
    assert find_token(secret, now=NOW) == token
    assert cell(admin.read(TOKENS), "state") == "valid"
    made = AuditEvent.objects.order_by("id").values_list("action", "actor")
    assert list(made)[-2:] == [("token_disabled", "root"), ("token_enabled", "root")]


def test_cancelling_a_revocation_leads_back_to_the_list(admin: Admin) -> None:
    make_token(admin.user, name="deploy")
    question = admin.read(f"{TOKENS}{Token.objects.get().pk}/delete/")
    assert f'href="{TOKENS}">Cancel</a>' in question


def test_many_are_disabled_at_once(admin: Admin) -> None:
    for name in ("a", "b"):
        make_token(admin.user, name=name)
    admin.send(TOKENS, action="disable", index=0, _selected_action=list(Token.objects.values_list("pk", flat=True)))
    assert not Token.objects.filter(disabled_at=None).exists()


def test_it_takes_the_permission_to_change_tokens(at_noon: object) -> None:
    make_token(make_user())
    token = Token.objects.get()
    looker = Admin("view_token", "add_token", "delete_token")
    assert "Disable" not in looker.read(TOKENS)
    assert looker.client.post(f"{TOKENS}{token.pk}/disable/").status_code == 403
    assert (
        Admin("view_token", "change_token", name="ben").client.post(f"{TOKENS}{token.pk}/disable/").status_code == 302
    )
    assert looker.client.post(f"{TOKENS}{token.pk}/enable/").status_code == 403
    assert Token.objects.get().disabled_at == NOW


def test_an_expired_one_is_neither_disabled_nor_enabled_in_the_list(admin: Admin) -> None:
    for name in ("on", "off"):
        make_token(admin.user, name=name, expires_at=NOW)
    services.disable_token(Token.objects.get(name="off").pk, now=NOW)
    page = admin.read(TOKENS)
    assert cell(page, "state") == "expired"
    assert "formaction=" not in page


def test_an_expired_one_is_not_enabled(db: None) -> None:
    make_token(expires_at=after(60))
    token = services.disable_token(Token.objects.get().pk, now=NOW)
    with pytest.raises(InvalidRequest, match="has expired: make a new one"):
        services.enable_token(token.pk, now=after(61))


def test_a_disabled_one_is_not_rotated(db: None) -> None:
    make_token()
    token = services.disable_token(Token.objects.get().pk, now=NOW)
    with pytest.raises(InvalidRequest, match="is disabled: enable it first"):
        services.rotate_token(token, now=NOW, keep=after(60) - NOW)


def test_the_same_twice_is_recorded_once(db: None) -> None:
    make_token()
    for seconds in (0, 60):
        services.disable_token(Token.objects.get().pk, now=after(seconds))
    assert Token.objects.get().disabled_at == NOW
    assert AuditEvent.objects.filter(action="token_disabled").count() == 1


@pytest.mark.parametrize("key", ["abc", "99999999999999999999", "0"])
@pytest.mark.parametrize("name", ["disable", "enable"])
def test_a_token_that_is_not_there_is_not_disabled(admin: Admin, key: str, name: str) -> None:
    (said,) = messages(admin.send(f"{TOKENS}{key}/{name}/"))
    assert said == f"{name.capitalize()}, not possible: {key}: there is no such token."


@pytest.mark.parametrize("key", ["abc", "99999999999999999999"])
def test_a_key_that_no_token_can_have_is_a_bad_request(admin: Admin, key: str) -> None:
    assert admin.client.post(TOKENS, {"action": "disable", "index": 0, "_selected_action": [key]}).status_code == 400
