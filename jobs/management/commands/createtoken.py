"""`manage.py createtoken`: a token for the API, shown once."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from knox.models import AuthToken


class Command(BaseCommand):
    """Make a token; only its hash is kept."""

    help = "Make a token for the API and print it. It is shown this once: only a hash of it is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("username", help="whose token it is; requests with it are recorded under this name")
        parser.add_argument("--days", type=_days, metavar="N", help="days until it expires (default: never)")

    def handle(self, *args: Any, username: str, days: int | None, **options: Any) -> None:
        """Print the token. Raises `CommandError` without a database, or a user of that name who may log in."""
        try:
            self.stdout.write(_token(username, days))
        except DatabaseError as error:
            raise CommandError(f"the database can not be used ({error}); is it there, and migrated?") from error


def _token(username: str, days: int | None) -> str:
    users = get_user_model()
    user = users.objects.filter(**{users.USERNAME_FIELD: username}).first()
    if user is None or not user.is_active:
        raise CommandError(f"there is no active user {username!r}; make one with: manage.py createsuperuser")
    _, token = AuthToken.objects.create(user, expiry=timedelta(days=days) if days else None)
    return str(token)


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 36_500:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days from 1 to 36500")
    return int(text)
