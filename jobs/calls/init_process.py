"""Be process 1 of a container: reap ended processes, pass signals on to a scheduler or worker, and end with it.

The kernel makes process 1 the parent of each process whose own parent has ended. If it does not wait for them, they
stay as zombies. A scheduler or worker cannot do that itself: to wait for any child would take the exit statuses of
functions' processes from the functions. So it runs as a child of this small program.
"""

from __future__ import annotations

import os
import signal
import sys

FORWARDED = (
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
)  # fmt: skip
"""The signals that are passed on."""
WAITED = {*FORWARDED, signal.SIGCHLD}
"""The signals for which process 1 waits."""


def leave_process_1() -> None:
    """If this process is process 1, go on in a child; process 1 becomes this program and never returns.

    Call it before there are threads and connections, which do not survive a fork.
    """
    if os.getpid() != 1:
        return
    # Blocked, so that they wait for `supervise`. Without handlers, process 1 would not get them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WAITED)
    child = os.fork()
    if child:
        try:
            # A small process instead of a copy of this one. -I -S: it needs the standard library alone.
            os.execv(sys.executable, [sys.executable, "-I", "-S", __file__, str(child)])  # noqa: S606 (this program)
        except OSError:
            os._exit(supervise(child))
    # In a group of its own, because Ctrl-C reaches the group of process 1, which passes it on once.
    os.setpgid(0, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def supervise(child: int) -> int:
    """Reap all children and pass signals on, until `child` ends. Return its exit status, 128 + N for the signal N."""
    while True:
        number = signal.sigwait(WAITED)
        if number == signal.SIGCHLD:
            status = _reap(child)
            if status is not None:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
        else:
            os.kill(child, number)


def _reap(child: int) -> int | None:
    """Reap all ended children. Return the status of `child` if it is among them."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == child:
            found = status


if __name__ == "__main__":
    sys.exit(supervise(int(sys.argv[1])))
