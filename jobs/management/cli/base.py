"""The form of a subcommand, and readers of arguments."""

from __future__ import annotations

import argparse
import errno
import getpass
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any, NoReturn

from django.core.management.base import CommandError

from ...core.clock import SystemClock
from ...models import Job
from .output import Output

DIFFERENT = 2
"""Exit status of `diff` and of a dry run if something differs."""
BROKEN_PIPE = 141
"""Exit status after the reader of a pipe has gone, as in shells after SIGPIPE."""


@dataclass(frozen=True, slots=True)
class Subcommand:
    """A word after `manage.py cronzimus`: its options, and the function that runs it and returns its exit status."""

    name: str
    help: str
    run: Callable[[dict[str, Any], Output], int]
    arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None


def now() -> datetime:
    """Return the instant of the command."""
    return SystemClock().now()


def actor() -> str:
    """Return the name of the person who runs the command, for records."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):  # a user id without an entry in the system's list
        return "command line"


def nearest(words: str | Sequence[str]) -> str:
    """Return a hint at the ids of jobs that are close to the unknown ids in `words`; "" without one."""
    wanted = [words] if isinstance(words, str) else words
    ids = list(Job.objects.order_by("id").values_list("id", flat=True))
    found = {near for word in wanted if word not in ids for near in get_close_matches(word, ids)}
    return f"; did you mean {' or '.join(map(repr, sorted(found)))}?" if found else ""


@contextmanager
def quiet_log() -> Iterator[None]:
    """Log only warnings within the context: subcommands print their results."""
    logger = logging.getLogger("cronzimus")
    before = logger.level
    logger.setLevel(max(before, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(before)


def end_of_stream(error: OSError) -> NoReturn:
    """End the command after an error of its standard output: quietly if its reader has gone, as with `| head`.

    Raises `SystemExit` or `CommandError`; other errors are raised again.
    """
    if error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EIO):
        raise error
    # Python would complain at its end about the buffered output, which has nowhere to go.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno == errno.EPIPE:
        sys.exit(BROKEN_PIPE)
    raise CommandError(f"the standard output cannot be written: {error.strerror}") from error


def json_object(text: str) -> dict[str, Any]:
    """Read an option that is a JSON object. Raises `ArgumentTypeError`."""
    value = _json(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("must be a JSON object of the named arguments")
    return value


def json_array(text: str) -> list[Any]:
    """Read an option that is a JSON array. Raises `ArgumentTypeError`."""
    value = _json(text)
    if not isinstance(value, list):
        raise argparse.ArgumentTypeError("must be a JSON array of the positional arguments")
    return value


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"is not JSON: {error}") from error


def positive(text: str) -> int:
    """Read an option that is a whole number from 1. Raises `ArgumentTypeError`."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 10000")
    return int(text)
