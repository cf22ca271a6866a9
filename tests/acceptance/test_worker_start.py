"""What a worker says at its start: where its log is, and what it waits for."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

from tests.waiting import until

from .bouncer import pooler
from .brokers import reached
from .conftest import migrate
from .support import Site
from .test_worker_launch import start_in_vain
from .worker_site import IN_TIME, STARTED, WorkerSite

pytestmark = IN_TIME


def test_a_worker_with_a_wrong_setting_names_it_as_other_commands_do(tmp_path: Path) -> None:
    said = start_in_vain(tmp_path, CELERY_BROKER_URL="redis://:secret@127.0.0.1:6379/notadb")
    assert said[0] == "cronzimus: wrong value in the environment"
    assert said[1].startswith("  CELERY_BROKER_URL: must end with the number of a database")
    assert "secret" not in "".join(said)


def test_a_worker_with_a_log_file_says_there_why_it_does_not_start(tmp_path: Path) -> None:
    start_in_vain(tmp_path, "-f", str(tmp_path / "%n.log"), "-n", "first@%h", "-l", "ERROR")
    (line,) = (tmp_path / "first.log").read_text().splitlines()
    assert "CRITICAL cronzimus.worker: CELERY_BROKER_URL is not set" in line


def test_a_worker_refuses_a_pooler_in_transaction_mode_as_a_scheduler_does(
    make_fleet: Callable[..., WorkerSite],
) -> None:
    fleet = make_fleet()
    with pooler(fleet.site.url, "transaction") as url:
        worker = fleet.start_worker(DATABASE_URL=url)
        assert worker.wait(STARTED) == 1
    assert worker.logged("CRITICAL cronzimus.worker: the database is reached through a pooler in transaction mode")


def test_a_worker_waits_for_the_tables_as_a_scheduler_does(tmp_path: Path) -> None:
    site = Site(f"sqlite:///{tmp_path}/db.sqlite3", tmp_path)
    site.variables["CELERY_BROKER_URL"] = reached("redis")
    command = (str(Path(sys.executable).with_name("celery")), "-A", "cronzimus_site", "worker", "-Q", "none", "-c", "1")
    try:
        first, second = site.start(*command), site.start(*command)
        for worker in (first, second):
            said = r"WARNING cronzimus.worker: waiting: the database is not up to date; run: manage.py migrate\n"
            until(lambda one=worker, line=said: one.logged(line), STARTED, "its line")
        first.send(signal.SIGTERM)
        assert first.wait(20) == 0
        migrate(site)
        until(lambda: second.logged("ready; its id is"), STARTED, "its start")
        second.send(signal.SIGTERM)
        assert second.wait(20) == 0
        assert "Traceback" not in first.log.read_text() + second.log.read_text()
    finally:
        site.end()
