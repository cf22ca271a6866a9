"""The registry: registration, lookup, and the arguments of calls."""

from __future__ import annotations

import functools
import importlib
import inspect
import operator
import os
import re
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any, Optional

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st

from jobs.core.exceptions import InvalidArguments, InvalidFunction
from jobs.functions import registry
from jobs.functions.registry import Database, Function, RunContext, register

if TYPE_CHECKING:
    from datetime import datetime

DB, CONTEXT = object(), object()
AT_START = {function.reference for function in registry.functions()}
FILLED = {Database: DB, RunContext: CONTEXT}


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_functions", {})


def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Check and call a function as a run of a job does."""
    known = Function("tests:function", function)
    known.check(args, kwargs)
    positional, named = known.bind(args, kwargs, FILLED)  # type: ignore[arg-type]
    return known.call(*positional, **named)


def refused(function: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, str]:
    with pytest.raises(InvalidArguments) as caught:
        Function("tests:function", function).check(args, kwargs)
    return caught.value.fields


def registration_error(function: Any, name: str | None = "tests:function") -> str:
    with pytest.raises(ImproperlyConfigured) as caught:
        register(name)(function)
    return str(caught.value)


# --- names -----------------------------------------------------------------------------------------------------------


def test_a_plain_decorator_registers_under_module_and_qualname() -> None:
    @register
    def hello() -> None: ...

    reference = f"{__name__}:{hello.__qualname__}"
    assert registry.lookup(reference).call is hello


def test_a_decorator_with_a_name_registers_under_that_name() -> None:
    @register("other.name:func")
    def hello() -> None: ...

    assert registry.lookup("other.name:func") == Function("other.name:func", hello)


def test_a_decorator_with_empty_parentheses_registers_under_module_and_qualname() -> None:
    @register()
    def hello() -> None: ...

    assert [function.call for function in registry.functions()] == [hello]


def test_the_decorator_returns_the_function_itself() -> None:
    def hello() -> None: ...

    assert register(hello) is hello
    assert register("a:b")(hello) is hello


@pytest.mark.parametrize("name", ["", "func", ":func", "module:", "a:b:c", "a b:c", "a:b\n", "a:\x00", 5, b"a:b"])
def test_a_name_of_another_form_is_refused(name: Any) -> None:
    assert "form 'module:name'" in registration_error(lambda: None, name)


def test_a_functions_name_is_the_last_part_of_its_reference() -> None:
    assert Function("cronzimus.controller.task:task", print).name == "task"
    assert Function("module:outer.<locals>.inner", print).name == "inner"


def test_a_functions_description_is_the_first_line_of_its_docstring() -> None:
    def hello() -> None:
        """Say hello.

        And more.
        """

    assert Function("a:b", hello).description == "Say hello."
    assert Function("a:b", lambda: None).description == ""


def test_functions_are_listed_by_name() -> None:
    for name in ("c:c", "a:b", "b:a"):
        register(name)(lambda: None)
    assert [function.reference for function in registry.functions()] == ["a:b", "b:a", "c:c"]


# --- the same name again ---------------------------------------------------------------------------------------------


def test_two_functions_of_one_name_are_refused() -> None:
    register("a:b")(lambda: 1)

    assert "'a:b' is the name of two functions" in registration_error(lambda: 2, "a:b")


def test_two_functions_behind_one_wrapper_are_two_functions() -> None:
    def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            return function(*args)

        return wrapper

    def first() -> None: ...
    def second() -> None: ...

    register("a:b")(wrapped(first))
    assert "two functions" in registration_error(wrapped(second), "a:b")


def test_a_function_may_be_registered_twice() -> None:
    def hello() -> None: ...

    register("a:b")(hello)
    register("a:b")(hello)
    assert registry.lookup("a:b").call is hello


def test_a_function_may_have_two_names() -> None:
    @register("a:b")
    @register("c:d")
    def hello() -> None: ...

    assert registry.lookup("a:b").call is registry.lookup("c:d").call is hello


def test_a_module_that_is_imported_anew_replaces_its_functions(own_module: ModuleType) -> None:
    before = registry.lookup("own_module:hello").call

    importlib.reload(own_module)

    assert registry.lookup("own_module:hello").call is own_module.hello is not before


@pytest.fixture
def own_module(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "own_module.py").write_text("from jobs import register\n@register\ndef hello(): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("own_module")
    del sys.modules["own_module"]


# --- functions that jobs cannot call ---------------------------------------------------------------------------------


async def _async() -> None: ...


async def _async_generator() -> Any:
    yield


def _generator() -> Any:
    yield


def _for_mypy_only(when: datetime, database: Database | None = None) -> Any:
    return database


def _unknown_type(database: Database) -> None: ...


_unknown_type.__annotations__["database"] = "somewhere.Database"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (_async_generator, "is a generator"),
        (_generator, "is a generator"),
        (functools.partial(print, 1), "is not a function"),
        (Database, "is not a function"),
        (max, "has no signature"),
    ],
)
def test_only_functions_are_registered(function: Any, message: str) -> None:
    assert message in registration_error(function)


def test_a_lambda_needs_a_name() -> None:
    assert "form 'module:name'" in registration_error(lambda: None, None)


def test_async_functions_are_registered() -> None:
    register("a:b")(_async)

    assert registry.lookup("a:b").call is _async


def test_an_injected_type_that_is_imported_for_the_type_checker_only_is_refused() -> None:
    assert "import it outside of TYPE_CHECKING" in registration_error(_unknown_type)


def test_other_types_may_be_imported_for_the_type_checker_only() -> None:
    assert call(_for_mypy_only, "now") is DB


def test_star_arguments_can_not_be_injected() -> None:
    def function(*databases: Database) -> None: ...

    assert "only a single parameter can be filled in" in registration_error(function)


def test_a_positional_only_parameter_with_a_default_can_not_be_injected() -> None:
    def function(a: int = 1, database: Database | None = None, /) -> None: ...

    assert "'database' with a default" in registration_error(function)


# --- lookup ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reference",
    ["os:system", "a:b.__globals__", "a:b ", "a:b\n", "A:B", "a.b", "", "a:", None, 5, ["a:b"], {"a": "b"}, b"a:b"],
)
def test_lookup_finds_registered_names_only(reference: Any) -> None:
    register("a:b")(lambda: None)

    with pytest.raises(InvalidFunction) as caught:
        registry.lookup(reference)
    assert list(caught.value.fields) == ["func"]


def test_lookup_imports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wave", raising=False)

    with pytest.raises(InvalidFunction):
        registry.lookup("wave:open")
    assert "wave" not in sys.modules


def test_django_registers_what_comes_with_cronzimus_when_it_starts() -> None:
    assert {
        "cronzimus.controller.task:task",
        "cronzimus.functions:http_request",
        "cronzimus.functions:run_command",
    } <= AT_START


def test_discover_imports_the_modules_that_the_settings_name(settings: Any, own_module: ModuleType) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"JOB_MODULES": ["own_module"]}
    del sys.modules["own_module"]

    registry.discover()

    assert registry.lookup("own_module:hello")


def test_discover_names_a_module_that_is_not_there(settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"JOB_MODULES": ["nowhere.at_all"]}

    with pytest.raises(ImproperlyConfigured, match=r"JOB_MODULES: nowhere.at_all: there is no module 'nowhere'"):
        registry.discover()


# --- functions that the settings name ---------------------------------------------------------------------------------


PLAIN_MODULE = """
def send(to: str = "all"): ...
async def fetch(): ...
def outer(): ...
outer.inner = send
def stream(): yield 1
number = 5
"""


@pytest.fixture
def plain_module(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module that knows nothing of Cronzimus."""
    (tmp_path / "plain_module.py").write_text(PLAIN_MODULE)
    (tmp_path / "broken_module.py").write_text("1 / 0")
    (tmp_path / "needy_module.py").write_text("import not_installed")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("plain_module")
    del sys.modules["plain_module"]


def named(settings: Any, *references: str) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"JOB_MODULES": [], "JOB_FUNCTIONS": list(references)}
    registry.discover()


@pytest.mark.parametrize("name", ["send", "fetch", "outer.inner"])
def test_discover_registers_the_functions_that_the_settings_name(
    settings: Any, plain_module: ModuleType, name: str
) -> None:
    named(settings, f"plain_module:{name}")
    found = operator.attrgetter(name)(plain_module)
    assert registry.lookup(f"plain_module:{name}").call is found


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("plain_module", "is not of the form 'module:name', such as shop.tasks:send"),
        ("plain_module:sent", "plain_module has no 'sent'; did you mean 'send'?"),
        ("plain_module:outer.x", "outer has no 'x'"),
        ("plain_module:number", "is not a function"),
        ("plain_module:stream", "is a generator"),
        ("nowhere.tasks:send", "there is no module 'nowhere'"),
        ("needy_module:send", "there is no module 'not_installed'"),
        ("broken_module:send", "importing broken_module raised ZeroDivisionError: division by zero"),
    ],
)
@pytest.mark.usefixtures("plain_module")
def test_a_wrong_name_in_the_settings_stops_the_start(settings: Any, reference: str, message: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=re.escape(f"JOB_FUNCTIONS: {reference}: {message}")):
        named(settings, reference)


@pytest.mark.usefixtures("plain_module")
def test_all_wrong_names_in_the_settings_are_told_at_once(settings: Any) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        named(settings, "plain_module:one", "plain_module:send", "plain_module:two")
    assert [line.split()[1] for line in str(caught.value).splitlines()[1:]] == [
        "plain_module:one:",
        "plain_module:two:",
    ]


def test_the_settings_may_name_a_function_that_registers_itself(settings: Any, own_module: ModuleType) -> None:
    named(settings, "own_module:hello", "own_module:hello")
    assert registry.lookup("own_module:hello").call is own_module.hello


def test_the_settings_may_name_a_function_that_comes_with_cronzimus(settings: Any) -> None:
    register("cronzimus.functions:run_command")(_report)
    named(settings, "cronzimus.functions:run_command")
    assert registry.lookup("cronzimus.functions:run_command").call is _report


# --- what a function is called with ----------------------------------------------------------------------------------


def test_an_injected_parameter_may_stand_anywhere() -> None:
    def first(database: Database, a: int) -> Any:
        return database, a

    def last(a: int, context: RunContext) -> Any:
        return a, context

    def between(a: int, database: Database, b: int, *rest: int) -> Any:
        return a, database, b, rest

    def keyword_only(*rest: int, database: Database) -> Any:
        return rest, database

    assert call(first, 1) == (DB, 1)
    assert call(last, 1) == (1, CONTEXT)
    assert call(between, 1, 2, 3) == (1, DB, 2, (3,))
    assert call(keyword_only, 1, 2) == ((1, 2), DB)


def test_an_injected_parameter_behind_one_that_is_left_out_goes_by_name() -> None:
    def function(a: int = 1, database: Database | None = None, b: int = 2) -> Any:
        return a, database, b

    assert call(function) == (1, DB, 2)
    assert call(function, b=3) == (1, DB, 3)
    assert call(function, 4, 5) == (4, DB, 5)


def test_an_injected_parameter_may_be_positional_only() -> None:
    def function(a: int, database: Database, /, b: int) -> Any:
        return a, database, b

    assert call(function, 1, b=2) == (1, DB, 2)


@pytest.mark.parametrize(
    "annotation",
    ["Database", "Database | None", "None | Database", "Optional[Database]", "registry.Database", Optional[Database]],  # noqa: UP045
)
def test_an_annotation_may_be_written_in_many_ways(annotation: Any) -> None:
    def function(database: Any = None) -> Any:
        return database

    function.__annotations__["database"] = annotation
    assert call(function) is DB


@pytest.mark.parametrize(
    "annotation", ["list[Database]", "Database | RunContext", "type[Database]", "Database()", "str"]
)
def test_other_annotations_are_not_injected(annotation: str) -> None:
    def function(value: Any) -> Any:
        return value

    function.__annotations__["value"] = annotation
    assert call(function, 1) == 1


def test_a_wrapper_takes_what_the_wrapped_function_takes() -> None:
    def function(a: int, database: Database) -> Any:
        return a, database

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    assert call(wrapper, 1) == (1, DB)


def test_a_method_takes_what_it_takes_when_bound() -> None:
    class Greeter:
        def greet(self, name: str, database: Database) -> Any:
            return name, database

    assert call(Greeter().greet, "Ada") == ("Ada", DB)


def test_a_builtin_function_can_be_called() -> None:
    register("a:b")(os.getpid)

    assert call(os.getpid) == os.getpid()


def test_bind_leaves_the_jobs_own_arguments_as_they_are() -> None:
    def function(database: Database, a: int, *, context: RunContext, b: int) -> None: ...

    args, kwargs = [1], {"b": 2}
    assert Function("a:b", function).bind(args, kwargs, FILLED) == ([DB, 1], {"b": 2, "context": CONTEXT})  # type: ignore[arg-type]
    assert (args, kwargs) == ([1], {"b": 2})


# --- random signatures -----------------------------------------------------------------------------------------------

KINDS = ("positional_only", "positional_or_keyword", "keyword_only")


@st.composite
def signatures(draw: st.DrawFn) -> str:
    """Draw the parameters of a function, in Python: any kinds, some of them injected, some with a default."""
    parameters: dict[str, list[str]] = {kind: [] for kind in KINDS}
    optional = False
    for index, kind in enumerate(sorted(draw(st.lists(st.sampled_from(KINDS), max_size=6)), key=KINDS.index)):
        annotation = draw(st.sampled_from(["int", "int", "Database", "RunContext | None"]))
        may_be_optional = kind != "positional_only" or annotation == "int"
        optional = may_be_optional and draw(st.booleans()) if kind == "keyword_only" or not optional else True
        if optional and not may_be_optional:
            annotation = "int"
        parameters[kind].append(f"p{index}: {annotation}" + (f" = {-index - 1}" if optional else ""))
    star = draw(st.sampled_from(["*rest: int", "*"]))
    slash = ["/"] if parameters["positional_only"] else []
    stars = [star] if parameters["keyword_only"] or star != "*" else []
    extra = draw(st.sampled_from([[], ["**extra: int"]]))
    return ", ".join(
        parameters["positional_only"]
        + slash
        + parameters["positional_or_keyword"]
        + stars
        + parameters["keyword_only"]
        + extra
    )


@given(signatures(), st.data())
def test_every_parameter_gets_its_own_value(parameters: str, data: st.DataObject) -> None:
    scope = dict(globals())
    exec(f"def function({parameters}): return dict(locals())", scope)  # noqa: S102
    function = Function("tests:function", scope["function"])
    args = data.draw(st.lists(st.integers(0, 99), max_size=6))
    names = [*function.arguments.parameters, "q"]
    kwargs = data.draw(st.dictionaries(st.sampled_from(names), st.integers(100, 199), max_size=6))
    try:
        given = function.arguments.bind(*args, **kwargs)
    except TypeError:
        with pytest.raises(InvalidArguments):
            function.check(args, kwargs)
        return

    function.check(args, kwargs)
    positional, named = function.bind(args, kwargs, FILLED)  # type: ignore[arg-type]
    got = function.call(*positional, **named)

    given.apply_defaults()
    filled = {name: FILLED[kind] for name, kind in function.injected.items()}
    assert got == {**given.arguments, **filled}


# --- what a job may give ---------------------------------------------------------------------------------------------


def _report(database: Database, name: str, copies: int = 1, *, paper: str = "A4") -> None: ...


TAKES = "tests:function takes (name: str, copies: int = 1, *, paper: str = 'A4')"


@pytest.mark.parametrize(
    ("args", "kwargs", "field", "message"),
    [
        ([], {}, "args", "missing a required argument: 'name'"),
        (["a", 1, 2], {}, "args", "too many positional arguments"),
        (["a"], {"colour": 1}, "kwargs", "got an unexpected keyword argument 'colour'"),
        (["a"], {"name": "b"}, "kwargs", "multiple values for argument 'name'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_with_what_would(
    args: list[Any], kwargs: dict[str, Any], field: str, message: str
) -> None:
    assert refused(_report, *args, **kwargs) == {field: f"{message}; {TAKES}"}


def test_a_job_can_not_give_what_is_injected() -> None:
    assert refused(_report, "a", database="mine") == {"kwargs": "database: filled in when the job runs; leave it out"}


def test_a_function_without_parameters_takes_no_arguments() -> None:
    def function(database: Database) -> None: ...

    assert refused(function, 1) == {"args": "too many positional arguments; tests:function takes no arguments"}


def test_a_refusal_is_short_however_long_the_argument() -> None:
    assert len(refused(_report, "a", **{"x" * 100_000: 1})["kwargs"]) < 400


def test_a_functions_own_check_is_part_of_the_check() -> None:
    def is_even(number: int) -> None:
        if number % 2:
            raise ValueError(f"number: {number} is odd")

    @register("a:b", check=is_even)
    def function(number: int) -> None: ...

    registry.lookup("a:b").check([2], {})
    with pytest.raises(InvalidArguments) as caught:
        registry.lookup("a:b").check([3], {})
    assert caught.value.fields == {"args": "number: 3 is odd"}
    with pytest.raises(InvalidArguments) as caught:
        registry.lookup("a:b").check([], {"number": "x"})
    assert "not all arguments converted" in caught.value.fields["kwargs"]


class Speechless(Exception):
    """Cannot say what is wrong."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyError("region"), "the check of a:b raised KeyError: 'region'"),
        (ZeroDivisionError(), "the check of a:b raised ZeroDivisionError"),
        (AssertionError("a\x00b\ud800"), "the check of a:b raised AssertionError: a\\x00b\\ud800"),
        (RecursionError("too deep"), "the check of a:b raised RecursionError: too deep"),
        (SystemExit(3), "the check of a:b raised SystemExit: 3"),
        (Speechless(), "the check of a:b raised tests.unit.test_registry.Speechless: <exception str() failed>"),
        (ValueError(), "refused by the check of a:b"),
        (ValueError("x" * 10_000), "x" * 500),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_a_functions_own_check_raises_refuses_the_arguments(error: BaseException, message: str) -> None:
    def fails(number: int) -> None:
        raise error

    function = Function("a:b", lambda number: None, fails)
    with pytest.raises(InvalidArguments) as caught:
        function.check([1], {})
    (said,) = caught.value.fields.values()
    assert said.startswith(message)
    assert len(said) <= 500


def test_ctrl_c_during_a_check_is_not_taken_for_a_refusal() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Function("a:b", lambda: None, interrupted).check([], {})


def test_a_check_that_changes_the_arguments_changes_a_copy() -> None:
    def appends(numbers: list[int], *, more: dict[str, Any]) -> None:
        numbers.append(4)
        more.clear()

    args, kwargs = [[1, 2, 3]], {"more": {"a": 1}}
    Function("a:b", lambda numbers, more: None, appends).check(args, kwargs)
    assert (args, kwargs) == ([[1, 2, 3]], {"more": {"a": 1}})


def test_a_default_whose_repr_raises_is_left_out_of_the_words() -> None:
    class Unspeakable:
        def __repr__(self) -> str:
            raise RuntimeError("no words")

    def function(number: int, unit: Any = Unspeakable()) -> None: ...  # noqa: B008

    assert refused(function) == {"args": "missing a required argument: 'number'; tests:function takes (number, unit)"}


def test_the_signature_shows_types_although_annotations_are_strings() -> None:
    parameters = Function("a:b", _report).signature.parameters

    assert [p.annotation for p in parameters.values()] == [Database, str, int, str]
    assert inspect.formatannotation(parameters["name"].annotation) == "str"
