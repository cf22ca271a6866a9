"""One run from its start to its outcome: for any function there is one outcome, which can be stored."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from jobs.calls import runner
from jobs.calls.output import capture_installed
from jobs.calls.runner import MAX_ERROR, MAX_RESULT, MAX_TRACEBACK, Activity
from jobs.core.held import Outcome
from jobs.core.json import MAX_STORED_DEPTH
from jobs.core.runs import RunStatus
from jobs.functions import registry
from jobs.functions.commands import CommandFailed
from jobs.functions.context import Database, RunContext
from tests.fakes import NOW, FakeClock, after, held_run

Ran = Callable[..., Outcome]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> Ran:
    """Return a helper that runs a function, and returns the outcome."""

    def run(call: Callable[..., Any], *args: Any, **fields: Any) -> Outcome:
        monkeypatch.setitem(registry._functions, "tests:it", registry.Function("tests:it", call))
        with capture_installed():
            return runner.execute(held_run(func="tests:it", **{"args": list(args), **fields}), clock, lambda _: None)

    return run


def returned(ran: Ran, value: Any) -> Any:
    outcome = ran(lambda: value)
    assert outcome.status is RunStatus.SUCCEEDED
    assert len(outcome.result) <= MAX_RESULT
    return json.loads(outcome.result) if outcome.result else None


# --- results ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [None, 0, False, "text", 1.5, [1, [2]], {"a": {"b": None}}, "über \N{GRINNING FACE}", [], "", "\\u0041"]
)
def test_a_result_of_json_is_kept_as_it_is(ran: Ran, value: Any) -> None:
    assert returned(ran, value) == value


def test_no_result_is_kept_as_none(ran: Ran) -> None:
    assert ran(lambda: None).result == ""


def test_a_part_that_is_not_json_is_kept_by_its_repr(ran: Ran) -> None:
    assert returned(ran, {"at": NOW}) == {"at": repr(NOW)}


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {(1, 2): 3}, {1, 2}], ids=repr)
def test_a_result_that_json_has_no_word_for_is_kept_by_its_repr(ran: Ran, value: Any) -> None:
    assert returned(ran, value) == repr(value)


def test_a_result_that_holds_itself_is_kept_by_its_repr(ran: Ran) -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert returned(ran, endless) == "[[...]]"


def test_a_result_with_nul_is_kept_in_a_form_that_postgresql_stores(ran: Ran) -> None:
    assert returned(ran, "a\x00b") == "'a\\x00b'"


def test_a_result_with_a_lone_surrogate_is_kept_in_a_form_that_postgresql_stores(ran: Ran) -> None:
    assert returned(ran, {"name": "a\ud800"}) == "{'name': 'a\\ud800'}"


def test_a_huge_result_is_cut(ran: Ran) -> None:
    assert returned(ran, "x" * 10**6) == "'" + "x" * (MAX_RESULT // 2 - 2)


def test_a_huge_result_of_what_json_escapes_is_cut_too(ran: Ran) -> None:
    returned(ran, '"' * 10**6)


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


def test_a_result_of_a_hundred_levels_is_kept(ran: Ran) -> None:
    assert returned(ran, nested(MAX_STORED_DEPTH)) == nested(MAX_STORED_DEPTH)


def test_a_result_of_more_levels_is_kept_by_its_repr(ran: Ran) -> None:
    assert returned(ran, nested(MAX_STORED_DEPTH + 1)) == repr(nested(MAX_STORED_DEPTH + 1))


@pytest.mark.parametrize("depth", [900, 1000, 10_000, 100_000])
def test_a_result_too_deep_for_the_stack_is_named(ran: Ran, depth: int) -> None:
    assert isinstance(returned(ran, nested(depth)), str)


class Unreadable:
    """An object whose `repr` raises."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


@pytest.mark.parametrize("value", [Unreadable(), [Unreadable()], {"a": Unreadable()}], ids=["alone", "list", "dict"])
def test_a_result_whose_repr_raises_is_named(ran: Ran, value: Any) -> None:
    assert returned(ran, value) == f"<{type(value).__name__}, whose repr() raised RuntimeError>"


class Nul:
    """An object whose `repr` has a NUL, which `ascii` keeps."""

    def __repr__(self) -> str:
        return "a\x00b"


def test_a_repr_with_nul_is_kept_in_a_form_that_postgresql_stores(ran: Ran) -> None:
    assert returned(ran, [Nul()]) == "[a\ufffdb]"


# --- errors ----------------------------------------------------------------------------------------------------------


def raised(ran: Ran, error: BaseException) -> Outcome:
    def fail() -> None:
        raise error

    outcome = ran(fail)
    assert outcome.status is RunStatus.FAILED
    assert outcome.result == ""
    return outcome


def test_an_exception_fails_the_run_and_is_named(ran: Ran) -> None:
    assert raised(ran, ValueError("bad value")).error == "ValueError: bad value"


def test_an_exception_of_our_own_is_named_without_its_module(ran: Ran) -> None:
    assert raised(ran, CommandFailed("exit status 3")).error == "CommandFailed: exit status 3"
    assert "jobs.functions.commands" not in raised(ran, CommandFailed()).error


def test_an_exception_without_a_message_is_named_by_its_class(ran: Ran) -> None:
    assert raised(ran, KeyError()).error == "KeyError"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_an_exception_that_would_end_the_process_fails_the_run(ran: Ran, error: BaseException) -> None:
    assert raised(ran, error).error.startswith(type(error).__name__)


def test_sys_exit_with_zero_fails_the_run_too(ran: Ran) -> None:
    assert ran(lambda: sys.exit(0)).status is RunStatus.FAILED


class Mute(Exception):
    """An exception whose message cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError("no message")


def test_an_exception_whose_message_raises_is_named(ran: Ran) -> None:
    outcome = raised(ran, Mute())
    assert "Mute" in outcome.error
    assert "Mute" in outcome.traceback


def test_an_error_is_stored_without_nul_and_lone_surrogates(ran: Ran) -> None:
    outcome = raised(ran, ValueError("a\x00b\ud800"))
    assert outcome.error == "ValueError: a\ufffdb?"
    assert "\x00" not in outcome.traceback


def test_a_long_error_is_cut(ran: Ran) -> None:
    outcome = raised(ran, ValueError("x" * 10**6))
    assert len(outcome.error) == MAX_ERROR
    assert len(outcome.traceback) == MAX_TRACEBACK


def test_the_traceback_begins_in_the_function(ran: Ran) -> None:
    def fail() -> None:
        raise ValueError("here")

    lines = ran(fail).traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert __file__ in lines[1]
    assert lines[1].endswith("in fail")


def test_the_traceback_shows_the_cause(ran: Ran) -> None:
    def fail() -> None:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error

    text = ran(fail).traceback
    assert text.index("KeyError: 'first'") < text.index("ValueError: second")


def test_endless_recursion_fails_the_run(ran: Ran) -> None:
    def again() -> None:
        again()

    outcome = ran(again)
    assert outcome.error.startswith("RecursionError")
    assert len(outcome.traceback) <= MAX_TRACEBACK


def test_a_success_has_no_error_and_no_traceback(ran: Ran) -> None:
    outcome = ran(lambda: None)
    assert (outcome.error, outcome.traceback) == ("", "")


# --- arguments -------------------------------------------------------------------------------------------------------


def test_the_function_gets_its_arguments(ran: Ran) -> None:
    outcome = ran(lambda *args, **kwargs: [args, kwargs], 1, "two", kwargs={"three": 3})
    assert json.loads(outcome.result) == [[1, "two"], {"three": 3}]


def test_what_is_asked_for_by_annotation_is_filled_in(ran: Ran) -> None:
    def ask(value: int, database: Database, context: RunContext) -> list[Any]:
        return [value, database.alias, context.job_id, context.run_id, context.attempt]

    assert json.loads(ran(ask, 5, job_id="j", attempt=2).result) == [5, "default", "j", 1, 2]


def test_the_context_has_the_fire_time(ran: Ran) -> None:
    def ask(context: RunContext) -> str:
        return context.scheduled_time.isoformat()

    assert json.loads(ran(ask, scheduled_time=after(7)).result) == after(7).isoformat()


def test_what_the_contexts_logger_logs_is_in_the_output(ran: Ran) -> None:
    def log(context: RunContext) -> None:
        context.logger.warning("half way")

    assert ran(log, job_id="j").output == "WARNING job.j: half way\n"


def test_progress_is_in_the_outcome(ran: Ran) -> None:
    def work(context: RunContext) -> None:
        context.progress(1, 4)
        context.progress(3, 4)

    assert ran(work).progress == (3, 4)


def test_arguments_that_do_not_fit_fail_the_run(ran: Ran) -> None:
    assert "positional argument" in ran(lambda: None, 1).error


@pytest.mark.parametrize(
    "damage",
    [{"args": "abc"}, {"args": {"a": 1}}, {"args": None}, {"args": 5}, {"kwargs": ["ab"]}, {"kwargs": None}],
    ids=repr,
)
def test_arguments_that_are_not_of_their_kind_fail_the_run_and_call_nothing(ran: Ran, damage: dict[str, Any]) -> None:
    called = []
    outcome = ran(lambda *args, **kwargs: called.append(1), **damage)
    assert outcome.status is RunStatus.FAILED
    assert next(iter(damage)) in outcome.error
    assert not called


def test_an_unknown_function_fails_the_run_and_is_named(clock: FakeClock) -> None:
    outcome = runner.execute(held_run(func="os:system", args=["false"]), clock, lambda _: None)
    assert outcome.status is RunStatus.FAILED
    assert "'os:system' is not a registered function" in outcome.error


# --- the record ------------------------------------------------------------------------------------------------------


def test_the_outcome_has_the_start_and_the_end(ran: Ran, clock: FakeClock) -> None:
    outcome = ran(lambda: clock.advance(2.5))
    assert (outcome.started_at, outcome.finished_at) == (NOW, after(2.5))


def test_a_run_does_not_end_before_its_start_where_the_clock_was_put_back(ran: Ran, clock: FakeClock) -> None:
    outcome = ran(lambda: clock.advance(-3600))
    assert (outcome.started_at, outcome.finished_at) == (NOW, NOW)


def test_the_start_is_told_before_the_function_is_called(clock: FakeClock) -> None:
    events: list[str] = []

    def started(activity: Activity) -> None:
        events.append(f"run {activity.run.id} started")

    with capture_installed():
        outcome = runner.execute(held_run(7, args=["done"]), clock, started)
    events.append(outcome.result)
    assert events == ["run 7 started", '"done"']


def test_what_is_printed_is_in_the_output(ran: Ran) -> None:
    assert ran(lambda: print("hello")).output == "hello\n"


def test_what_was_printed_before_an_error_is_in_the_output(ran: Ran) -> None:
    def fail() -> None:
        print("so far")
        raise ValueError

    assert ran(fail).output == "so far\n"


def test_a_generator_that_is_returned_is_not_run(ran: Ran) -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    assert "generator object" in returned(ran, endless())


# --- async functions -------------------------------------------------------------------------------------------------


def test_an_async_function_is_run_in_a_loop_of_its_own(ran: Ran) -> None:
    async def work(value: int, context: RunContext) -> list[Any]:
        await asyncio.sleep(0)
        return [value, context.job_id]

    assert json.loads(ran(work, 5, job_id="j").result) == [5, "j"]


def test_a_coroutine_that_a_plain_function_returns_is_run(ran: Ran) -> None:
    async def work() -> str:
        return "done"

    assert json.loads(ran(lambda: work()).result) == "done"


def test_what_tasks_and_threads_of_an_async_function_print_is_in_the_output(ran: Ran) -> None:
    async def say(text: str) -> None:
        print(text)

    async def work() -> None:
        await say("itself")
        await asyncio.create_task(say("a task"))
        await asyncio.to_thread(print, "a thread")
        await asyncio.get_running_loop().run_in_executor(None, print, "an executor")
        await sync_to_async(print)("synchronous code")

    lines = ["itself", "a task", "a thread", "an executor", "synchronous code"]
    assert ran(work).output.splitlines() == lines


def test_the_traceback_of_an_async_function_begins_in_the_function(ran: Ran) -> None:
    async def fail() -> None:
        raise ValueError("here")

    outcome = ran(fail)
    assert (outcome.status, outcome.error) == (RunStatus.FAILED, "ValueError: here")
    lines = outcome.traceback.splitlines()
    assert __file__ in lines[1]
    assert lines[1].endswith("in fail")


def test_an_async_function_that_cancels_itself_fails(ran: Ran) -> None:
    async def give_up() -> None:
        raise asyncio.CancelledError

    assert ran(give_up).status is RunStatus.FAILED


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_an_exception_of_an_async_function_that_would_end_the_process_fails_the_run(
    ran: Ran, error: BaseException
) -> None:
    async def leave() -> None:
        raise error

    assert ran(leave).error.startswith(type(error).__name__)


@pytest.fixture
def activities() -> list[Activity]:
    """The runs that have started."""
    return []


@pytest.fixture
def started(activities: list[Activity], clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Ran:
    """Return a helper that runs a function, with its activity in `activities`, and returns the outcome."""

    def run(call: Callable[..., Any]) -> Outcome:
        monkeypatch.setitem(registry._functions, "tests:it", registry.Function("tests:it", call))
        return runner.execute(held_run(func="tests:it"), clock, activities.append)

    return run


def cancel_from_a_thread(activity: Activity) -> None:
    thread = threading.Thread(target=activity.cancel, args=("cancelled by ann",))
    thread.start()
    thread.join()


def test_an_async_function_is_cancelled_where_it_waits(started: Ran, activities: list[Activity]) -> None:
    tidied = []

    async def work() -> None:
        try:
            cancel_from_a_thread(activities[0])
            await asyncio.sleep(300)
        finally:
            tidied.append(True)

    outcome = started(work)
    assert (outcome.status, outcome.reason, outcome.error) == (RunStatus.CANCELLED, "cancelled by ann", "")
    assert tidied


def test_an_async_function_may_look_whether_it_is_cancelled(started: Ran, activities: list[Activity]) -> None:
    async def work(context: RunContext) -> str:
        cancel_from_a_thread(activities[0])
        return "tidy" if context.cancelled else "untold"

    outcome = started(work)
    assert (outcome.status, outcome.result) == (RunStatus.CANCELLED, '"tidy"')


def test_an_async_function_that_does_not_notice_that_it_is_cancelled_succeeds(
    started: Ran, activities: list[Activity]
) -> None:
    async def work() -> str:
        cancel_from_a_thread(activities[0])
        return "done"

    outcome = started(work)
    assert (outcome.status, outcome.result) == (RunStatus.SUCCEEDED, '"done"')


def test_an_async_function_that_was_cancelled_before_it_started_ends_at_once(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        await asyncio.sleep(300)

    monkeypatch.setitem(registry._functions, "tests:it", registry.Function("tests:it", work))
    outcome = runner.execute(held_run(func="tests:it"), clock, lambda activity: activity.cancel("cancelled by ann"))
    assert outcome.status is RunStatus.CANCELLED


def test_a_request_to_cancel_that_comes_after_the_end_changes_nothing(started: Ran, activities: list[Activity]) -> None:
    async def work() -> str:
        return "done"

    outcome = started(work)
    activities[0].cancel("too late")
    assert outcome.status is RunStatus.SUCCEEDED
