"""Start worker processes that import what the scheduler imports, whatever layout its project has."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings

from .watchdog import Watchdog


@dataclass(frozen=True, slots=True, kw_only=True)
class Launcher:
    """The folder, the environment and the import path of worker processes.

    `python_path` is the value of PYTHONPATH that functions find in their environment; None where it is not set.
    """

    folder: str
    environment: Mapping[str, str]
    python_path: str | None

    @classmethod
    def of_this_process(cls) -> Launcher:
        """Return a launcher whose workers have what this process has now.

        Functions that run in the scheduler's threads may change its folder and its environment later on.
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

    def start(self, requests: int, replies: int, output: int) -> tuple[subprocess.Popen[bytes], Watchdog]:
        """Start a worker, and the watchdog that ends it with the scheduler: both, or neither.

        The worker reads requests from the descriptor `requests` and writes to `replies`; what its functions print goes
        to `output`. Raises `OSError`.
        """
        # -P keeps the current folder off the import path: it may hold modules with the names of others.
        command = [sys.executable, "-P", "-m", f"{__package__}.child", str(requests), str(replies)]
        command += [] if self.python_path is None else [self.python_path]
        process = subprocess.Popen(  # noqa: S603 (a command of ours)
            command, cwd=self.folder, env=self.environment, process_group=0,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=(requests, replies),
        )  # fmt: skip
        try:
            return process, Watchdog(process.pid)
        except OSError:
            process.kill()
            process.wait()
            raise
