"""The form of a subcommand, and readers of arguments."""

from __future__ import annotations

import argparse
import getpass
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ...core.clock import SystemClock
from .output import Output

DIFFERENT = 2
"""Exit status of `diff` and of a dry run where something differs."""


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
    """Return who runs the command, as records name them."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):  # a user id without an entry in the system's list
        return "command line"


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
