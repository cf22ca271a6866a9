"""The parts of docs/deployment.md: units, gunicorn's configuration, a proxy's path, and a web before its tables."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import skip_or_fail
from tests.waiting import until

from .support import ROOT, Process, Site

UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
MAX_EXPOSURE = 4.0
"""The highest exposure that systemd calls well hardened; a unit without hardening has 9.2."""


def analysed(*arguments: str) -> str:
    """Return the output of systemd-analyze."""
    program = shutil.which("systemd-analyze")
    if program is None:
        skip_or_fail("no systemd-analyze")
    result = subprocess.run([str(program), *arguments], capture_output=True, text=True, timeout=60, check=False)
    return result.stdout + result.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_units_are_hardened(unit: Path) -> None:
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", analysed("security", "--offline=true", str(unit)))
    assert found is not None
    assert float(found[1]) < MAX_EXPOSURE


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_units_are_right(unit: Path, tmp_path: Path) -> None:
    # systemd looks for the programs; it finds one of the same name that is there everywhere.
    copy = tmp_path / unit.name
    copy.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(), flags=re.M))
    assert analysed("verify", str(copy)) == ""


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_units_are_started_again_for_as_long_as_it_takes(unit: Path) -> None:
    lines = unit.read_text().splitlines()
    assert {"Restart=always", "RestartSec=5", "StartLimitIntervalSec=0"} <= set(lines)


def started_web(site: Site, **environment: str) -> tuple[Process, str]:
    """Start gunicorn, and return it with its address."""
    process = site.start("-m", "gunicorn", "cronzimus_site.wsgi", "--bind=127.0.0.1:0", **environment)
    found = until(lambda: process.logged(r"Listening at: (http://127\.0\.0\.1:\d+)"), 30, "the web's start")
    return process, str(found[1])


def test_gunicorn_needs_no_home(sqlite_site: Site) -> None:
    process, address = started_web(sqlite_site, HOME="/nonexistent")
    until(lambda: urllib.request.urlopen(f"{address}/api/health", timeout=60).status == 200, 30, "an answer")  # noqa: S310
    assert process.logged("(?i)control socket|error|temporary") is None


@pytest.mark.parametrize("vendor", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def test_a_web_before_its_migrations_says_so(make_site: object, vendor: str) -> None:
    site: Site = make_site(vendor)  # type: ignore[operator]
    started = site.start("manage.py", "migrate", "cronzimus", "zero", "--verbosity=0")
    assert started.wait(60) == 0
    _, address = started_web(site)
    for path in ("/api/health", "/scheduler/jobs"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(address + path, timeout=60)  # noqa: S310
        assert refused.value.code == 503
        assert json.loads(refused.value.read())["error"].endswith("run 'manage.py migrate'.")


def test_below_a_path_of_another_site_every_address_has_it(sqlite_site: Site) -> None:
    _, address = started_web(sqlite_site, SCRIPT_NAME="/cronzimus", API_AUTH="none")
    with urllib.request.urlopen(f"{address}/cronzimus/admin/", timeout=60) as login:  # noqa: S310
        page = login.read().decode()
    assert login.url.startswith(f"{address}/cronzimus/admin/login/?next=/cronzimus/admin/")
    style = re.search(r'href="(/cronzimus/static/[^"]+\.css)"', page)
    assert style is not None
    assert urllib.request.urlopen(address + style[1], timeout=60).status == 200  # noqa: S310
    with urllib.request.urlopen(f"{address}/cronzimus/api/health", timeout=60) as health:  # noqa: S310
        assert json.loads(health.read()) == {"status": "running"}
