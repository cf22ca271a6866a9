"""`manage.py createtoken`."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from jobs.models import Token
from jobs.services.tokens import digest_of
from tests.fakes import make_user


def run(*args: str) -> tuple[str, str]:
    """Run the command, and return its standard output and standard error."""
    out, err = StringIO(), StringIO()
    call_command("createtoken", *args, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_it_prints_the_secret_and_nothing_else(db: None) -> None:
    make_user(role="operator")
    out, err = run("anna")
    (secret,) = out.split()
    token = Token.objects.get()
    assert secret.startswith("czm_")
    assert token.digest == digest_of(secret)
    assert (token.user.get_username(), token.scopes, token.tags) == ("anna", ["read", "run", "write", "admin"], [])
    assert (token.name, token.expires_at, err) == ("", None, "")


def test_a_token_has_a_name_scopes_tags_and_an_end(db: None) -> None:
    make_user(role="operator")
    run("anna", "--name", "deploy", "--scope", "run", "--scope", "read", "--tag", "shop", "--days", "30")
    token = Token.objects.get()
    assert (token.name, token.scopes, token.tags) == ("deploy", ["read", "run"], ["shop"])
    assert token.expires_at is not None
    assert token.expires_at - token.created_at == timedelta(days=30)


def test_it_says_that_a_user_without_a_role_may_do_nothing(db: None) -> None:
    make_user()
    out, err = run("anna")
    assert "The user anna has no role" in err
    assert Token.objects.get().digest == digest_of(out.split()[-1])


@pytest.mark.parametrize("fields", [None, {"is_active": False}])
def test_the_user_has_to_be_there_and_active(db: None, fields: Any) -> None:
    if fields:
        make_user(**fields)
    with pytest.raises(CommandError, match="no active user 'anna'"):
        run("anna")
    assert not Token.objects.exists()


@pytest.mark.parametrize(
    "option", ["--days=0", "--days=-1", "--days=x", "--days=36501", "--scope=root", "--days=1.5", "--tag=a,b"]
)
def test_a_wrong_limit_is_refused(db: None, option: str) -> None:
    make_user()
    with pytest.raises(CommandError):
        run("anna", option)
    assert not Token.objects.exists()
