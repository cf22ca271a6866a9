"""The functions that jobs may call, registered and looked up by name. A name in a job is never imported."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import traceback
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, overload

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.utils.module_loading import module_has_submodule

from ..conf import conf, wrong_values
from ..core.exceptions import InvalidArguments, InvalidFunction
from ..core.references import resolve
from ..core.secrets import names_in
from .context import Database, RunContext

__all__ = ["Database", "Function", "RunContext", "discover", "functions", "lookup", "register"]

INJECTED: tuple[type, ...] = (Database, RunContext)
"""The types of the parameters that the runner fills in."""

MAX_REFUSAL = 500
"""Characters kept of the message of a function's own check."""
AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])
"""A function; `register` returns it unchanged."""


@dataclass(frozen=True)
class Function:
    """A registered function.

    Jobs name it by its `reference`, `module:name`; `call` is the callable itself. `own_check`, if there is one, is
    called with a job's arguments, and raises `ValueError` if the function cannot be called with them.
    """

    reference: str
    call: Callable[..., Any]
    own_check: Callable[..., object] | None = None

    @property
    def name(self) -> str:
        """The last part of its reference: the name of jobs that give none."""
        return self.reference.replace(":", ".").rpartition(".")[2]

    @property
    def description(self) -> str:
        """The first line of its docstring."""
        return (inspect.getdoc(self.call) or "").partition("\n")[0]

    @cached_property
    def signature(self) -> inspect.Signature:
        """Its whole signature. Annotations written as strings are resolved to types if possible."""
        signature = inspect.signature(self.call)
        scope = getattr(inspect.unwrap(self.call), "__globals__", {})
        resolved = [p.replace(annotation=_resolved(p.annotation, scope)) for p in signature.parameters.values()]
        return signature.replace(parameters=resolved)

    @cached_property
    def injected(self) -> dict[str, type]:
        """The parameters that the runner fills in, by name: those annotated `Database` or `RunContext`."""
        found = {p.name: _injected_type(p.annotation) for p in self.signature.parameters.values()}
        return {name: kind for name, kind in found.items() if kind is not None}

    @cached_property
    def arguments(self) -> inspect.Signature:
        """The signature without the injected parameters, for the arguments of jobs."""
        kept = [p for p in self.signature.parameters.values() if p.name not in self.injected]
        return self.signature.replace(parameters=kept)

    def check(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise `InvalidArguments` unless `args` and `kwargs` fit the signature and pass the function's own check.

        If the arguments refer to secrets, whose values are not known yet, the own check waits until the job runs.
        """
        taken = sorted(self.injected.keys() & kwargs.keys())
        if taken:
            raise InvalidArguments(fields={"kwargs": f"{', '.join(taken)}: filled in when the job runs; leave it out"})
        try:
            self.arguments.bind(*args, **kwargs)
        except TypeError as error:
            message = str(error)[:200]
            field = "args" if message.startswith(("missing", "too many")) else "kwargs"
            raise InvalidArguments(fields={field: f"{message}; {self.reference} takes {self.takes}"}) from error
        if not names_in(list(args), kwargs) and (message := self._refusal(args, kwargs)):
            raise InvalidArguments(fields={"kwargs" if kwargs else "args": message})

    def bind(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], injected: Mapping[type, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments of the call: `args` and `kwargs` with the injected parameters filled in.

        `injected` has the values by type. They are passed by position, or by name if a parameter before them has its
        default or is given in `kwargs`.
        """
        positional, named = list(args), dict(kwargs)
        for index, name, kind in self._places:
            if index <= len(positional):
                positional.insert(index, injected[kind])
            else:
                named[name] = injected[kind]
        return positional, named

    @cached_property
    def _places(self) -> list[tuple[int, str, type]]:
        """The position, name and type of each injected parameter; keyword-only ones come after all positions."""
        parameters = self.signature.parameters.values()
        return [
            (sys.maxsize if p.kind is p.KEYWORD_ONLY else index, p.name, self.injected[p.name])
            for index, p in enumerate(parameters)
            if p.name in self.injected
        ]

    @cached_property
    def takes(self) -> str:
        """Its arguments in words: "(number: int, paper: str = 'A4')"; "no arguments"."""
        if not self.arguments.parameters:
            return "no arguments"
        try:
            return str(self.arguments.replace(return_annotation=inspect.Signature.empty))
        except Exception:  # the repr() of a default may raise anything
            return f"({', '.join(self.arguments.parameters)})"

    def _refusal(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        """Return why the own check refuses the arguments, "" if it accepts them. It may raise anything."""
        if self.own_check is None:
            return ""
        try:
            # After a failed statement of the check, PostgreSQL would refuse all others of the transaction around it.
            with transaction.atomic() if connection.in_atomic_block else nullcontext():
                self.own_check(*deepcopy(args), **deepcopy(dict(kwargs)))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            said = str(error) if isinstance(error, TypeError | ValueError) else _described(self.reference, error)
            message = said or f"refused by the check of {self.reference}"
            return message[:MAX_REFUSAL].replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
        return ""


def _described(reference: str, error: BaseException) -> str:
    described = "".join(traceback.format_exception_only(error)).strip()  # calls no __str__ that raises
    return f"the check of {reference} raised {described}"


def _resolved(annotation: Any, scope: dict[str, Any]) -> Any:
    # One annotation at a time: a name that only the type checker imports must not hide the other types.
    if annotation is inspect.Parameter.empty:
        return annotation
    try:
        return typing.get_type_hints(types.SimpleNamespace(__annotations__={"it": annotation}), scope)["it"]
    except Exception:
        return annotation


def _injected_type(annotation: Any) -> type | None:
    options = [annotation]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        options = [option for option in typing.get_args(annotation) if option is not types.NoneType]
    return options[0] if len(options) == 1 and options[0] in INJECTED else None


_functions: dict[str, Function] = {}


@overload
def register(reference: AnyFunction) -> AnyFunction: ...


@overload
def register(
    reference: str | None = None, *, check: Callable[..., object] | None = None
) -> Callable[[AnyFunction], AnyFunction]: ...


def register(reference: Any = None, *, check: Callable[..., object] | None = None) -> Any:
    """Register a function, so that jobs may call it.

    `@register` names it `module:qualname`, `@register("other.name:func")` gives it that name. `check` is called with a
    job's arguments whenever the job is saved, and raises `ValueError` to refuse them. Returns the function itself.
    Raises `ImproperlyConfigured` if another function has the name, or jobs cannot call the function.
    """
    if callable(reference):
        return _register(None, reference, check)
    return lambda call: _register(reference, call, check)


def _register(
    reference: str | None, call: Callable[..., Any], check: Callable[..., object] | None
) -> Callable[..., Any]:
    if reference is None:
        reference = f"{call.__module__}:{getattr(call, '__qualname__', type(call).__qualname__)}"
    if not isinstance(reference, str) or not re.fullmatch(r"[\w.-]+:[\w.<>-]+", reference) or "<lambda>" in reference:
        raise ImproperlyConfigured(f"@register: {reference!r} is not a name of the form 'module:name'")
    problem = _add(Function(reference, call, check))
    if problem:
        raise ImproperlyConfigured(f"@register: {reference!r} {problem}")
    return call


def _add(function: Function) -> str:
    """Add `function` to the registry. Returns the reason if it cannot be added, else ""."""
    problem = _problem(function)
    known = _functions.get(function.reference)
    if not problem and known is not None and _origin(known.call) != _origin(function.call):
        problem = "is the name of two functions"
    if not problem:
        _functions[function.reference] = function
    return problem


def _problem(function: Function) -> str:
    """Return the reason if jobs cannot call `function`, else ""."""
    call = function.call
    if not inspect.isroutine(inspect.unwrap(call)):
        return "is not a function: call it from one, and register that"
    if inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call):
        return "is a generator: calling it would do nothing"
    try:
        parameters = function.signature.parameters.values()
    except ValueError:
        return "has no signature that Python knows of: call it from a function, and register that"
    return next((message for p in parameters if (message := _parameter_problem(p))), "")


def _parameter_problem(parameter: inspect.Parameter) -> str:
    annotation = parameter.annotation
    if isinstance(annotation, str) and re.search(r"\b(Database|RunContext)\b", annotation):
        return f"has a parameter {str(parameter)!r}, of unknown type: import it outside of TYPE_CHECKING"
    if _injected_type(annotation) is None:
        return ""
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        return f"has a parameter {str(parameter)!r}: only a single parameter can be filled in"
    if parameter.kind is parameter.POSITIONAL_ONLY and parameter.default is not parameter.empty:
        return f"has a positional-only parameter {parameter.name!r} with a default, which cannot be filled in"
    return ""


def _origin(call: Callable[..., Any]) -> object:
    # A module that is imported again defines the same functions in the same places.
    code = getattr(inspect.unwrap(call), "__code__", None)
    return (code.co_filename, code.co_firstlineno, code.co_qualname) if code else call


def lookup(reference: object) -> Function:
    """Return the function registered as `reference`.

    Raises `InvalidFunction` for any other value. Nothing is imported.
    """
    function = _functions.get(reference) if isinstance(reference, str) else None
    if function is None:
        raise InvalidFunction(fields={"func": _unknown(reference)})
    return function


def _unknown(reference: object) -> str:
    if not isinstance(reference, str):
        return "must be a string, the name of a registered function: 'module:name'"
    return f"{reference[:100]!r} is not a registered function; GET /scheduler/functions lists them"


def functions() -> list[Function]:
    """Return all registered functions, by name."""
    return [_functions[reference] for reference in sorted(_functions)]


def discover() -> None:
    """Register the functions of the project.

    Imports `job_functions` of every app and the modules that JOB_MODULES names, which register their functions, and
    registers the functions that JOB_FUNCTIONS names. Raises `ImproperlyConfigured` for a wrong name in one of the two.
    """
    for config in apps.get_app_configs():
        if config.module is not None and module_has_submodule(config.module, "job_functions"):
            importlib.import_module(f"{config.name}.job_functions")
    problems = [f"JOB_MODULES: {name}: {problem}" for name in conf.JOB_MODULES if (problem := _import(name))]
    problems += [f"JOB_FUNCTIONS: {name}: {problem}" for name in conf.JOB_FUNCTIONS if (problem := _add_named(name))]
    if problems:
        raise wrong_values(problems)


def _import(module: str) -> str:
    """Import a module that a setting names. Returns the reason if it cannot be imported, else ""."""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        return f"there is no module {error.name!r}"
    return ""


def _add_named(reference: str) -> str:
    """Add the function that a setting names. Returns the reason if it cannot be added, else ""."""
    if reference in _functions:  # it registers itself, or is built in
        return ""
    try:
        call = resolve(reference)
    except ValueError as error:
        return str(error)
    return _add(Function(reference, call)) if callable(call) else "is not a function"
