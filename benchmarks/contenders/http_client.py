"""A client of an API: at each request it adds a job that is due now, or runs one by hand, over one kept connection."""

from __future__ import annotations

import http.client
import json
from datetime import UTC, datetime
from typing import Any

from benchmarks import child


def client(port: int, by_hand: bool = False) -> None:
    """Ask the server at `port`; Cronzimus and Flask-APScheduler take the same requests."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def ask(path: str, body: dict[str, Any]) -> None:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise SystemExit(f"POST {path}: {answer.status} {text.decode()}")

    def add(tag: str) -> None:
        now = datetime.now(UTC).isoformat()
        ask(
            "/scheduler/jobs",
            {
                "id": f"job-{tag}",
                "func": "benchmarks.functions:tell",
                "args": [tag],
                "trigger": "date",
                "run_date": now,
            },
        )

    child.serve((lambda tag: ask("/scheduler/jobs/by-hand/run", {"args": [tag]})) if by_hand else add)


if __name__ == "__main__":
    child.main({"client": client})
