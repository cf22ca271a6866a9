"""A process that calls services for a test at once, because it has started before."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOOP = """
import json, sys, traceback
import django
django.setup()
from datetime import UTC, datetime, timedelta
from django.db import connections
from jobs import services
from jobs.core.audit import Origin, acting
from jobs.models import Job, Run, Worker
for line in sys.stdin:
    try:
        with acting(Origin(actor="anna")):
            exec(json.loads(line), {**globals(), "now": datetime.now(UTC)})
        problem = ""
    except Exception:
        problem = traceback.format_exc()
    connections.close_all()  # PostgreSQL has a hundred for all tests that run at once
    print(json.dumps(problem), flush=True)
"""
"""The code of the process, which acts as anna. It has services, `Job`, `Run`, `Worker`, `now` and `timedelta`."""


class Hands:
    """The process, with a Django of its own. It starts at the first call."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        """Act with `environment`; errors go to `log`."""
        self._environment, self._log = environment, log
        self._popen: subprocess.Popen[str] | None = None

    def do(self, code: str) -> None:
        """Run `code`, and fail if it fails."""
        if self._popen is None:
            with self._log.open("wb") as file:
                self._popen = subprocess.Popen(
                    [sys.executable, "-c", LOOP], cwd=ROOT, env=self._environment, text=True, stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE, stderr=file,
                )  # fmt: skip
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.write(json.dumps(code) + "\n")
        self._popen.stdin.flush()
        answer = self._popen.stdout.readline()
        assert answer, self._log.read_text()
        assert not json.loads(answer), json.loads(answer)

    def end(self) -> None:
        """End it."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.communicate()
            self._popen = None
