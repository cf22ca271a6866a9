"""A PgBouncer of a test's own, between a site and PostgreSQL."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.conftest import skip_or_fail
from tests.waiting import until

from .cluster import as_postgres, free_port

CONFIGURATION = """
[databases]
* = host={host} port={port} {password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = {mode}
default_pool_size = {size}
ignore_startup_parameters = extra_float_digits
"""


@contextmanager
def pooler(url: str, mode: str, size: int = 20) -> Iterator[str]:
    """Start one in front of the database at `url`; return the URL through it. `mode` is what it pools."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        skip_or_fail("no pgbouncer")
    assert program is not None
    server, own_port = urlsplit(url), free_port()
    command = [*as_postgres(), "mktemp", "-d"]
    folder = Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
    file, users = folder / "pgbouncer.ini", folder / "users"
    users.write_text(f'"{server.username}" ""')
    file.write_text(
        CONFIGURATION.format(
            host=server.hostname, port=server.port or 5432, users=users,
            password=f"password={server.password}" if server.password else "",
            own_port=own_port, mode=mode, size=size,
        )
    )  # fmt: skip
    process = subprocess.Popen([*as_postgres(), program, "-q", str(file)])
    try:
        until(lambda: _listens(own_port), 20, "pgbouncer's start")
        yield f"postgresql://{server.username}@127.0.0.1:{own_port}{server.path}"
    finally:
        process.terminate()
        process.wait(timeout=20)
        shutil.rmtree(folder)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
