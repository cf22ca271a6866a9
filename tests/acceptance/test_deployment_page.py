"""docs/deployment.md, followed word for word: its commands run, with names and folders of the test's own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import skip_or_fail
from tests.waiting import until

from .brokers import reached
from .cluster import Cluster, free_port
from .support import ROOT

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.environ.get("CI", "").lower() != "true", reason="installs packages: with CI=true alone"),
]

PAGE = (ROOT / "docs" / "deployment.md").read_text()
STUBS = ("apt-get", "systemctl", "nginx")
"""Programs that a sandbox cannot run: only their arguments are noted."""


class Sandbox:
    """A folder in place of /, a user and a database of the test's own."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        """Use `folder`, and the PostgreSQL `cluster`."""
        self.folder, self.cluster = folder, cluster
        self.user = f"czt{os.getpid()}"
        self.port = free_port()
        self.processes: list[subprocess.Popen[bytes]] = []
        for name in STUBS:
            stub = folder / "bin" / name
            stub.parent.mkdir(exist_ok=True)
            stub.write_text(f'#!/bin/sh\necho {name} "$@" >> {folder}/stubs.log\n')
            stub.chmod(0o755)
        (folder / "bin" / "python3").symlink_to(_public_python())
        for name in ("srv", "etc/systemd/system", "etc/nginx/sites-available", "etc/nginx/sites-enabled"):
            (folder / name).mkdir(parents=True)

    def run(self, script: str) -> str:
        """Run commands of the page, with our own names in place of its."""
        script = script.replace("https://github.com/sachin-duhan/cronzimus", str(ROOT))
        for path in ("/srv/", "/etc/"):
            script = re.sub(rf"(?<![\w%]){path}", f"{self.folder}{path}", script)
        script = re.sub(r"(?<![\w/.-])cronzimus(?![\w./-])", self.user, script)
        environment = {
            "PATH": f"{self.folder}/bin:{self.cluster.binaries}:{os.environ['PATH']}",
            "PGHOST": str(self.cluster.folder), "PGPORT": str(self.cluster.port), "HOME": "/root",
        }  # fmt: skip
        result = subprocess.run(
            ["bash", "-e", "-c", f"cd {self.folder}/srv/cronzimus 2>/dev/null || cd {self.folder}\n{script}"],
            env=environment, capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip
        assert result.returncode == 0, f"{script}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def start(self, unit: str) -> subprocess.Popen[bytes]:
        """Start the command of a unit, as its user and with its environment."""
        text = (self.folder / "etc/systemd/system" / unit).read_text()
        command = re.search(r"^ExecStart=(.+)$", text, flags=re.M)
        assert command is not None
        line = command[1].replace("%i", "reports").replace("%%", "%")
        line = line.replace("/srv/", f"{self.folder}/srv/").replace("127.0.0.1:5000", f"127.0.0.1:{self.port}")
        script = f"set -a; . {self.folder}/etc/cronzimus.env; set +a; cd {self.folder}/srv/cronzimus; exec {line}"
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
        process = subprocess.Popen(["runuser", "-u", self.user, "--", "bash", "-c", script], env=environment)
        self.processes.append(process)
        return process

    def stop(self) -> None:
        """End what was started. SIGTERM is for the processes below runuser, which would kill them after 2 s."""
        for process in self.processes:
            subprocess.run(["pkill", "-TERM", "-P", str(process.pid)], check=False)
        for process in self.processes:
            process.wait(60)
        self.processes.clear()


def _public_python() -> Path:
    """Return a Python that an unprivileged user may run."""
    for candidate in (Path("/usr/bin/python3"), Path(sys.executable).resolve()):
        probe = [
            "runuser",
            "-u",
            "nobody",
            "--",
            str(candidate),
            "-c",
            "import ensurepip, sys; assert sys.version_info >= (3, 11)",
        ]
        if candidate.exists() and subprocess.run(probe, check=False, capture_output=True).returncode == 0:
            return candidate
    skip_or_fail("no Python 3.11 with venv that other users may run")
    raise AssertionError


@pytest.fixture
def sandbox(cluster: Cluster) -> Iterator[Sandbox]:
    """A sandbox; its user and its processes are gone afterwards."""
    if os.getuid() != 0:
        skip_or_fail("makes a user: needs root")
    folder = Path(tempfile.mkdtemp(prefix="cronzimus-deployment-"))
    folder.chmod(0o755)
    cluster.folder.chmod(0o755)
    cluster.start(free_port())
    made = Sandbox(folder, cluster)
    yield made
    made.stop()
    until(lambda: subprocess.run(["pgrep", "-u", made.user], check=False, capture_output=True).returncode, 30)
    subprocess.run(["userdel", made.user], check=False)
    shutil.rmtree(folder)


def commands(heading: str) -> str:
    """Return the commands below a heading of the page."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return "\n".join(re.findall(r"```sh\n(.*?)```", section, flags=re.S))


def test_the_page_can_be_followed_word_for_word(sandbox: Sandbox) -> None:
    sandbox.run(commands("Install"))
    sandbox.run(commands("Database"))
    sandbox.run(commands("Settings"))
    settings = sandbox.folder / "etc" / "cronzimus.env"
    assert settings.stat().st_mode & 0o777 == 0o640
    assert "change-me" not in settings.read_text()
    url = f"postgresql://{sandbox.user}@127.0.0.1:{sandbox.cluster.port}/{sandbox.user}"
    settings.write_text(re.sub(r"^DATABASE_URL=.*", f"DATABASE_URL={url}", settings.read_text(), flags=re.M))
    first, users, proxy = re.findall(
        r"```sh\n(.*?)```", PAGE.split("\n## First start\n")[1].split("\n## ")[0], flags=re.S
    )
    sandbox.run(first)
    make = users.replace("createsuperuser", "createsuperuser --noinput --username=ada --email=ada@example.com")
    secret = sandbox.run(make.replace("USER", "ada").replace("runuser", "env DJANGO_SUPERUSER_PASSWORD=x runuser", 1))
    sandbox.run(proxy)
    called = (sandbox.folder / "stubs.log").read_text()
    assert "systemctl enable --now cronzimus-web cronzimus-scheduler@1 cronzimus-scheduler@2" in called
    assert "nginx -t" in called
    processes = [sandbox.start("cronzimus-web.service"), sandbox.start("cronzimus-scheduler@.service")]
    until(lambda: answers(sandbox, "/api/health/ready"), 60, "a scheduler at work")
    headers = {
        "Authorization": f"Token {secret.split()[-1]}", "Host": "cronzimus.example.com", "X-Forwarded-Proto": "https",
    }  # fmt: skip
    assert asked(sandbox, "/scheduler/jobs", headers) == []
    assert all(process.poll() is None for process in processes)

    sandbox.stop()
    sandbox.run(commands("Workers").replace("redis://127.0.0.1:6379/0", reached("redis")))
    assert "systemctl enable --now cronzimus-worker@reports" in (sandbox.folder / "stubs.log").read_text()
    names = ("cronzimus-web.service", "cronzimus-scheduler@.service", "cronzimus-worker@.service")
    processes = [sandbox.start(name) for name in names]
    until(lambda: answers(sandbox, "/api/health/ready"), 60, "a scheduler at work")
    (worker,) = until(lambda: asked(sandbox, "/scheduler", headers)["workers"], 60, "a worker")
    assert (worker["alive"], worker["queues"], worker["slots"]) == (True, ["reports"], 8)
    assert all(process.poll() is None for process in processes)


def asked(sandbox: Sandbox, path: str, headers: dict[str, str]) -> Any:
    """Return the JSON that the API answers with."""
    request = urllib.request.Request(f"http://127.0.0.1:{sandbox.port}{path}", headers=headers)
    return json.loads(urllib.request.urlopen(request, timeout=60).read())  # noqa: S310


def answers(sandbox: Sandbox, path: str) -> bool:
    """Tell whether the web answers with success."""
    try:
        return bool(urllib.request.urlopen(f"http://127.0.0.1:{sandbox.port}{path}", timeout=60).status == 200)
    except OSError:
        return False
