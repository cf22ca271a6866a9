"""Start child processes with the import path of their parent, a scheduler or a Celery worker; end them with it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings

WATCH = 'read -r _; kill -KILL "-$1"'
"""Wait until standard input ends, together with the parent; then kill the process group."""


class Watchdog:
    """A small process beside a process group, which it kills when this process is gone.

    A parent that is killed with SIGKILL cannot do so itself, and PR_SET_PDEATHSIG reaches the child, but not the
    worker's children.
    """

    def __init__(self, group: int) -> None:
        """Watch over the process group `group`. Raises `OSError`."""
        self._process = subprocess.Popen(  # noqa: S603 (a command of ours)
            ["/bin/sh", "-c", WATCH, "watchdog", str(group)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0,
        )  # fmt: skip

    def dismiss(self) -> None:
        """Stop watching: the number of the group may soon belong to another one."""
        self._process.kill()
        self._process.communicate()


@dataclass(frozen=True, slots=True, kw_only=True)
class Launcher:
    """The folder, the environment and the import path of child processes.

    `python_path` is the PYTHONPATH in the environment of functions; None if it is not set.
    """

    folder: str
    environment: Mapping[str, str]
    python_path: str | None

    @classmethod
    def of_this_process(cls) -> Launcher:
        """Return a launcher with the current folder, environment and import path of this process.

        Functions in the scheduler's threads may change its folder and its environment later.
        """
        folder = os.getcwd()
        environment = dict(os.environ)
        python_path = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join(
            os.path.join(folder, entry) for entry in sys.path if isinstance(entry, str)
        )
        if settings.SETTINGS_MODULE is not None:  # None for settings that were made by settings.configure()
            environment["DJANGO_SETTINGS_MODULE"] = settings.SETTINGS_MODULE
        return cls(folder=folder, environment=environment, python_path=python_path)

    def start(self, *, requests: int, replies: int, output: int, note: int) -> tuple[subprocess.Popen[bytes], Watchdog]:
        """Start a child, and the watchdog that ends it with this process: both, or neither.

        The child reads requests from the descriptor `requests` and writes to `replies`; the output of functions goes
        to `output`; `note` has the memory of its `CallNote`. Raises `OSError`.
        """
        # -P keeps the current folder off the import path: it may hold modules with the names of others.
        command = [sys.executable, "-P", "-m", f"{__package__}.child", str(requests), str(replies), str(note)]
        command += [] if self.python_path is None else [self.python_path]
        process = subprocess.Popen(  # noqa: S603 (a command of ours)
            command, cwd=self.folder, env=self.environment, process_group=0,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=(requests, replies, note),
        )  # fmt: skip
        try:
            return process, Watchdog(process.pid)
        except OSError:
            process.kill()
            process.wait()
            raise
