"""Schemathesis asks the API for all that its description allows and forbids, and finds nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from .conftest import MakeSite

BESIDES = "positive_data_acceptance"
"""The check that is left out: JSON Schema cannot say what a cron expression is, or which functions there are."""
PHASES = "examples,coverage,fuzzing"
EXAMPLES, SECONDS = 2, 800


@pytest.mark.timeout(SECONDS + 100)
@pytest.mark.parametrize(
    "vendor", ["sqlite", pytest.param("postgresql", marks=[pytest.mark.postgresql, pytest.mark.slow])]
)
def test_schemathesis_finds_nothing(make_site: MakeSite, vendor: str) -> None:
    site = make_site(vendor)
    site.scheduler()  # /api/health/ready is 503 without one
    web = site.web(threads=4)
    web.ask("POST", "/scheduler/jobs", {"id": "0", "func": "tests:echo", "trigger": "interval", "hours": 1})
    command = [
        f"{sys.prefix}/bin/schemathesis", "run", f"{web.address}/api/schema", f"--exclude-checks={BESIDES}",
        f"--phases={PHASES}", f"--max-examples={EXAMPLES}", "--workers=2", "--seed=1",
        "--no-color", "--warnings=off",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=site.folder, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
