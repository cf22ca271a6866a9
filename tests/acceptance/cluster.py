"""A test's own PostgreSQL, for faults that must not affect the shared one."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.conftest import skip_or_fail

ports = itertools.count(
    20_000 + 1_000 * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 12) + os.getpid() % 500
)
"""The ports of `free_port`: below those that the kernel gives away, which Linux takes from 32768 on."""


class Cluster:
    """A PostgreSQL of a test's own, which can be stopped and started."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        """Make one in `folder` with the programs in `binaries`."""
        self.folder = folder
        self.binaries = binaries
        self.port = 0
        self._run("initdb", "--username=postgres", "--auth=trust", "--no-sync", f"--pgdata={folder}/data")

    def start(self, port: int) -> str:
        """Start it, and return the URL of its database."""
        self.port = port
        options = f"-p {port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("pg_ctl", "start", "--wait", "-D", f"{self.folder}/data", "-l", f"{self.folder}/log", "-o", options)
        return f"postgresql://postgres@127.0.0.1:{port}/postgres"

    def stop(self, mode: str) -> None:
        """Stop it: "fast" cuts the connections, "immediate" is a crash."""
        self._run("pg_ctl", "stop", "--wait", "-D", f"{self.folder}/data", "-m", mode)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*as_postgres(), str(self.binaries / program), *arguments]
        subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL, cwd=self.folder)


def as_postgres() -> list[str]:
    """Return the words before a command: PostgreSQL does not run as root."""
    return ["runuser", "-u", "postgres", "--"] if Path.home() == Path("/root") else []


@contextmanager
def own_cluster() -> Iterator[Cluster]:
    """Make a cluster, and stop and remove it in the end."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not binaries:
        skip_or_fail("no PostgreSQL programs in /usr/lib/postgresql")
    command = [*as_postgres(), "mktemp", "-d"]
    folder = Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
    made = Cluster(folder, binaries[-1])
    try:
        yield made
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            made.stop("immediate")
        shutil.rmtree(folder)


def free_port() -> int:
    """Return a port that nobody listens on, and that nobody is given who asks the kernel for any.

    Each process of the tests has a part of the ports to itself.
    """
    for port in ports:
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise AssertionError
