"""Make tokens, find the token of a secret, and record its use."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import Q

from ..core.audit import Action, current_origin
from ..core.exceptions import InvalidRequest
from ..core.roles import Scope
from ..models import Token
from ..records.audit import record

logger = logging.getLogger("cronzimus.services.tokens")

PREFIX = "czm_"
"""The prefix of every secret, by which scanners for leaked secrets find it."""
SHOWN = 12
"""Characters of a secret that are stored, by which people tell their tokens apart."""
SECRET = re.compile(r"czm_[A-Za-z0-9_-]{43}", re.ASCII)
"""The form of a secret: 32 random bytes in Base64."""
USE_NOTED = timedelta(minutes=1)
"""Shortest time between two updates of a token's last use."""


def create_token(
    user: Any,
    *,
    now: datetime,
    name: str = "",
    scopes: Iterable[str] = tuple(Scope),
    tags: Iterable[str] = (),
    expires_at: datetime | None = None,
) -> tuple[Token, str]:
    """Make a token of `user`; return its row and its secret, which is not stored.

    It has the permissions of its user, within `scopes` (default: all). With `tags` it reaches only the jobs that have
    one of them.
    """
    with transaction.atomic():
        wanted = [scope.value for scope in Scope if scope in set(scopes)]
        token, secret = _insert(user, now=now, name=name, scopes=wanted, tags=sorted(set(tags)), expires_at=expires_at)
        made = {"user": user.get_username(), "name": name, "scopes": token.scopes, "tags": token.tags}
        changes = {name: (None, value) for name, value in {**made, "expires_at": expires_at}.items() if value}
        record(Action.TOKEN_MADE, now=now, object_id=f"{token.prefix}…", changes=changes)
    logger.info("token %s… of %s made", token.prefix, user.get_username(), extra={"action": "token_made"})
    return token, secret


def rotate_token(token: Token, *, now: datetime, keep: timedelta) -> tuple[Token, str]:
    """Make a token that may do the same, and let the old one expire after `keep`; return its row and its secret.

    It lives as long as the old one was to live when it was made. Raises `InvalidRequest` if the token is disabled, or
    was revoked or rotated since it was read.
    """
    life = None if token.expires_at is None else token.expires_at - token.created_at
    with transaction.atomic():
        stored = _locked(token)
        if stored is None or stored.expires_at != token.expires_at:
            raise InvalidRequest(f"token {token.prefix}… was {'rotated' if stored else 'revoked'} meanwhile")
        if stored.disabled_at is not None:
            raise InvalidRequest(f"token {token.prefix}… is disabled: enable it first")
        made, secret = _insert(token.user, now=now, name=token.name, scopes=token.scopes, tags=token.tags,
                               expires_at=None if life is None else now + life)  # fmt: skip
        before, until = token.expires_at, now + keep
        token.expires_at = until if before is None else min(before, until)
        token.save(update_fields=["expires_at"])
        changes = {"prefix": (token.prefix, made.prefix), "expires_at": (before, token.expires_at)}
        record(Action.TOKEN_ROTATED, now=now, object_id=f"{token.prefix}…", changes=changes)
    logger.info("token %s… rotated: %s…", token.prefix, made.prefix, extra={"action": "token_rotated"})
    return made, secret


def _locked(token: Token) -> Token | None:
    """Return the stored row of a token, locked until the transaction ends; None if it was revoked."""
    return Token.objects.select_for_update().filter(pk=token.pk).first()


def _insert(user: Any, *, now: datetime, **fields: Any) -> tuple[Token, str]:
    secret = PREFIX + secrets.token_urlsafe(32)
    shown = {"prefix": secret[:SHOWN], "digest": digest_of(secret)}
    return Token.objects.create(user=user, created_at=now, **shown, **fields), secret


def revoke_token(token: Token, *, now: datetime) -> None:
    """Delete a token, whose secret is then worthless. One that is gone already is left alone."""
    with transaction.atomic():
        if _locked(token) is None:
            return
        changes = {"user": (token.user.get_username(), None), "name": (token.name, None)}
        record(Action.TOKEN_REVOKED, now=now, object_id=f"{token.prefix}…", changes=changes)
        token.delete()
    logger.info("token %s… revoked", token.prefix, extra={"action": "token_revoked"})


def disable_token(token_id: int, *, now: datetime) -> Token:
    """Refuse what a token asks for until it is enabled again. Raises `InvalidRequest` if there is none."""
    return _switch(token_id, now, now=now)


def enable_token(token_id: int, *, now: datetime) -> Token:
    """Let a disabled token work again. Raises `InvalidRequest` if there is none, or if it has expired."""
    return _switch(token_id, None, now=now)


@transaction.atomic
def _switch(token_id: int, disabled_at: datetime | None, *, now: datetime) -> Token:
    token = Token.objects.select_for_update().filter(pk=token_id).first()
    if token is None:
        raise InvalidRequest("there is no such token")
    is_on = disabled_at is None
    if is_on and token.is_expired(now):
        raise InvalidRequest(f"token {token.prefix}… has expired: make a new one")
    if is_on == (token.disabled_at is None):
        return token
    before, token.disabled_at = token.disabled_at, disabled_at
    token.save(update_fields=["disabled_at"])
    action = Action.TOKEN_ENABLED if is_on else Action.TOKEN_DISABLED
    record(action, now=now, object_id=f"{token.prefix}…", changes={"disabled_at": (before, disabled_at)})
    done = "enabled" if is_on else "disabled"
    logger.info("token %s… %s", token.prefix, done, extra={"action": action.value})
    return token


def find_token(secret: str, *, now: datetime) -> Token | None:
    """Return the valid token of `secret`, with its user; None if there is none.

    A wrong secret costs the same work as a right one: one hash, and one lookup in an index. The index holds hashes, so
    the time of the lookup reveals nothing about the secrets.
    """
    if not is_secret(secret):
        return None
    token = Token.objects.select_related("user").filter(digest=digest_of(secret)).first()
    if token is None or not token.is_valid(now) or not token.user.is_active:
        return None
    _note_use(token, now)
    return token


def is_secret(text: str) -> bool:
    """Tell whether a text has the form of a secret of ours."""
    return SECRET.fullmatch(text) is not None


def shown(secret: str) -> str:
    """Return the first characters of a secret, for logs; "" for a text that is not a secret of ours."""
    return f"{secret[:SHOWN]}…" if is_secret(secret) else ""


def digest_of(secret: str) -> str:
    """Return the stored digest of a secret. One hash is enough: nobody can guess 256 random bits."""
    return sha256(secret.encode()).hexdigest()


def _note_use(token: Token, now: datetime) -> None:
    limit = now - USE_NOTED
    if token.last_used_at is not None and token.last_used_at > limit:
        return
    unnoted = Q(last_used_at=None) | Q(last_used_at__lte=limit)
    try:
        with transaction.atomic():
            Token.objects.filter(unnoted, pk=token.pk).update(last_used_at=now, last_address=_address())
    except DatabaseError:  # a read must not fail because the database refuses writes
        logger.debug("the use of token %s… could not be noted", token.prefix, exc_info=True)


def _address() -> str:
    return current_origin().address[:120].replace("\x00", "")
