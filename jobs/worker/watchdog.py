"""What ends a worker and all that it started when its scheduler is gone, however it went."""

from __future__ import annotations

import subprocess

SCRIPT = 'read -r _; kill -KILL "-$1"'
"""Waits for the end of its input, which comes when nobody holds the other end any more; then ends the group."""


class Warden:
    """A small process beside a process group, which it ends when this process is gone.

    SIGKILL leaves this process no moment to do so itself, and the kernel's own means (PR_SET_PDEATHSIG) reaches the
    worker, but not its children.
    """

    def __init__(self, group: int) -> None:
        """Guard the process group `group`."""
        self._process = subprocess.Popen(  # noqa: S603 (a command of ours)
            ["/bin/sh", "-c", SCRIPT, "warden", str(group)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0,
        )  # fmt: skip

    def dismiss(self) -> None:
        """Guard it no longer: its number may be another group's soon."""
        self._process.kill()
        self._process.communicate()
