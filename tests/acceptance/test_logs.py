"""LOG_FORMAT=json: every line of the log of every process is a JSON object."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from .support import Process, Site, until


def lines(process: Process) -> list[dict[str, Any]]:
    return [json.loads(line) for line in process.log.read_text().splitlines()]


def test_every_line_of_a_scheduler_is_json_and_names_it(sqlite_site: Site) -> None:
    sqlite_site.jobs = [sqlite_site.job("a")]
    process = sqlite_site.scheduler(LOG_FORMAT="json")
    until(lambda: process.logged("run_finished"), 20, "a run")
    process.force()
    found = lines(process)
    (ended, *_) = (line for line in found if line.get("action") == "run_finished")
    (ready,) = (line for line in found if line.get("action") == "scheduler_ready")
    assert (ended["job"], ended["scheduler"]) == ("a", ready["scheduler"])
    assert isinstance(ended["run"], int)


def test_every_line_of_the_web_is_json_and_has_the_id_of_its_request(sqlite_site: Site) -> None:
    command = ("-m", "gunicorn", "cronzimus_site.wsgi", "--bind=127.0.0.1:0", "--access-logfile=-")
    process = sqlite_site.start(*command, LOG_FORMAT="json", DEBUG="false")  # so that Python warns of something
    found = until(lambda: process.logged(r"Listening at: (http://127\.0\.0\.1:\d+)"), 30, "the web's start")
    headers = {"X-Request-ID": "r1", "X-Real-IP": "10.0.0.7", "Authorization": "Token czm_wrong"}
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(f"{found[1]}/scheduler/jobs", headers=headers), timeout=60)  # noqa: S310
    assert refused.value.headers["X-Request-ID"] == "r1"
    refused.value.close()
    until(lambda: process.logged("gunicorn.access"), 20, "the line of the request")
    found_lines = lines(process)
    named = {line["logger"] for line in found_lines if line.get("request_id") == "r1"}
    assert {"cronzimus.api.authentication", "gunicorn.access"} <= named
