"""The arguments of a job: their form, and the placeholders that the API shows for injected parameters."""

from __future__ import annotations

from typing import Any, cast

from ..core.exceptions import InvalidArguments
from ..core.json import spelled_as, unstorable
from ..core.secrets import reference_problem
from ..functions import registry


def clean_arguments(
    function: registry.Function, args: object, kwargs: object, *, stored: tuple[object, object] = (None, None)
) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of a job of `function` as they are stored, without placeholders.

    Numbers that equal the `stored` ones keep their form: 5.0 is 5.

    Raises `InvalidArguments` where they are not a JSON array and a JSON object that fit the function's signature.
    """
    if fields := argument_problems(args, kwargs):
        raise InvalidArguments(fields=fields)
    given = without_placeholders(function, cast("list[Any]", args), cast("dict[str, Any]", kwargs))
    positional, named = map(spelled_as, given, stored)
    function.check(positional, named)
    return positional, named


def argument_problems(args: object, kwargs: object) -> dict[str, str]:
    """Return the errors in the form of arguments, by field; their function does not matter."""
    problems = {}
    if not isinstance(args, list):
        problems["args"] = "must be an array of the positional arguments"
    if not isinstance(kwargs, dict) or not all(isinstance(name, str) for name in kwargs):
        problems["kwargs"] = "must be an object of the named arguments"
    for name, value in (("args", args), ("kwargs", kwargs)):
        if message := unstorable(value) or reference_problem(value):
            problems[name] = message
    return problems


def placeholder(kind: type) -> str:
    """Return the text that the API shows for an injected argument: "<Database instance>"."""
    return f"<{kind.__name__} instance>"


def with_placeholders(
    function: registry.Function, args: list[Any], kwargs: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return arguments as the API shows them, with a placeholder for each injected parameter."""
    return function.bind(args, kwargs, {kind: placeholder(kind) for kind in registry.INJECTED})


def without_placeholders(
    function: registry.Function, args: list[Any], kwargs: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return arguments as they are stored: the opposite of `with_placeholders`."""
    shown = {name: placeholder(kind) for name, kind in function.injected.items()}
    at = {index: shown[name] for index, name in enumerate(function.signature.parameters) if name in shown}
    positional = [value for index, value in enumerate(args) if index not in at or value != at[index]]
    named = {name: value for name, value in kwargs.items() if name not in shown or value != shown[name]}
    return positional, named
