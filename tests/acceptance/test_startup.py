"""The start of a scheduler with something missing or wrong: it waits and logs it, or ends with one message."""

from __future__ import annotations

import fcntl
import os
import pty
import resource
import signal
import subprocess
import sys
import termios
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.waiting import let_pass, until

from .bouncer import pooler
from .cluster import Cluster, free_port
from .conftest import migrate
from .support import ROOT, Site

ROTATED = """
from cronzimus_site.settings import *
LOGGING["handlers"]["file"] = {"class": "logging.FileHandler", "filename": %r, "formatter": "line"}
LOGGING["root"]["handlers"].append("file")
"""
LOADING = """
import os, sys

class Watch:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "django":
            sys.meta_path.remove(Watch)
            open(os.environ["LOADING"], "w").close()

sys.meta_path.insert(0, Watch)
"""
"""A module that makes a file when Django begins to load. Python imports it at its start."""


# --- what it waits for -----------------------------------------------------------------------------------------------


@pytest.mark.postgresql
def test_a_scheduler_waits_for_its_database_and_its_migrations(cluster: Cluster, tmp_path: Path) -> None:
    port = free_port()
    site = Site(f"postgresql://postgres@127.0.0.1:{port}/postgres", tmp_path)
    site.jobs = [site.job("job")]
    try:
        scheduler = site.start("manage.py", "runscheduler")
        until(lambda: scheduler.logged("waiting: the database does not answer"), 30, "the first word")
        cluster.start(port)
        until(lambda: scheduler.logged("waiting: the database is not up to date"), 30, "the second word")
        migrate(site)
        until(lambda: site.calls("job"), 30, "the first run")
        assert scheduler.logged("Traceback") is None
    finally:
        site.end()
        print(site.logs())  # pytest shows it where the test failed


def test_a_scheduler_that_waits_stops_when_it_is_told_to(tmp_path: Path) -> None:
    site = Site("postgresql://postgres@127.0.0.1:1/postgres", tmp_path)
    scheduler = site.start("manage.py", "runscheduler")
    try:
        until(lambda: scheduler.logged("waiting: the database does not answer"), 30, "the first word")
        scheduler.send(signal.SIGTERM)
        assert scheduler.wait(15) == 0
        assert scheduler.logged("Traceback") is None
    finally:
        site.end()


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("options", "table"),
    [
        ([], "cronzimus_job"),
        pytest.param([], "cronzimus_scheduler", marks=pytest.mark.slow),
        pytest.param(["--once"], "cronzimus_job", marks=pytest.mark.slow),
        pytest.param(["--once"], "cronzimus_scheduler", marks=pytest.mark.slow),
    ],
)
def test_a_locked_table_is_said_and_a_signal_is_heard_meanwhile(
    make_site: object, options: list[str], table: str
) -> None:
    site: Site = make_site("postgresql")  # type: ignore[operator]
    site.jobs = [site.job("job")]
    with psycopg.connect(site.url) as connection:
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")  # type: ignore[call-overload]
        scheduler = site.start("manage.py", "runscheduler", *options)
        until(lambda: scheduler.logged("lock timeout"), 30, "the word of the lock")
        scheduler.send(signal.SIGTERM)
        assert scheduler.wait(30) == 0


# --- what it refuses -------------------------------------------------------------------------------------------------


@pytest.mark.postgresql
@pytest.mark.parametrize("size", [20, pytest.param(1, marks=pytest.mark.slow)])
def test_a_pool_of_transactions_is_refused_with_the_reason(make_site: object, size: int) -> None:
    site: Site = make_site("postgresql")  # type: ignore[operator]
    with pooler(site.url, "transaction", size) as url:
        scheduler = site.start("manage.py", "runscheduler", DATABASE_URL=url)
        assert scheduler.wait(30) == 1
        assert scheduler.logged("CommandError: the database is reached through a pooler in transaction mode")
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
            assert connection.execute("SHOW enable_seqscan").fetchone() == ("on",)


@pytest.mark.postgresql
def test_the_web_works_with_a_pool_of_transactions(make_site: object) -> None:
    site: Site = make_site("postgresql")  # type: ignore[operator]
    direct, site.jobs = site.url, []
    with pooler(direct, "transaction") as url:
        site.url = url
        web = site.web()
        site.url = direct
        site.scheduler()
        job = site.job("job")
        assert web.ask("POST", "/scheduler/jobs", job) == {"id": "job", "status": "added"}
        until(lambda: site.calls("job"), 20, "the first run")
        until(lambda: web.ask("GET", "/scheduler/jobs")[0]["state"] == "running", 20, "its state")


@pytest.mark.postgresql
def test_a_pool_of_sessions_is_fine(make_site: object) -> None:
    site: Site = make_site("postgresql")  # type: ignore[operator]
    site.jobs, direct = [site.job("job")], site.url
    with pooler(direct, "session") as url:
        scheduler = site.scheduler(DATABASE_URL=url)
        until(lambda: site.calls("job"), 20, "the first run")
        scheduler.send(signal.SIGTERM)
        assert scheduler.wait(20) == 0


@pytest.mark.parametrize(
    "options", [pytest.param(["--once"], id="once"), pytest.param([], id="loop", marks=pytest.mark.slow)]
)
def test_too_little_memory_for_its_threads_ends_it_with_one_message(sqlite_site: Site, options: list[str]) -> None:
    command = [sys.executable, "manage.py", "runscheduler", "--threads=1000", *options]
    result = subprocess.run(
        command, cwd=ROOT, env=sqlite_site.environment, capture_output=True, text=True, timeout=60, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2 * 1024**3, 2 * 1024**3)),
    )  # fmt: skip
    assert result.returncode == 1
    assert "CommandError: " in result.stderr
    assert "Traceback" not in result.stderr
    assert sqlite_site.query("SELECT count(*) FROM cronzimus_scheduler") == [(0,)]


# --- what its terminal does ------------------------------------------------------------------------------------------


def test_sighup_has_the_log_files_opened_anew(sqlite_site: Site) -> None:
    folder = sqlite_site.folder
    (folder / "rotated.py").write_text(ROTATED % str(folder / "own.log"))
    scheduler = sqlite_site.scheduler(DJANGO_SETTINGS_MODULE="rotated", PYTHONPATH=f"{folder}:{ROOT}")
    (folder / "own.log").rename(folder / "own.log.1")
    scheduler.send(signal.SIGHUP)
    until(lambda: (folder / "own.log").exists(), 10, "a new file")
    until(lambda: "log files reopened" in (folder / "own.log").read_text(), 10, "a line in it")
    assert scheduler.alive
    scheduler.send(signal.SIGTERM)
    assert scheduler.wait(20) == 0
    assert "stopped" in (folder / "own.log").read_text()


@pytest.mark.parametrize("told_before", [False, True], ids=["by the kernel", "by a shell that ends a moment later"])
def test_a_closed_terminal_ends_it(sqlite_site: Site, told_before: bool) -> None:
    terminal, end = pty.openpty()

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(end, termios.TIOCSCTTY, 0)

    log = sqlite_site.folder / "terminal.log"
    with log.open("wb") as file:
        popen = subprocess.Popen(
            [sys.executable, "manage.py", "runscheduler"], cwd=ROOT, env=sqlite_site.environment,
            stdin=end, stdout=file, stderr=file, preexec_fn=take_terminal,
        )  # fmt: skip
    os.close(end)
    try:
        until(lambda: "ready; its id is" in log.read_text(), 30, "its start")
        if told_before:
            popen.send_signal(signal.SIGHUP)
            let_pass(0.3)
            assert popen.poll() is None
        os.close(terminal)
        assert popen.wait(timeout=20) == 0
    finally:
        popen.kill()
        popen.wait()


# --- make run --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.8, *(pytest.param(at, marks=pytest.mark.slow) for at in (0.2, 1.6, 3))])
def test_ctrl_c_while_it_starts_ends_everything_with_one_line(sqlite_site: Site, seconds: float) -> None:
    folder = sqlite_site.folder
    loading = folder / "loading"
    (folder / "sitecustomize.py").write_text(LOADING)
    environment = {
        **sqlite_site.environment, "PORT": str(free_port()), "PYTHONPATH": str(folder), "LOADING": str(loading),
    }  # fmt: skip
    popen = subprocess.Popen(
        [sys.executable, "manage.py", "up"], cwd=ROOT, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    until(loading.exists, 30, "its own handler of the signal")
    let_pass(seconds)
    os.killpg(popen.pid, signal.SIGINT)
    _, errors = popen.communicate(timeout=60)
    assert "Traceback" not in errors
    assert popen.returncode in (0, 130)
    if popen.returncode == 130:
        assert errors == "cronzimus: interrupted\n"


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2)")
def test_web_and_scheduler_end_when_make_run_is_killed(sqlite_site: Site) -> None:
    port = free_port()
    popen = subprocess.Popen(
        [sys.executable, "manage.py", "up"], cwd=ROOT, env={**sqlite_site.environment, "PORT": str(port)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert popen.stdout is not None
    while "Ctrl-C" not in (line := popen.stdout.readline()):
        assert line
    assert popen.stderr is not None
    while "ready; its id is" not in (line := popen.stderr.readline()):
        assert line
    popen.kill()
    # Both pipes are closed when the last of the processes that write to them has ended.
    _, errors = popen.communicate(timeout=60)
    assert "cronzimus.runscheduler: stopped" in errors


@pytest.mark.parametrize(
    ("who", "said"),
    [("runscheduler", "the scheduler was ended by SIGKILL"), ("gunicorn", "the web server was ended by SIGKILL")],
)
def test_make_run_names_the_process_that_ended_first(sqlite_site: Site, who: str, said: str) -> None:
    popen = subprocess.Popen(
        [sys.executable, "manage.py", "up"], cwd=ROOT, env={**sqlite_site.environment, "PORT": str(free_port())},
        text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert popen.stderr is not None
    while "ready; its id is" not in (line := popen.stderr.readline()):
        assert line
    (child,) = [one for one in psutil.Process(popen.pid).children() if who in one.cmdline()]
    child.kill()
    _, errors = popen.communicate(timeout=60)
    assert f"CommandError: {said}\n" in errors
    assert popen.returncode == 1
