"""Hostile functions in processes, with a real `runscheduler`: their runs end, and the pool goes on."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from jobs import services
from jobs.models import Job, Run
from tests.fakes import by
from tests.waiting import until

from .process_runs import PATIENCE, ended, have_ended, is_alive, pids, queued, started
from .support import Process


@pytest.fixture(scope="module")
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The database, which these tests share. pytest-django makes one only for tests that use a fixture of this name."""
    with django_db_blocker.unblock():
        yield
        call_command("flush", interactive=False, verbosity=0)


@pytest.fixture(scope="module", autouse=True)
def scheduler(tmp_path_factory: pytest.TempPathFactory, db: None) -> Iterator[Process]:
    """A scheduler with one thread and one process, which these tests share."""
    with started(tmp_path_factory.mktemp("scheduler") / "log") as process:
        yield process


def assert_goes_on() -> None:
    """Check that the pool runs the next run, in a process that has not ended."""
    run = ended(queued("tests:pid"))
    assert run.status == "succeeded", run.error
    assert is_alive(run.result)


def timed_out(func: str, path: Path, timeout: int, **fields: Any) -> Run:
    """Return a run that ended at its timeout after its function had left its process ids in `path`.

    The timeout begins before the process reads its request: where the machine stalls then, the function never begins.
    """
    for _ in range(3):
        run = ended(queued(func, str(path), timeout=timeout, **fields))
        assert run.status == "timed_out"
        if path.exists():
            return run
    raise AssertionError("the function left nothing")


def test_a_function_runs_in_a_process_and_all_that_it_writes_is_its_output() -> None:
    run = ended(queued("tests:noisy"))
    assert (run.status, run.result, run.error) == ("succeeded", {"answer": 42}, "")
    assert (run.progress_done, run.progress_total) == (3, 4)
    lines = ["printed", "printed as an error", f"INFO job.{run.job_id}: logged", "from a child", "from the descriptor"]
    assert sorted(run.output.splitlines()) == sorted(lines)


def test_a_process_gets_a_secret_and_what_it_writes_is_masked() -> None:
    run = ended(queued("tests:reveal", {"$secret": "CRM"}))
    assert (run.status, run.error) == ("succeeded", "")
    assert (run.output, run.result) == ("***\n***\n", "HUNTER2-HUNTER2***")


def test_an_unknown_secret_fails_the_run_and_keeps_the_process() -> None:
    before = ended(queued("tests:pid")).result
    run = ended(queued("tests:reveal", {"$secret": "NOPE"}))
    assert run.status == "failed"
    assert "there is no secret 'NOPE'" in run.error
    assert ended(queued("tests:pid")).result == before


def test_a_process_is_kept_for_the_next_run(scheduler: Process) -> None:
    first, second = ended(queued("tests:pid")), ended(queued("tests:pid"))
    assert first.result == second.result != scheduler.pid


def test_a_function_that_raises_fails_its_run_and_keeps_its_process() -> None:
    before = ended(queued("tests:pid")).result
    run = ended(queued("tests:fail", "no luck"))
    assert (run.status, run.error) == ("failed", "RuntimeError: no luck")
    assert run.traceback.startswith("Traceback")
    assert ended(queued("tests:pid")).result == before


def test_a_function_that_ignores_sigterm_is_ended_at_its_timeout(tmp_path: Path) -> None:
    run = timed_out("tests:stubborn", tmp_path / "pids", 1, executor="thread")
    assert run.reason == "it took longer than its timeout of 1 s"
    assert run.output == "never ends\n"
    assert not is_alive(*pids(tmp_path / "pids"))
    assert_goes_on()


def test_a_function_may_write_as_much_as_it_likes_while_it_tidies_up(tmp_path: Path) -> None:
    run = timed_out("tests:tell_a_lot", tmp_path / "pids", 1)
    assert len(run.output) == 200_001


def test_a_timeout_may_be_longer_than_the_system_can_wait_at_once() -> None:
    run = ended(queued("tests:echo", "done", timeout=366 * 86_400))
    assert (run.status, run.error) == ("succeeded", "")


@pytest.mark.slow
def test_what_a_function_started_is_ended_with_it(tmp_path: Path) -> None:
    timed_out("tests:family", tmp_path / "pids", 2)
    family = pids(tmp_path / "pids")
    assert len(family) == 3
    until(lambda: have_ended(*family), 20, "their end")
    assert_goes_on()


def test_a_process_that_got_away_and_holds_the_output_holds_up_nothing(tmp_path: Path) -> None:
    timed_out("tests:daemon", tmp_path / "pids", 2)
    (away,) = pids(tmp_path / "pids")
    try:
        assert is_alive(away)
        assert_goes_on()
    finally:
        os.kill(away, signal.SIGKILL)


@pytest.mark.slow
def test_a_child_that_was_left_behind_and_writes_without_end_holds_up_nothing(tmp_path: Path) -> None:
    run = ended(queued("tests:noisy_child", str(tmp_path / "pids")))
    (child,) = pids(tmp_path / "pids")
    try:
        assert (run.status, run.result) == ("succeeded", "returned")
        assert "before the end\n" in run.output
        assert_goes_on()
    finally:
        os.kill(child, signal.SIGKILL)


def test_the_progress_of_a_child_that_was_left_behind_is_none_of_the_next_run(tmp_path: Path) -> None:
    ended(queued("tests:busy_child", str(tmp_path / "pids")))
    (child,) = pids(tmp_path / "pids")
    try:
        run = ended(queued("tests:wait", 0.5))
        assert (run.status, run.progress_done) == ("succeeded", None)
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_child_that_returns_as_well_answers_for_no_run(tmp_path: Path) -> None:
    run = ended(queued("tests:fork", str(tmp_path / "pids")))
    assert (run.status, run.result) == ("succeeded", "parent")
    (child,) = pids(tmp_path / "pids")
    until(lambda: have_ended(child), 20, "its end")
    results = {ended(queued("tests:pid")).result for _ in range(5)}
    assert len(results) == 1
    assert child not in results


EACH_EXECUTOR = pytest.mark.parametrize("executor", ["thread", "process"])


@EACH_EXECUTOR
def test_an_async_function_may_ask_the_database(executor: str) -> None:
    run = ended(queued("tests:async_query", executor=executor))
    assert (run.status, run.result) == ("succeeded", [Job.objects.count()] * 2)


@EACH_EXECUTOR
def test_an_async_function_tidies_up_when_it_is_cancelled(tmp_path: Path, executor: str) -> None:
    run = queued("tests:async_wait", str(tmp_path / "pids"), executor=executor)
    pids(tmp_path / "pids")
    with by("ann"):
        services.cancel_run(run.pk, now=datetime.now(UTC))
    run = ended(run)
    assert (run.status, run.reason, run.error) == ("cancelled", "cancelled by ann", "")
    assert run.output == "tidied up\n"


@pytest.mark.slow
def test_an_async_function_tidies_up_at_its_timeout(tmp_path: Path) -> None:
    assert timed_out("tests:async_wait", tmp_path / "pids", 1).output == "tidied up\n"
    assert_goes_on()


@EACH_EXECUTOR
def test_a_function_may_leave_a_pool_of_forked_processes(executor: str) -> None:
    run = ended(queued("tests:leave_pool", executor=executor))
    assert (run.status, run.result) == ("succeeded", [1, 2])


@EACH_EXECUTOR
def test_a_function_may_terminate_the_processes_that_it_forked(executor: str) -> None:
    run = ended(queued("tests:terminate_children", 20, executor=executor))
    assert (run.status, run.result) == ("succeeded", [-signal.SIGTERM] * 20)


@EACH_EXECUTOR
def test_a_forked_child_has_the_default_signal_handlers(executor: str) -> None:
    run = ended(queued("tests:handlers_of_a_child", executor=executor))
    terminate, interrupt, hang_up = run.result
    assert (terminate, hang_up) == (repr(signal.SIG_DFL), repr(signal.SIG_DFL))
    assert "default_int_handler" in interrupt


def test_a_forked_child_keeps_the_signal_handlers_that_its_function_set() -> None:
    assert ended(queued("tests:ignoring_child")).result == repr(signal.SIG_IGN)


def test_what_a_forked_child_of_a_thread_prints_goes_to_the_log(scheduler: Process) -> None:
    run = ended(queued("tests:printing_child", executor="thread"))
    assert run.output == "printed by its parent\n"
    assert scheduler.logged("printed by a forked child\n")


def test_what_a_function_makes_of_its_process_is_not_found_by_the_next_one() -> None:
    before = ended(queued("tests:pid")).result
    assert ended(queued("tests:spoil")).status == "succeeded"
    run = ended(queued("tests:noisy"))
    assert run.status == "succeeded"
    lines = ["printed", "printed as an error", f"INFO job.{run.job_id}: logged", "from a child", "from the descriptor"]
    assert sorted(run.output.splitlines()) == sorted(lines)
    assert ended(queued("tests:pid")).result == before


def test_signals_the_umask_and_the_environment_are_as_they_were_for_the_next_one() -> None:
    before = ended(queued("tests:surroundings")).result
    assert ended(queued("tests:spoil_signals")).status == "succeeded"
    assert ended(queued("tests:surroundings")).result == before


def test_a_function_may_take_its_output_away() -> None:
    run = ended(queued("tests:without_output"))
    assert (run.status, run.result) == ("succeeded", "returned")
    assert ended(queued("tests:speak")).output == "hello\n"


@pytest.mark.parametrize("executor", ["process", "thread"])
def test_what_a_thread_writes_after_its_run_is_none_of_the_next_one(
    scheduler: Process, tmp_path: Path, executor: str
) -> None:
    path = str(tmp_path / executor)
    assert ended(queued("tests:leave_a_thread", path, executor=executor)).output == "in time\n"
    run = ended(queued("tests:wake_a_thread", path, executor=executor))
    assert (run.output, run.progress_done) == ("own output\n", None)
    for late in ("late output\n", "late error\n", "late log\n"):
        assert scheduler.logged(late)


def test_what_a_child_writes_between_two_runs_is_in_neither(scheduler: Process, tmp_path: Path) -> None:
    told = tmp_path / "told"
    assert ended(queued("tests:leave_a_child", str(told))).output == ""
    told.touch()
    until(lambda: not told.exists(), PATIENCE, "its line")
    assert ended(queued("tests:speak")).output == "hello\n"
    assert scheduler.logged("from a child that was left behind\n")


def test_a_process_that_died_between_two_runs_fails_neither() -> None:
    pid = ended(queued("tests:die_later")).result
    until(lambda: have_ended(pid), PATIENCE, "its end")
    assert_goes_on()


@pytest.mark.skipif(sys.platform != "linux", reason="pidfd_open is Linux's")
def test_a_process_that_dies_fails_its_run_although_its_child_lives(tmp_path: Path) -> None:
    run = ended(queued("tests:die_beside_a_child", str(tmp_path / "pids")))
    assert (run.status, run.error) == ("failed", "the process was ended by SIGKILL")
    until(lambda: have_ended(*pids(tmp_path / "pids")), 20, "its end")


@pytest.mark.slow
def test_a_process_that_takes_no_request_is_ended_at_the_timeout(tmp_path: Path) -> None:
    assert ended(queued("tests:seize", str(tmp_path / "pids"), 60)).status == "succeeded"
    pids(tmp_path / "pids")
    time.sleep(0.5)
    run = ended(queued("tests:echo", "x" * 200_000, timeout=1))
    assert (run.status, run.reason) == ("timed_out", "it took longer than its timeout of 1 s")
    assert_goes_on()


def test_a_cancelled_run_is_ended(tmp_path: Path) -> None:
    run = queued("tests:family", str(tmp_path / "pids"))
    family = pids(tmp_path / "pids")
    with by("ann"):
        services.cancel_run(run.pk, now=datetime.now(UTC))
    run = ended(run)
    assert (run.status, run.reason) == ("cancelled", "cancelled by ann")
    until(lambda: have_ended(*family), 20, "their end")
    assert_goes_on()


def test_a_process_that_exits_fails_its_run_with_its_status() -> None:
    run = ended(queued("tests:exit", 7))
    assert (run.status, run.error) == ("failed", "the process exited with status 7")
    assert run.output == "leaving\n"
    assert_goes_on()


def test_a_process_that_crashes_fails_its_run_with_the_signal() -> None:
    run = ended(queued("tests:segfault"))
    assert (run.status, run.error) == ("failed", "the process was ended by SIGSEGV")
    assert_goes_on()
