"""The benchmarks as people run them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import SCRIPTS
from tests.waiting import until

from .brokers import URLS, reached
from .support import ROOT

OTHERS = [
    pytest.param(name, marks=pytest.mark.slow)
    for name in (*SCRIPTS, "soak")
    if name not in ("burst", "scale", "remote")
]


@pytest.mark.parametrize("name", ["burst", *OTHERS])
def test_a_script_that_is_ended_by_a_signal_removes_its_database(name: str, tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "benchmarks" / f"{name}.py", "--databases", "sqlite"]
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)}
    log = (tmp_path / "log").open("wb")
    with log, subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log) as process:
        try:
            until(lambda: list(tmp_path.glob("cronzimus-bench-*/bench.sqlite3")), 90, "its database")
            process.terminate()
            assert process.wait(30) == 128 + signal.SIGTERM, (tmp_path / "log").read_text()
        finally:
            process.kill()
    assert list(tmp_path.glob("cronzimus-bench-*")) == []


@pytest.mark.slow
@pytest.mark.postgresql
def test_growth_is_measured_on_postgresql_alone() -> None:
    sizes = ["--jobs", "1000", "--schedulers", "1", "--runs", "10000", "--seconds", "1", "--repeat", "1"]
    command = [sys.executable, ROOT / "benchmarks/scale.py", *sizes]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    for row in (
        "| empty | 1,000 | 1 |",
        "| 10,000, partitions | 1,000 | 1 |",
        "| claim 100 fire times |",
        "| switch |",
    ):
        assert row in done.stdout


@pytest.mark.slow
@pytest.mark.postgresql
@pytest.mark.timeout(600)
@pytest.mark.parametrize("broker", URLS)
def test_workers_are_measured(broker: str) -> None:
    reached(broker)
    sizes = ["--seconds", "2", "--jobs", "10", "--apart", "5", "--burst", "200"]
    command = [sys.executable, ROOT / "benchmarks/remote.py", "--contenders", "cronzimus", "--databases", broker]
    done = subprocess.run([*command, *sizes], cwd=ROOT, capture_output=True, text=True, timeout=580, check=False)
    assert done.returncode == 0, done.stderr
    (row,) = [line for line in done.stdout.splitlines() if line.startswith(f"| cronzimus | {broker} |")]
    assert "skipped" not in row
    assert "–" not in row
    assert all(float(figure) > 0 for figure in re.findall(r"[\d.]+", row)), row
