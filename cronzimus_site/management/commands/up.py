"""`manage.py up`: database, admin user, web and scheduler together on this machine, for development."""

from __future__ import annotations

import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from jobs.functions.process_groups import end_with_parent

STOP = 35.0
"""Seconds for web and scheduler to stop: the scheduler lets running runs end for 30."""


class Command(BaseCommand):
    """Start web and scheduler, and stop both with Ctrl-C."""

    help = "Migrate, make a first admin user, and run web server and scheduler until Ctrl-C. For development."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until Ctrl-C, SIGTERM, or until one of the two ends by itself. Raises `CommandError` in that case."""
        if not settings.DEBUG:
            raise CommandError("up is for development: set DEBUG=true. docs/deployment.md has what a server runs.")
        _require_free_port(settings.PORT)
        call_command("migrate", verbosity=0, interactive=False)
        password = _first_admin()
        with _told_to_stop() as told:
            web, _ = children = [_started(command) for command in _commands()]
            try:
                self._tell(password)
                ended = _wait(told, children)
            finally:
                _stop(children)
        if ended is not None:
            name = "the web server" if ended is web else "the scheduler"
            raise CommandError(f"{name} {_how_it_ended(ended)}")

    def _tell(self, password: str | None) -> None:
        base = f"http://127.0.0.1:{settings.PORT}"
        lines = ["", f"  Admin  {base}/admin/", f"  API    {base}/scheduler/jobs"]
        if password:
            lines += [
                "",
                f"  Log in as admin with the password {password}",
                "  (shown once; manage.py changepassword admin)",
            ]
        self.stdout.write("\n".join([*lines, "", "  Ctrl-C stops both.", ""]))


def _require_free_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CommandError(f"PORT: 127.0.0.1:{port} cannot be used ({error.strerror}); set another") from error


def _first_admin() -> str | None:
    """Make the user `admin` if there is no user yet, and return the password; None if there is one."""
    users = get_user_model().objects
    if users.exists():
        return None
    password = secrets.token_urlsafe(12)
    users.create_superuser("admin", "admin@example.com", password)
    return password


def _commands() -> Sequence[Sequence[str]]:
    python = sys.executable
    web = (
        python, "-m", "gunicorn", "--bind", f"127.0.0.1:{settings.PORT}", "--threads", "4", "--log-level", "warning",
        "cronzimus_site.wsgi",
    )  # fmt: skip
    return (web, (python, str(settings.BASE_DIR / "manage.py"), "runscheduler"))


def _started(command: Sequence[str]) -> subprocess.Popen[bytes]:
    # In groups of their own, so that Ctrl-C comes here alone, and this process stops them in order. If it is killed, as
    # editors do, the kernel stops them: otherwise they would keep the port, and run jobs that nobody sees.
    return subprocess.Popen(  # noqa: S603 (commands of ours)
        command, cwd=settings.BASE_DIR, process_group=0,
        preexec_fn=partial(end_with_parent, signal.SIGTERM),
    )  # fmt: skip


@contextmanager
def _told_to_stop() -> Iterator[list[int]]:
    """Collect the signals that end the command in a list, within the context."""
    told: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # SIGHUP: the terminal was closed
    before = {number: signal.signal(number, lambda number, frame: told.append(number)) for number in numbers}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(told: Sequence[int], children: Sequence[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes] | None:
    """Return the first child that ends by itself; None if this process is told to stop before."""
    while not told:
        for child in children:
            if child.poll() is not None:
                return child
        time.sleep(0.2)
    return None


def _how_it_ended(child: subprocess.Popen[bytes]) -> str:
    if child.returncode < 0:
        return f"was ended by {signal.Signals(-child.returncode).name}"
    return f"ended with status {child.returncode}"


def _stop(children: Sequence[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + STOP
    for child in children:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
    for child in children:
        try:
            child.wait(timeout=max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
