"""Make an input for each parameter of a function, from its signature, and read the arguments back."""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...core.json import is_equal, parse_strict
from ...core.secrets import masked
from ...functions.registry import Function

PREFIX = "arg-"
"""The prefix of the inputs' names."""
TYPED = "typed"
"""The input with the function whose inputs were sent. Without it, none were sent."""
_KINDS: dict[Any, str] = {str: "text", int: "whole", float: "number", bool: "yes"}
_FITS: dict[str, tuple[type, ...]] = {"text": (str,), "whole": (int,), "number": (int, float), "yes": (bool,)}
_EXAMPLES = {"json": 'JSON: null, 1, "two", [3] or {"four": 4}', "many": "A JSON array", "named": "A JSON object"}


@dataclass(slots=True, kw_only=True)
class Argument:
    """An input for one parameter.

    `kind` is "text", "whole", "number", "yes", "choice", "json", "many", "named" or "secret".
    """

    name: str
    kind: str
    type: str
    value: str = ""
    checked: bool = False
    choices: Sequence[tuple[str, str]] = ()
    required: bool = False
    optional: bool = False
    """Whether it has a default."""
    help: str = ""
    error: str = ""

    @property
    def lines(self) -> int:
        """The number of lines of the input."""
        if self.kind == "secret":
            return 1
        if self.kind == "text":
            return 4 if "\n" in self.value else 1
        return 2

    @property
    def input(self) -> str:
        """The name of the input."""
        return PREFIX + self.name


def inputs_of(function: Function, args: Any, kwargs: Any) -> list[Argument]:
    """Return the inputs of `function`, which show the stored `args` and `kwargs`."""
    given = _given(function, args, kwargs)
    return [_input(parameter, given) for parameter in function.arguments.parameters.values()]


def injected_of(function: Function) -> list[str]:
    """Return the names of the injected parameters."""
    return list(function.injected)


def sent(data: Mapping[str, Any]) -> str:
    """Return the reference of the function whose inputs were sent; "" for none."""
    return str(data.get(TYPED) or "")


def read(
    function: Function, data: Mapping[str, Any], args: Any, kwargs: Any
) -> tuple[list[Any], dict[str, Any], list[Argument]]:
    """Return the arguments from the inputs in `data`, and the inputs themselves, each with its error.

    If the inputs still show `args` and `kwargs`, these are returned unchanged. An input that is empty, or shows its
    default, is left to the default.
    """
    before = inputs_of(function, args, kwargs)
    inputs = [_filled(argument, data) for argument in before]
    if [_shown(one) for one in inputs] == [_shown(one) for one in before] and isinstance(args, list):
        return args, kwargs, inputs
    stored = _given(function, args, kwargs)
    values: dict[str, Any] = {}
    for parameter, argument in zip(function.arguments.parameters.values(), inputs, strict=True):
        try:
            found = _value(argument)
        except ValueError as error:
            argument.error = f"{str(error)[:1].upper()}{str(error)[1:]}"
            continue
        if found is _NOTHING and argument.kind == "secret":
            found = stored[parameter.name]
        if found is _NOTHING and argument.required and not argument.error:
            argument.error = "Is required"
        if found is _NOTHING or (parameter.name not in stored and _is_default(parameter, found)):
            continue
        values[parameter.name] = found
    return *_as_stored(function, values), inputs


_NOTHING = object()


def _shown(argument: Argument) -> tuple[str, bool]:
    return argument.value, argument.checked


def _filled(argument: Argument, data: Mapping[str, Any]) -> Argument:
    value = str(data.get(argument.input) or "").replace("\r\n", "\n")
    if argument.kind == "yes":
        return replace(argument, checked=bool(value))
    return replace(argument, value=value)


def _given(function: Function, args: Any, kwargs: Any) -> dict[str, Any]:
    """Return the stored arguments that fit, by parameter."""
    try:
        return dict(function.arguments.bind_partial(*(args or []), **(kwargs or {})).arguments)
    except TypeError:
        return {}


def _input(parameter: inspect.Parameter, given: Mapping[str, Any]) -> Argument:
    kind, choices = _kind(parameter)
    has_default = parameter.default is not parameter.empty
    value = given.get(parameter.name, _NOTHING)
    if value is not _NOTHING and masked({parameter.name: value}) != {parameter.name: value}:
        kind = "secret"
    elif value is not _NOTHING and not _fits(kind, value):
        kind = "json"
    required = not has_default and kind not in ("many", "named", "yes", "text")
    argument = Argument(
        name=parameter.name, kind=kind, type=_type_name(parameter), choices=choices, required=required,
        optional=has_default, help=_help(kind, parameter),
    )  # fmt: skip
    if kind == "yes":
        argument.checked = value is True or (value is _NOTHING and parameter.default is True)
    elif kind != "secret" and value is not _NOTHING and value not in ((), {}):
        argument.value = value if kind == "text" else _json(value)
    if kind == "secret":
        argument.help = "It looks like a secret and is not shown. Left empty, it stays as it is."
    if kind == "choice" and value is not _NOTHING and argument.value not in dict(choices):
        argument.choices = [*choices, (argument.value, argument.value)]
    return argument


def _kind(parameter: inspect.Parameter) -> tuple[str, Sequence[tuple[str, str]]]:
    if parameter.kind is parameter.VAR_POSITIONAL:
        return "many", ()
    if parameter.kind is parameter.VAR_KEYWORD:
        return "named", ()
    annotation = _plain(parameter.annotation)
    if annotation is parameter.empty and type(parameter.default) in _KINDS:
        annotation = type(parameter.default)
    if typing.get_origin(annotation) is typing.Literal:
        options = [(_json(value), str(value)) for value in typing.get_args(annotation)]
        empty = [("", "—")] if parameter.default is not parameter.empty else []
        return "choice", [*empty, *options]
    return _KINDS.get(annotation, "json") if isinstance(annotation, type) else "json", ()


def _plain(annotation: Any) -> Any:
    """Return the type of an annotation without None."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        options = [option for option in typing.get_args(annotation) if option is not types.NoneType]
        return options[0] if len(options) == 1 else annotation
    return annotation


def _fits(kind: str, value: Any) -> bool:
    if kind not in _FITS:
        return True
    return isinstance(value, _FITS[kind]) and (kind == "yes" or not isinstance(value, bool))


def _type_name(parameter: inspect.Parameter) -> str:
    if parameter.annotation is parameter.empty:
        return ""
    name = getattr(parameter.annotation, "__name__", "") if isinstance(parameter.annotation, type) else ""
    return name or str(parameter.annotation).replace("typing.", "")[:60]


def _help(kind: str, parameter: inspect.Parameter) -> str:
    example = _EXAMPLES.get(kind, "")
    if parameter.default is parameter.empty or kind == "yes":
        return f"{example}." if example else ""
    shown = _default_words(parameter.default)
    return f"{example}; {shown} if left empty." if example else f"{shown} if left empty."


def _default_words(default: Any) -> str:
    try:
        return _json(default)[:60] if not isinstance(default, str) else default[:60] or "An empty text"
    except Exception:  # a default may be anything
        return "Its default"


def _json(value: Any) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def _value(argument: Argument) -> Any:
    if argument.kind == "yes":
        return argument.checked
    if argument.kind == "secret":
        return argument.value or _NOTHING
    text = argument.value
    if argument.kind == "text":
        return _NOTHING if not text and argument.optional else text
    if not text.strip():
        return _NOTHING
    try:
        value = parse_strict(text)
    except ValueError:
        if argument.kind == "json" and argument.type in ("", "str"):
            raise ValueError('must be JSON; a text needs quotes: "two"') from None
        raise ValueError(f"must be {_WANTED.get(argument.kind, 'JSON')}") from None
    if not _is_wanted(argument.kind, value):
        raise ValueError(f"must be {_WANTED[argument.kind]}")
    return value


_WANTED = {"whole": "a whole number", "number": "a number", "many": "a JSON array", "named": "a JSON object"}


def _is_wanted(kind: str, value: Any) -> bool:
    if kind == "many":
        return isinstance(value, list)
    if kind == "named":
        return isinstance(value, dict)
    return _fits(kind, value)


def _is_default(parameter: inspect.Parameter, value: Any) -> bool:
    return parameter.default is not parameter.empty and is_equal(value, parameter.default)


def _as_stored(function: Function, values: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return `values` as positional and named arguments: positional only if the signature requires it."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    parameters = function.arguments.parameters.values()
    many = next((values.get(p.name) for p in parameters if p.kind is p.VAR_POSITIONAL), None)
    for parameter in parameters:
        value = values.get(parameter.name, _NOTHING)
        if parameter.kind is parameter.VAR_POSITIONAL:
            args += many or []
        elif parameter.kind is parameter.VAR_KEYWORD:
            kwargs |= values.get(parameter.name, {})
        elif parameter.kind is parameter.POSITIONAL_ONLY or (
            many and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        ):
            default = None if parameter.default is parameter.empty else parameter.default
            args.append(default if value is _NOTHING else value)
        elif value is not _NOTHING:
            kwargs[parameter.name] = value
    return args, kwargs
