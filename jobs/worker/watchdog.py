"""End a worker process, and all that it started, when its scheduler is gone."""

from __future__ import annotations

import subprocess

SCRIPT = 'read -r _; kill -KILL "-$1"'
"""Wait until standard input ends, which it does when the scheduler does; then kill the process group."""


class Watchdog:
    """A small process beside a process group, which it kills when this process is gone.

    A scheduler that is killed with SIGKILL cannot do so itself, and PR_SET_PDEATHSIG reaches the worker, but not the
    worker's children.
    """

    def __init__(self, group: int) -> None:
        """Watch over the process group `group`. Raises `OSError`."""
        self._process = subprocess.Popen(  # noqa: S603 (a command of ours)
            ["/bin/sh", "-c", SCRIPT, "watchdog", str(group)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0,
        )  # fmt: skip

    def dismiss(self) -> None:
        """Stop watching: the number of the group may soon be that of another one."""
        self._process.kill()
        self._process.communicate()
