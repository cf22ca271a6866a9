"""docs/workers.md, its first section followed word for word, with a port and a queue of the test's own."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.waiting import until

from .brokers import Broker, reached
from .cluster import free_port
from .support import ROOT

pytestmark = pytest.mark.slow

SECTION = (ROOT / "docs" / "workers.md").read_text().split("\n## On one machine\n")[1].split("\n## ")[0]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv*", ".env", ".secret_key", "*.sqlite3*", "__pycache__", ".*_cache")
STARTED = 90.0
"""Seconds in which a site starts on a busy machine."""
Start = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the repository that uses the packages of the tests: make takes them for installed."""
    made = tmp_path / "clone"
    shutil.copytree(ROOT, made, ignore=LEFT_OUT, symlinks=True)
    (made / ".venv").mkdir()
    for part in Path(sys.prefix).iterdir():
        if not part.name.startswith("."):
            (made / ".venv" / part.name).symlink_to(part)
    for name in (".run", ".celery"):
        (made / ".venv" / name).touch()
    return made


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment without variables of the shell, and with a port of the test's own."""
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PORT": str(free_port())}


@pytest.fixture
def broker() -> Iterator[Broker]:
    """A queue of the test's own on Redis."""
    made = Broker(reached("redis"))
    yield made
    made.drop()


@pytest.fixture
def start(clone: Path, environment: dict[str, str]) -> Iterator[Start]:
    """Return a function that starts a command of the page in a terminal of its own; Ctrl-C ends them."""
    started: list[subprocess.Popen[bytes]] = []

    def call(command: str) -> subprocess.Popen[bytes]:
        with (clone / f"log-{len(started)}").open("wb") as log:
            words = shlex.split(command, comments=True)
            made = subprocess.Popen(words, cwd=clone, env=environment, stdout=log, stderr=log, start_new_session=True)
        started.append(made)
        return made

    yield call
    for process in reversed(started):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
    for process in started:
        process.wait(60)


def test_the_page_can_be_followed_word_for_word(
    clone: Path, environment: dict[str, str], broker: Broker, start: Start
) -> None:
    own = {
        "redis://127.0.0.1:6379/0": broker.url, "reports": broker.queue,
        "localhost:5000": f"localhost:{environment['PORT']}",
    }  # fmt: skip

    def with_own_names(text: str) -> str:
        return re.sub("|".join(map(re.escape, own)), lambda found: own[found[0]], text)

    def run(command: str) -> str:
        script = ["bash", "-e", "-c", with_own_names(command)]
        done = subprocess.run(script, cwd=clone, env=environment, capture_output=True, timeout=60, check=True)
        return done.stdout.decode()

    first, second = re.findall(r"```sh\n(.*?)```", SECTION, flags=re.S)
    settings, web, worker = first.splitlines()
    assert (web.split()[:2], worker.split()[:2]) == (["make", "run"], ["make", "worker"])
    run(settings)
    processes = [start(with_own_names(command)) for command in (web, worker)]
    log = clone / "log-1"
    until(lambda: "celery.apps.worker: celery@" in log.read_text(), STARTED, "the worker's start")
    change, look = re.split(r"^sleep \d+$", second, flags=re.M)
    until(lambda: "INFO cronzimus.scheduler.scheduler: ready" in (clone / "log-0").read_text(), STARTED, "a scheduler")

    def answered(command: str) -> str:
        try:
            return run(command)
        except subprocess.CalledProcessError:  # nobody listens yet
            return ""

    until(lambda: '"updated"' in answered(change), 30, "the change of the job")

    def ran() -> bool:
        newest = json.loads(answered(look) or '{"results": []}')["results"]  # the last one, if there is one yet
        return any(one["status"] == "succeeded" and one["executor"] == "celery" and one["worker"] for one in newest)

    until(ran, 60, "a run on the worker")
    assert all(process.poll() is None for process in processes)
