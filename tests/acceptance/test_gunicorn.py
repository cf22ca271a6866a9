"""What `gunicorn.conf.py` makes of the web."""

from __future__ import annotations

import json
import signal
import urllib.error
from pathlib import Path

import pytest

from .support import Site


def test_a_worker_leaves_ctrl_c_to_its_master(sqlite_site: Site) -> None:
    sqlite_site.web()
    master = sqlite_site.processes[-1].pid
    (worker,) = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    status = dict(line.split(":", 1) for line in Path(f"/proc/{worker}/status").read_text().splitlines())
    assert int(status["SigIgn"], 16) & (1 << signal.SIGINT - 1)


def test_an_address_that_is_too_long_is_refused_by_the_api(sqlite_site: Site) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        sqlite_site.web().ask("GET", "/scheduler/jobs?" + "x" * 10_000)
    assert json.loads(refused.value.read())["code"] == "INVALID_REQUEST"
