"""`manage.py createtoken`: a token for the API, shown once."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from ... import services
from ...core.audit import Door, Origin, acting
from ...core.clock import SystemClock
from ...core.roles import GAINED, Scope
from ...definitions.validation import tag_problem
from ..cli.base import actor

MAX_DAYS = 36_500
"""Days after which a token can expire, at most."""


class Command(BaseCommand):
    """Make a token, of which only a hash is stored."""

    help = (
        "Make a token for the API and print its secret, this once: only a hash of it is stored. "
        "The token may do what its user may do; roles are the groups 'Cronzimus viewer', 'operator', 'editor', 'admin'."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "username", help="the user whose token it is; requests with it are recorded under this name"
        )
        parser.add_argument("--name", default="", help="what the token is for")
        parser.add_argument(
            "--scope",
            action="append",
            choices=[scope.value for scope in Scope],
            help="limit it to a scope and the scopes before that (may be repeated; default: all that its user may do)",
        )
        parser.add_argument(
            "--tag", action="append", default=[], type=_tag, help="limit it to jobs with this tag (may be repeated)"
        )
        parser.add_argument("--days", type=_days, metavar="N", help="days until it expires (default: never)")

    def handle(self, *args: Any, username: str, **options: Any) -> None:
        """Print the secret. Raises `CommandError` without a database, or an active user of that name."""
        try:
            user = _active_user(username)
            if not any(user.has_perm(f"cronzimus.{name}") for names in GAINED.values() for name in names):
                self.stderr.write(f"The user {username} has no role yet, so the token may do nothing.")
            with acting(Origin(actor=actor(), door=Door.COMMAND)):
                self.stdout.write(_secret(user, options))
        except DatabaseError as error:
            raise CommandError(f"the database cannot be used ({error}); is it there, and migrated?") from error


def _active_user(username: str) -> Any:
    users = get_user_model()
    user = users._default_manager.filter(**{users.USERNAME_FIELD: username}).first()
    if user is None or not user.is_active:
        raise CommandError(f"there is no active user {username!r}; make one with: manage.py createsuperuser")
    return user


def _secret(user: Any, options: dict[str, Any]) -> str:
    now, days = SystemClock().now(), options["days"]
    _, secret = services.create_token(
        user,
        now=now,
        name=options["name"][:100],
        scopes=options["scope"] or tuple(Scope),
        tags=options["tag"],
        expires_at=now + timedelta(days=days) if days else None,
    )
    return secret


def _tag(text: str) -> str:
    if problem := tag_problem(text):
        raise argparse.ArgumentTypeError(f"{text!r}: {problem}")
    return text


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_DAYS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days from 1 to {MAX_DAYS}")
    return int(text)
