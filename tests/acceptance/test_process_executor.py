"""Functions in processes, with a real `runscheduler`: whatever they do, their runs end, and the pool goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from jobs import services
from jobs.core.runs import ACTIVE
from jobs.models import Run, Scheduler
from tests import process_functions

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    "DEBUG": "true", "SECRET_KEY": "only-for-tests", "TIME_ZONE": "UTC", "JOBS": "[]",
    "JOB_MODULES": f"tests.job_functions,{process_functions.__name__}",
}  # fmt: skip


def until(condition: Callable[[], Any], seconds: float = 40) -> Any:
    """Wait until `condition` holds, and return what it said; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)
    return found


def database_url() -> str:
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{settings['NAME']}"
    password = f":{settings['PASSWORD']}" if settings["PASSWORD"] else ""
    return f"postgresql://{settings['USER']}{password}@{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A scheduler with one thread and one process, started and at work; what is left of it is killed."""
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": database_url(), **ENVIRONMENT}
    command = [sys.executable, "manage.py", "runscheduler", "--threads=1", "--processes=1"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        until(Scheduler.objects.exists)
        yield process
    finally:
        process.kill()
        process.wait(10)
        print((tmp_path / "log").read_text())


def queued(func: str, *args: Any, **fields: Any) -> Run:
    """Ask for a run of a new job in a process."""
    now = datetime.now(UTC)
    job_id = f"job-{Run.objects.count()}"
    body = {"id": job_id, "func": func, "args": list(args), "trigger": "date", "run_date": "2999-01-01",
            "executor": "process", **fields}  # fmt: skip
    services.add_job(body, now=now)
    return services.run_job(job_id, now=now)


def ended(run: Run) -> Run:
    """Return a run when it has ended."""
    until(lambda: not Run.objects.filter(pk=run.pk, status__in=ACTIVE).exists())
    run.refresh_from_db()
    return run


def pids(path: Path) -> list[int]:
    """Return the process ids that a function left in `path`."""
    until(path.exists)
    return [int(word) for word in path.read_text().split()]


def is_alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def assert_goes_on() -> None:
    """Check that the pool runs the next run, in a process that has not ended."""
    run = ended(queued("tests:pid"))
    assert run.status == "succeeded", run.error
    assert is_alive(run.result)


@pytest.mark.usefixtures("scheduler")
def test_a_function_runs_in_a_process_and_all_that_it_writes_is_its_output() -> None:
    run = ended(queued("tests:noisy"))
    assert (run.status, run.result, run.error) == ("succeeded", {"answer": 42}, "")
    assert (run.progress_done, run.progress_total) == (3, 4)
    lines = ["printed", "printed as an error", f"INFO job.{run.job_id}: logged", "from a child", "from the descriptor"]
    assert sorted(run.output.splitlines()) == sorted(lines)


@pytest.mark.usefixtures("scheduler")
def test_a_process_is_kept_for_the_next_run(scheduler: subprocess.Popen[bytes]) -> None:
    first, second = ended(queued("tests:pid")), ended(queued("tests:pid"))
    assert first.result == second.result != scheduler.pid


@pytest.mark.usefixtures("scheduler")
def test_a_function_that_raises_fails_its_run_and_keeps_its_process() -> None:
    before = ended(queued("tests:pid")).result
    run = ended(queued("tests:fail", "no luck"))
    assert (run.status, run.error) == ("failed", "RuntimeError: no luck")
    assert run.traceback.startswith("Traceback")
    assert ended(queued("tests:pid")).result == before


@pytest.mark.usefixtures("scheduler")
def test_a_function_that_ignores_sigterm_is_ended_at_its_timeout(tmp_path: Path) -> None:
    run = ended(queued("tests:stubborn", str(tmp_path / "pids"), timeout=1, executor="thread"))
    assert (run.status, run.reason) == ("timed_out", "it took longer than its timeout of 1 s")
    assert run.output == "never ends\n"
    assert not is_alive(*pids(tmp_path / "pids"))
    assert_goes_on()


@pytest.mark.usefixtures("scheduler")
def test_what_a_function_started_is_ended_with_it(tmp_path: Path) -> None:
    run = ended(queued("tests:family", str(tmp_path / "pids"), timeout=2))
    assert run.status == "timed_out"
    family = pids(tmp_path / "pids")
    assert len(family) == 3
    until(lambda: not any(is_alive(pid) for pid in family), seconds=5)
    assert_goes_on()


@pytest.mark.usefixtures("scheduler")
def test_a_process_that_got_away_and_holds_the_output_holds_up_nothing(tmp_path: Path) -> None:
    run = ended(queued("tests:daemon", str(tmp_path / "pids"), timeout=2))
    (away,) = pids(tmp_path / "pids")
    try:
        assert run.status == "timed_out"
        assert_goes_on()
    finally:
        os.kill(away, signal.SIGKILL)


@pytest.mark.usefixtures("scheduler")
def test_a_child_that_was_left_behind_and_writes_without_end_holds_up_nothing(tmp_path: Path) -> None:
    run = ended(queued("tests:noisy_child", str(tmp_path / "pids")))
    (child,) = pids(tmp_path / "pids")
    try:
        assert (run.status, run.result) == ("succeeded", "returned")
        assert "before the end\n" in run.output
        assert_goes_on()
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.usefixtures("scheduler")
def test_a_child_that_returns_as_well_answers_for_no_run(tmp_path: Path) -> None:
    run = ended(queued("tests:fork", str(tmp_path / "pids")))
    assert (run.status, run.result) == ("succeeded", "parent")
    (child,) = pids(tmp_path / "pids")
    until(lambda: not is_alive(child), seconds=5)
    results = {ended(queued("tests:pid")).result for _ in range(5)}
    assert len(results) == 1
    assert child not in results


EACH_EXECUTOR = pytest.mark.parametrize("executor", ["thread", "process"])


@EACH_EXECUTOR
@pytest.mark.usefixtures("scheduler")
def test_an_async_function_may_ask_the_database(executor: str) -> None:
    run = ended(queued("tests:async_query", executor=executor))
    assert (run.status, run.result) == ("succeeded", [1, 1])


@EACH_EXECUTOR
@pytest.mark.usefixtures("scheduler")
def test_an_async_function_tidies_up_when_it_is_cancelled(tmp_path: Path, executor: str) -> None:
    run = queued("tests:async_wait", str(tmp_path / "pids"), executor=executor)
    pids(tmp_path / "pids")
    services.cancel_run(run.pk, now=datetime.now(UTC), actor="ann")
    run = ended(run)
    assert (run.status, run.reason, run.error) == ("cancelled", "cancelled by ann", "")
    assert run.output == "tidied up\n"


@pytest.mark.usefixtures("scheduler")
def test_an_async_function_tidies_up_at_its_timeout(tmp_path: Path) -> None:
    run = ended(queued("tests:async_wait", str(tmp_path / "pids"), timeout=1))
    assert (run.status, run.output) == ("timed_out", "tidied up\n")
    assert_goes_on()


@EACH_EXECUTOR
@pytest.mark.usefixtures("scheduler")
def test_a_function_may_leave_a_pool_of_forked_processes(executor: str) -> None:
    run = ended(queued("tests:leave_pool", executor=executor))
    assert (run.status, run.result) == ("succeeded", [1, 2])


@EACH_EXECUTOR
@pytest.mark.usefixtures("scheduler")
def test_a_function_may_terminate_the_processes_that_it_forked(executor: str) -> None:
    run = ended(queued("tests:terminate_children", 20, executor=executor))
    assert (run.status, run.result) == ("succeeded", [-signal.SIGTERM] * 20)


@EACH_EXECUTOR
@pytest.mark.usefixtures("scheduler")
def test_a_forked_child_has_the_default_signal_handlers(executor: str) -> None:
    run = ended(queued("tests:handlers_of_a_child", executor=executor))
    terminate, interrupt, hang_up = run.result
    assert (terminate, hang_up) == (repr(signal.SIG_DFL), repr(signal.SIG_DFL))
    assert "default_int_handler" in interrupt


@pytest.mark.usefixtures("scheduler")
def test_a_forked_child_keeps_the_signal_handlers_that_its_function_set() -> None:
    assert ended(queued("tests:ignoring_child")).result == repr(signal.SIG_IGN)


@pytest.mark.usefixtures("scheduler")
def test_what_a_forked_child_of_a_thread_prints_goes_to_the_log(tmp_path: Path) -> None:
    run = ended(queued("tests:printing_child", executor="thread"))
    assert run.output == "printed by its parent\n"
    assert "printed by a forked child\n" in (tmp_path / "log").read_text()


@pytest.mark.usefixtures("scheduler")
def test_what_a_function_makes_of_its_process_is_not_found_by_the_next_one() -> None:
    before = ended(queued("tests:pid")).result
    assert ended(queued("tests:spoil")).status == "succeeded"
    run = ended(queued("tests:noisy"))
    assert run.status == "succeeded"
    lines = ["printed", "printed as an error", f"INFO job.{run.job_id}: logged", "from a child", "from the descriptor"]
    assert sorted(run.output.splitlines()) == sorted(lines)
    assert ended(queued("tests:pid")).result == before


@pytest.mark.usefixtures("scheduler")
def test_signals_the_umask_and_the_environment_are_as_they_were_for_the_next_one() -> None:
    before = ended(queued("tests:surroundings")).result
    assert ended(queued("tests:spoil_signals")).status == "succeeded"
    assert ended(queued("tests:surroundings")).result == before


@pytest.mark.usefixtures("scheduler")
def test_a_function_may_take_its_output_away() -> None:
    run = ended(queued("tests:without_output"))
    assert (run.status, run.result) == ("succeeded", "returned")
    assert ended(queued("tests:speak")).output == "hello\n"


@pytest.mark.usefixtures("scheduler")
def test_a_process_that_died_between_two_runs_fails_neither() -> None:
    pid = ended(queued("tests:die_later")).result
    until(lambda: not is_alive(pid))
    assert_goes_on()


@pytest.mark.skipif(sys.platform != "linux", reason="pidfd_open is Linux's")
@pytest.mark.usefixtures("scheduler")
def test_a_process_that_dies_fails_its_run_although_its_child_lives(tmp_path: Path) -> None:
    run = ended(queued("tests:die_beside_a_child", str(tmp_path / "pids")))
    assert (run.status, run.error) == ("failed", "the process was ended by SIGKILL")
    until(lambda: not is_alive(*pids(tmp_path / "pids")), seconds=5)


@pytest.mark.usefixtures("scheduler")
def test_a_process_that_takes_no_request_is_ended_at_the_timeout() -> None:
    assert ended(queued("tests:seize", 60)).status == "succeeded"
    time.sleep(0.5)
    run = ended(queued("tests:echo", "x" * 200_000, timeout=1))
    assert (run.status, run.reason) == ("timed_out", "it took longer than its timeout of 1 s")
    assert_goes_on()


@pytest.mark.usefixtures("scheduler")
def test_a_cancelled_run_is_ended(tmp_path: Path) -> None:
    run = queued("tests:family", str(tmp_path / "pids"))
    family = pids(tmp_path / "pids")
    services.cancel_run(run.pk, now=datetime.now(UTC), actor="ann")
    run = ended(run)
    assert (run.status, run.reason) == ("cancelled", "cancelled by ann")
    until(lambda: not any(is_alive(pid) for pid in family), seconds=5)
    assert_goes_on()


@pytest.mark.usefixtures("scheduler")
def test_a_process_that_exits_fails_its_run_with_its_status() -> None:
    run = ended(queued("tests:exit", 7))
    assert (run.status, run.error) == ("failed", "the process exited with status 7")
    assert run.output == "leaving\n"
    assert_goes_on()


@pytest.mark.usefixtures("scheduler")
def test_a_process_that_crashes_fails_its_run_with_the_signal() -> None:
    run = ended(queued("tests:segfault"))
    assert (run.status, run.error) == ("failed", "the process was ended by SIGSEGV")
    assert_goes_on()


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_process_dies_with_its_scheduler(scheduler: subprocess.Popen[bytes], tmp_path: Path) -> None:
    queued("tests:stubborn", str(tmp_path / "pids"))
    (worker,) = pids(tmp_path / "pids")
    assert is_alive(worker)
    scheduler.kill()
    scheduler.wait(10)
    until(lambda: not is_alive(worker), seconds=5)


def test_what_a_function_started_dies_with_the_scheduler(scheduler: subprocess.Popen[bytes], tmp_path: Path) -> None:
    queued("tests:family", str(tmp_path / "pids"))
    family = pids(tmp_path / "pids")
    assert all(is_alive(pid) for pid in family)
    scheduler.kill()
    scheduler.wait(10)
    until(lambda: not any(is_alive(pid) for pid in family), seconds=5)


def test_a_scheduler_that_is_told_to_stop_lets_a_process_end(scheduler: subprocess.Popen[bytes]) -> None:
    run = queued("tests:wait", 2)
    until(lambda: Run.objects.filter(pk=run.pk, status="running").exists())
    scheduler.terminate()
    assert scheduler.wait(20) == 0
    assert ended(run).result == "waited"


def test_a_scheduler_that_is_told_to_end_at_once_ends_its_processes(
    scheduler: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    run = queued("tests:family", str(tmp_path / "pids"))
    family = pids(tmp_path / "pids")
    scheduler.terminate()
    time.sleep(0.2)
    scheduler.terminate()
    assert scheduler.wait(20) == 1
    assert ended(run).status == "lost"
    until(lambda: not any(is_alive(pid) for pid in family), seconds=5)
