"""The built-in functions for shell commands and for tasks of a team's own Celery."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jobs.core.exceptions import InvalidArguments
from jobs.core.runs import Executor
from jobs.functions import commands, registry
from jobs.functions.commands import CommandFailed, celery_task, shell
from jobs.functions.context import RunContext
from tests.waiting import until

pytestmark = pytest.mark.any_database


@pytest.fixture
def run_context() -> RunContext:
    return RunContext(run_id=1, job_id="a", scheduled_time=datetime(2027, 1, 1, tzinfo=UTC), attempt=1)


@pytest.fixture(autouse=True)
def allowed(settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"JOB_SHELL": True, "CELERY_APP": "celery_of_the_team:app"}


def is_running(pid: int) -> bool:
    """Tell whether a process lives; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the second where it was reaped after the file was opened
        return False


def cancel_when(run: RunContext, condition: Callable[[], object]) -> None:
    """Cancel `run` once `condition` is true."""

    def cancel() -> None:
        try:
            until(condition)
        finally:
            run.request_cancel()

    threading.Thread(target=cancel).start()


def check(name: str, *args: Any, **kwargs: Any) -> None:
    registry.lookup(f"cronzimus.functions:{name}").check(list(args), kwargs)


def test_what_a_command_prints_is_printed(run_context: RunContext, capsys: pytest.CaptureFixture[str]) -> None:
    shell("echo out; echo err >&2", context=run_context)
    assert capsys.readouterr().out == "out\nerr\n"


def test_words_are_run_without_a_shell(run_context: RunContext, capsys: pytest.CaptureFixture[str]) -> None:
    shell(["echo", "$HOME", ";", "ls"], context=run_context)
    assert capsys.readouterr().out == "$HOME ; ls\n"


def test_a_command_has_its_environment_folder_and_input(
    run_context: RunContext, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    shell("echo $X; pwd; cat", {"X": "1 2"}, str(tmp_path), "in\nput", context=run_context)
    assert capsys.readouterr().out == f"1 2\n{os.path.realpath(tmp_path)}\nin\nput"


def test_a_command_finds_the_secrets_that_it_is_given_and_no_others(
    run_context: RunContext, capsys: pytest.CaptureFixture[str], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"SECRETS": {"env": ["CRM_TOKEN"], "env_prefix": "JOB_SECRET_"}}
    for name in ("CRM_TOKEN", "JOB_SECRET_A", "OTHER"):
        monkeypatch.setenv(name, f"value of {name}")
    shell('echo "$CRM_TOKEN|$JOB_SECRET_A|$OTHER|$GIVEN"', {"GIVEN": "x"}, context=run_context)
    assert capsys.readouterr().out == "||value of OTHER|x\n"


def test_a_command_without_an_input_does_not_wait_for_one(run_context: RunContext) -> None:
    shell("cat", context=run_context)


def test_a_long_input_and_a_long_output_do_not_block_each_other(
    run_context: RunContext, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "x" * 500_000
    shell("cat", stdin=text, context=run_context)
    assert capsys.readouterr().out == text


def test_an_input_that_nobody_reads_is_no_error(run_context: RunContext) -> None:
    shell("exit 0", stdin="x" * 500_000, context=run_context)


def test_an_exit_status_fails_the_run(run_context: RunContext, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandFailed, match="exited with status 3"):
        shell("echo before; exit 3", context=run_context)
    assert capsys.readouterr().out == "before\n"


def test_a_signal_fails_the_run(run_context: RunContext) -> None:
    with pytest.raises(CommandFailed, match="ended by SIGTERM"):
        shell("kill -TERM $$", context=run_context)


def test_a_command_that_is_not_there_fails_the_run(run_context: RunContext) -> None:
    with pytest.raises(FileNotFoundError):
        shell(["/no/such/program"], context=run_context)


def test_bytes_that_are_not_text_are_shown(run_context: RunContext, capsys: pytest.CaptureFixture[str]) -> None:
    shell([sys.executable, "-c", "import os; os.write(1, b'a\\xffb')"], context=run_context)
    assert capsys.readouterr().out == "a\ufffdb"


def test_a_cancelled_command_is_ended_with_all_that_it_started(run_context: RunContext, tmp_path: Any) -> None:
    path = tmp_path / "pid"
    cancel_when(run_context, lambda: path.exists() and path.read_text().endswith("\n"))
    with pytest.raises(CommandFailed, match="cancelled"):
        shell(f"sleep 300 & echo $! > {path}; wait", context=run_context)
    pid = int(path.read_text())
    until(lambda: not is_running(pid))


TIDIES_UP = """
import pathlib, signal, sys, time
def tidy_up(*args):
    print("x" * 200_000, "tidied up", flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, tidy_up)
print("ready", flush=True)
pathlib.Path(sys.argv[1]).touch()
time.sleep(300)
"""


@pytest.mark.parametrize("executor", [Executor.THREAD, Executor.PROCESS])
def test_a_cancelled_command_may_print_as_much_as_it_likes_while_it_tidies_up(
    run_context: RunContext,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    executor: Executor,
) -> None:
    monkeypatch.setattr(run_context, "executor", executor)
    monkeypatch.setattr(commands, "GRACE_SECONDS", 30.0)
    ready = tmp_path / "ready"
    cancel_when(run_context, ready.exists)
    with pytest.raises(CommandFailed, match="cancelled"):
        shell([sys.executable, "-c", TIDIES_UP, str(ready)], context=run_context)
    assert capsys.readouterr().out == f"ready\n{'x' * 200_000} tidied up\n"


def test_what_a_cancelled_command_leaves_behind_is_not_read_for_ever(run_context: RunContext, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    cancel_when(run_context, begun.exists)
    began = time.monotonic()
    with pytest.raises(CommandFailed, match="cancelled"):
        # It lasts for a minute, or until nobody reads it any more.
        writes = f"touch {begun}; for i in $(seq 60000); do echo x; sleep 0.001; done"
        shell(f"setsid sh -c '{writes}' & sleep 300", context=run_context)
    assert time.monotonic() - began < 30


def test_what_a_command_leaves_in_the_background_does_not_hold_the_run_up(
    run_context: RunContext, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    shell("sleep 60 & echo $!; exit 0", context=run_context)
    assert time.monotonic() - began < 30
    os.kill(int(capsys.readouterr().out), signal.SIGTERM)


def test_shell_commands_are_off_by_default(settings: Any) -> None:
    settings.CRONZIMUS = {name: value for name, value in settings.CRONZIMUS.items() if name != "JOB_SHELL"}
    with pytest.raises(InvalidArguments, match="JOB_SHELL=true"):
        check("shell", "ls")


def test_a_job_that_was_saved_while_commands_were_allowed_does_not_run_any_more(
    settings: Any, run_context: RunContext
) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"JOB_SHELL": False}
    with pytest.raises(ValueError, match="JOB_SHELL=true"):
        shell("ls", context=run_context)


@pytest.mark.parametrize(
    ("args", "kwargs", "name"),
    [
        ([""], {}, "command"),
        ([[]], {}, "command"),
        ([["a", 5]], {}, "command"),
        ([5], {}, "command"),
        (["a"], {"env": {"A": 5}}, "env"),
        (["a"], {"env": {"A B": "x"}}, "env"),
        (["a"], {"env": []}, "env"),
        (["a"], {"cwd": "srv"}, "cwd"),
        (["a"], {"shell": "bash"}, "shell"),
        (["a"], {"stdin": 5}, "stdin"),
    ],
)
def test_wrong_arguments_of_a_command_are_named(args: list[Any], kwargs: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidArguments, match=name):
        check("shell", *args, **kwargs)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The messages that were sent through a fake application of Celery."""
    calls: list[Any] = []

    def send_task(name: str, **options: Any) -> Any:
        calls.append((name, options))
        return SimpleNamespace(id="task-1")

    monkeypatch.setitem(sys.modules, "celery_of_the_team", SimpleNamespace(app=SimpleNamespace(send_task=send_task)))
    return calls


def test_a_task_is_sent_with_its_options(sent: list[Any]) -> None:
    assert celery_task("shop.send", [1], {"a": 2}, queue="mail", priority=3) == "task-1"
    assert sent == [
        ("shop.send", {"args": [1], "kwargs": {"a": 2}, "retry": False, "queue": "mail", "priority": 3})
    ]  # fmt: skip


def test_a_task_needs_an_application(settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_APP": ""}
    with pytest.raises(InvalidArguments, match="CELERY_APP"):
        check("celery_task", "shop.send")


@pytest.mark.parametrize(
    ("kwargs", "name"),
    [({"args": {}}, "args"), ({"kwargs": []}, "kwargs"), ({"headers": 5}, "headers"), ({"queue": ""}, "queue"),
     ({"priority": 256}, "priority"), ({"priority": True}, "priority"), ({"exchange": 5}, "exchange")],
)  # fmt: skip
def test_wrong_arguments_of_a_task_are_named(kwargs: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidArguments, match=name):
        check("celery_task", "shop.send", **kwargs)
