"""The built-in functions that start other programs' work: a shell command, and a task of a team's own Celery."""

from __future__ import annotations

import codecs
import importlib
import os
import select
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ..conf import conf
from ..core.runs import Executor
from ..core.values import is_whole
from .context import RunContext
from .process_groups import end_group
from .registry import register
from .secrets import without_secrets

GRACE_SECONDS = 5.0
"""Seconds between SIGTERM and SIGKILL when a command is cancelled."""
LOOK_SECONDS = 0.2
"""Seconds between two checks of a command that prints nothing."""
END_LOOK_SECONDS = 0.02
"""Seconds between two checks of a command that was told to end."""
CHUNK_BYTES = 65_536
"""Bytes that are read at a time: as many as a pipe holds."""


class CommandFailed(Exception):
    """The command did not succeed."""


def check_shell(
    command: str | list[str],
    env: dict[str, str] | None = None,
    cwd: str | None = None,
    stdin: str | None = None,
    shell: str = "/bin/sh",
) -> None:
    """Raise `ValueError` unless JOB_SHELL allows shell commands and the arguments can make one."""
    if not conf.JOB_SHELL:
        raise ValueError(
            "command: shell commands are off; set JOB_SHELL=true where everybody who edits jobs may run them"
        )
    words = command if isinstance(command, list) else [command]
    if not words or not words[0] or not all(isinstance(word, str) and "\0" not in word for word in words):
        raise ValueError("command: must be a text for the shell, or an array of words: a program and its arguments")
    if env is not None and not _is_environment(env):
        raise ValueError("env: must be an object of texts; a name has letters, digits and _ only")
    for name, value in (("cwd", cwd), ("shell", shell)):
        if value is not None and not (isinstance(value, str) and value.startswith("/") and "\0" not in value):
            raise ValueError(f"{name}: must be an absolute path, such as {'/srv/app' if name == 'cwd' else '/bin/sh'}")
    if stdin is not None and not isinstance(stdin, str):
        raise ValueError("stdin: must be a text")


def _is_environment(env: object) -> bool:
    return isinstance(env, Mapping) and all(
        isinstance(name, str)
        and name.isidentifier()
        and name.isascii()
        and isinstance(value, str)
        and "\0" not in value
        for name, value in env.items()
    )


@register("cronzimus.functions:shell", check=check_shell)
def shell(
    command: str | list[str],
    env: dict[str, str] | None = None,
    cwd: str | None = None,
    stdin: str | None = None,
    shell: str = "/bin/sh",
    *,
    context: RunContext,
) -> None:
    """Run a shell command. Its output is the run's output, as it comes.

    `command` is a text for `shell -c`, or an array of words that runs without a shell. `env` is added to the
    scheduler's environment without the variables that SECRETS names, as is TRACEPARENT where a traced request asked for
    the run. `cwd` is the folder; the
    default is the scheduler's. `stdin` is its standard input.
    Raises `CommandFailed` for an exit status other than 0, and for a signal. When the run is cancelled, the command and
    all that it started get SIGTERM, and SIGKILL 5 seconds later.
    """
    check_shell(command, env, cwd, stdin, shell)
    # A worker's whole group is ended with the worker. In the scheduler's process the command needs a group of its own:
    # otherwise its group would be the scheduler's.
    own_group = context.executor == Executor.THREAD
    process = subprocess.Popen(  # noqa: S603 (JOB_SHELL allows it)
        command if isinstance(command, list) else [shell, "-c", command],
        env=without_secrets(os.environ) | _trace(context) | (env or {}), cwd=cwd,
        process_group=0 if own_group else None,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    output = _Output(process)
    try:
        cancelled = _converse(process, output, (stdin or "").encode(), context)
    finally:
        _end(process, output, own_group=own_group)
    if cancelled:
        raise CommandFailed("the command was cancelled")
    if process.returncode < 0:
        raise CommandFailed(f"the command was ended by {signal.Signals(-process.returncode).name}")
    if process.returncode:
        raise CommandFailed(f"the command exited with status {process.returncode}")


def _trace(context: RunContext) -> dict[str, str]:
    return {} if context.traceparent is None else {"TRACEPARENT": context.traceparent}


class _Output:
    """The output of a command, which is printed as it comes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 (it is a pipe)
        self._pipe = process.stdout.fileno()
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def read(self) -> bool:
        """Wait for some output, and print it; return False at its end."""
        chunk = os.read(self._pipe, CHUNK_BYTES)
        print(self._decode(chunk, final=not chunk), end="", flush=True)  # noqa: T201 (it is the run's output)
        return bool(chunk)

    def read_for(self, seconds: float) -> None:
        """Read for some seconds: a command that is told to end, and prints more than a pipe holds, waits for that."""
        until = time.monotonic() + seconds
        with suppress(OSError, ValueError):  # the run's output is closed: that must not keep the command from its end
            while self._is_readable(until - time.monotonic()) and self.read():
                pass
        time.sleep(max(until - time.monotonic(), 0.0))

    def read_rest(self) -> None:
        """Print what is left in the pipe. What the command left behind may write without end, and is not awaited."""
        with suppress(OSError, ValueError):
            if self._is_readable(0.0):
                self.read()

    def _is_readable(self, seconds: float) -> bool:
        poll = select.poll()  # select(2) takes no descriptor above 1,023
        poll.register(self._pipe, select.POLLIN)
        return seconds >= 0 and bool(poll.poll(seconds * 1000))


def _converse(process: subprocess.Popen[bytes], output: _Output, data: bytes, context: RunContext) -> bool:
    """Feed the command and print its output until it ends; return whether the run was cancelled before."""
    assert process.stdout is not None  # noqa: S101 (it is a pipe)
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
        while not context.cancelled:
            ready = [key.fileobj for key, _ in selector.select(LOOK_SECONDS)]
            if process.stdin in ready:
                data = _feed(process, data, selector)
            if process.stdout in ready:
                if not output.read():
                    process.wait()
                    return False
            elif not ready and process.poll() is not None:
                return False  # a process that it left in the background still holds its output open
    return True


def _feed(process: subprocess.Popen[bytes], data: bytes, selector: selectors.BaseSelector) -> bytes:
    """Write some of `data` to the command, and return the rest. The input is closed after the last of it."""
    assert process.stdin is not None  # noqa: S101 (it is a pipe)
    try:
        data = data[os.write(process.stdin.fileno(), data[:CHUNK_BYTES]) :]
    except BrokenPipeError:  # it does not read its input
        data = b""
    if not data:
        selector.unregister(process.stdin)
        process.stdin.close()
    return data


def _end(process: subprocess.Popen[bytes], output: _Output, *, own_group: bool) -> None:
    """End the command if it still runs, with what it prints meanwhile, and close its pipes."""
    if process.poll() is None:
        if own_group:
            end_group(process, GRACE_SECONDS, output.read_for)
        else:
            _end_process(process, output)
        output.read_rest()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()


def _end_process(process: subprocess.Popen[bytes], output: _Output) -> None:
    process.terminate()
    until = time.monotonic() + GRACE_SECONDS
    while process.poll() is None and time.monotonic() < until:
        output.read_for(END_LOOK_SECONDS)
    process.kill()
    process.wait()


def check_celery_task(task: str, args: Any = None, kwargs: Any = None, **options: Any) -> None:
    """Raise `ValueError` unless CELERY_APP names an application and the arguments can make a message."""
    if not conf.CELERY_APP:
        raise ValueError("task: set CELERY_APP to your Celery application, such as proj.celery:app")
    texts = {name: options[name] for name in ("queue", "exchange", "routing_key") if options.get(name) is not None}
    for name, value in {"task": task, **texts}.items():
        if not (isinstance(value, str) and value):
            raise ValueError(f"{name}: must be a text that is not empty")
    if not isinstance(args, list | None):
        raise ValueError("args: must be an array, the positional arguments of the task")
    for name, mapping in (("kwargs", kwargs), ("headers", options.get("headers"))):
        if not isinstance(mapping, dict | None):
            raise ValueError(f"{name}: must be an object")
    priority = options.get("priority")
    if priority is not None and not is_whole(priority, 0, 255):
        raise ValueError("priority: must be a whole number from 0 to 255")


@register("cronzimus.functions:celery_task", check=check_celery_task)
def celery_task(
    task: str,
    args: list[Any] | None = None,
    kwargs: dict[str, Any] | None = None,
    *,
    queue: str | None = None,
    exchange: str | None = None,
    routing_key: str | None = None,
    priority: int | None = None,
    headers: dict[str, Any] | None = None,
) -> str:
    """Send a task to a team's own Celery workers, and return its id.

    CELERY_APP names the application. The run succeeds once the broker has the message; Celery records how the task
    ends. Raises the errors of the broker's client.
    """
    options = {
        "queue": queue, "exchange": exchange, "routing_key": routing_key, "priority": priority, "headers": headers,
    }  # fmt: skip
    check_celery_task(task, args, kwargs, **options)
    given = {name: value for name, value in options.items() if value is not None}
    # Without `retry=False` a broker that does not answer holds up the run for longer than most timeouts.
    result = _celery_app().send_task(task, args=args or [], kwargs=kwargs or {}, retry=False, **given)
    print(f"sent {task} as {result.id}")  # noqa: T201 (it is the run's output)
    return str(result.id)


def _celery_app() -> Any:
    module, _, name = conf.CELERY_APP.partition(":")
    app: Any = importlib.import_module(module)
    for part in (name or "app").split("."):
        app = getattr(app, part)
    return app
