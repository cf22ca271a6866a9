"""The API under load: one web worker and 1,000 jobs, beside Flask-APScheduler and a view that does nothing.

Each server is one worker of gunicorn with four threads, as `manage.py up` starts it; the load comes from another
process over a few connections that are kept alive. Flask-APScheduler holds its jobs in memory, Cronzimus in a database.
docs/performance.md says how to read the table.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import IO, Any

if not __package__:  # run as a file, and not with -m
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import harness, tables
from benchmarks.databases import KINDS, Unavailable
from benchmarks.harness import ROOT, Failed

START = 30.0
"""Seconds that a server has to start."""
WARM = 0.3
"""Seconds of load before each measurement."""
ASKED_FOR = 100
"""Jobs that are requested in turn, one at a time, each once before it is measured."""
PEER, FLOOR = "Flask-APScheduler, memory", "an empty view of DRF"


@dataclass(frozen=True)
class Ask:
    """A request to measure, and the expected status."""

    method: str
    path: str
    body: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Server:
    """A running web server: the contender, its requests, its port, and the process that answers."""

    name: str
    asked: dict[str, Ask]
    port: int
    worker: int


@dataclass(frozen=True)
class Sample:
    """One measurement: answers per second, how long the median and the slowest hundredth waited, and the worker's CPU
    time for each, in seconds."""

    contender: str
    request: str
    rate: float
    p50: float
    p99: float
    cpu: float


LIST, ONE, POST = "GET list", "GET one", "POST"
LIST_ANEW, ONE_PLAIN, EMPTY = "GET list, made anew", "GET one, as Django reads it", "GET nothing"
LIST_304, ONE_304 = "GET list, 304", "GET one, 304"
REQUESTS = (EMPTY, LIST, LIST_ANEW, LIST_304, ONE, ONE_PLAIN, ONE_304, POST)
"""In this order: the list is measured before it grows."""
LIKE = {LIST_ANEW: LIST, LIST_304: LIST, ONE_PLAIN: ONE, ONE_304: ONE}
"""The request of the peer that is compared, if it has no like one."""
ADDED = {"id": "new-{n}", "func": "benchmarks.functions:noop", "trigger": "interval", "seconds": 3600}
ASKED = {
    LIST: Ask("GET", "/scheduler/jobs"),
    ONE: Ask("GET", "/scheduler/jobs/{job}"),
    POST: Ask("POST", "/scheduler/jobs", json.dumps(ADDED)),
}


def main() -> None:
    """Measure, print the table, and write the samples to the file of `--json`."""
    options = _options()
    samples: list[Sample] = []
    for number in range(1, options.repeat + 1):
        with ExitStack() as stack:
            for sample in _round(_servers(stack, options), options):
                print(f"round {number}: {sample.request}, {sample.contender}: {sample.rate:,.0f}/s", file=sys.stderr)
                samples.append(sample)
    print(table(samples))
    if options.json:
        Path(options.json).write_text(json.dumps([asdict(sample) for sample in samples], indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=1000, metavar="N")
    parser.add_argument("--seconds", type=float, default=3.0, metavar="S", help="of each measurement (default: 3)")
    parser.add_argument("--connections", type=int, default=4, metavar="N")
    parser.add_argument("--repeat", type=int, default=3, metavar="TIMES", help="medians are of so many (default: 3)")
    parser.add_argument("--databases", nargs="+", choices=sorted(KINDS), default=["sqlite", "postgresql"])
    parser.add_argument("--peer-python", default=sys.executable, help="an interpreter that has Flask-APScheduler")
    parser.add_argument("--json", metavar="FILE", help="write every sample to FILE")
    options = parser.parse_args()
    if min(options.jobs, options.seconds, options.connections, options.repeat) < 1:
        parser.error("--jobs, --seconds, --connections and --repeat are numbers from 1")
    options.databases = list(dict.fromkeys(options.databases))
    return options


def _servers(stack: ExitStack, options: argparse.Namespace) -> list[Server]:
    """Start every contender; one that is not installed is named, and left out."""
    servers = [_serve(stack, FLOOR, "benchmarks.api_floor", {}, {EMPTY: Ask("GET", "/empty")})]
    for kind in list(options.databases):
        try:
            servers += _cronzimus(stack, kind, options.jobs)
        except Unavailable as reason:
            print(f"{kind}: skipped, {reason}", file=sys.stderr)
            options.databases.remove(kind)
    probe = [options.peer_python, "-c", "import flask_apscheduler, gunicorn"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        print(f"{PEER}: skipped, {options.peer_python} has no flask_apscheduler and gunicorn", file=sys.stderr)
    else:
        more = {"BENCHMARK_JOBS": str(options.jobs)}
        servers.append(_serve(stack, PEER, "benchmarks.api_flask", more, ASKED, options.peer_python))
    return servers


def _cronzimus(stack: ExitStack, kind: str, jobs: int) -> Iterator[Server]:
    """Start Cronzimus twice on one database: with its caches, and without them."""
    module, name = "benchmarks.api_cronzimus", f"Cronzimus, {kind}"
    environment = {"DATABASE_URL": stack.enter_context(KINDS[kind]()).url}
    subprocess.run([sys.executable, "-m", module, str(jobs)], cwd=ROOT, env=_environment(environment), check=True)
    server = _serve(stack, name, module, environment, ASKED)
    for read, again in ((LIST, LIST_304), (ONE, ONE_304)):
        path = ASKED[read].path.replace("{job}", "job-000000")
        server.asked[again] = Ask("GET", path, status=304, headers={"If-None-Match": _etag(server.port, path)})
    yield server
    yield _serve(
        stack, name, module, environment | {"BENCHMARK_PLAIN": "1"}, {LIST_ANEW: ASKED[LIST], ONE_PLAIN: ASKED[ONE]}
    )


# --- one measurement -------------------------------------------------------------------------------------------------


def _round(servers: Sequence[Server], options: argparse.Namespace) -> Iterator[Sample]:
    """Measure every request once: on all servers, one after the other, before the next request has its turn."""
    for request in REQUESTS:
        for server in servers:
            if request in server.asked:
                yield _measure(server, request, options)


def _measure(server: Server, label: str, options: argparse.Namespace) -> Sample:
    """Send a request again and again, and return the measurement. Raises `Failed` for a wrong answer."""
    ask, first = server.asked[label], 0
    for seconds in (WARM, options.seconds):
        request = asdict(ask) | {"sent": first, "jobs": min(options.jobs, ASKED_FOR)}
        del request["status"]
        before = _cpu(server.worker)
        result = _load(server.port, request, options.connections, seconds)
        first = result["sent"]
    if set(result["statuses"]) != {str(ask.status)}:
        raise Failed(f"{server.name}, {label}: the answers were {result['statuses']}, not {ask.status}")
    waits = result["waits"]
    return Sample(
        server.name, label,
        rate=len(waits) / result["seconds"],
        p50=median(waits),
        p99=tables.percentile(waits, 99),
        cpu=(_cpu(server.worker) - before) / len(waits),
    )  # fmt: skip


def _cpu(process: int) -> float:
    """Return the CPU time that a process has used, in seconds (proc(5): the fields after its name)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _load(port: int, request: dict[str, Any], connections: int, seconds: float) -> Any:
    asked = {"port": port, "request": request, "connections": connections, "seconds": seconds}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.api_client"],
        cwd=ROOT, input=json.dumps(asked), stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Failed("the load came to no end")
    return json.loads(done.stdout)


def _etag(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START)
    try:
        connection.request("GET", path)
        return connection.getresponse().headers["ETag"]
    finally:
        connection.close()


def _environment(more: dict[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in harness.KEPT if name in os.environ}
    return (
        kept | {"LOG_LEVEL": "WARNING", "SECRET_KEY": "benchmark", "TIME_ZONE": "UTC", "PYTHONPATH": str(ROOT)} | more
    )


def _serve(
    stack: ExitStack,
    name: str,
    module: str,
    environment: dict[str, str],
    asked: dict[str, Ask],
    python: str = sys.executable,
) -> Server:
    """Serve the application of `module` until `stack` closes; return once it answers."""
    port = harness.free_port()
    command = [
        python, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--threads", "4", "--log-level", "warning",
        module,
    ]  # fmt: skip
    log = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (the stack closes it)
    process = subprocess.Popen(command, cwd=ROOT, env=_environment(environment), stdout=log, stderr=log)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    harness.wait_for_port(port, "/", lambda: _check(process, log))
    (worker,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return Server(name, dict(asked), port, int(worker))


def _check(process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    if process.poll() is not None:
        log.seek(0)
        raise Failed(f"a server has ended:\n{log.read().decode(errors='replace')[-4000:]}")


# --- the table -------------------------------------------------------------------------------------------------------


COLUMNS = ("request", "contender", "requests/s (min–max)", "p50 ms", "p99 ms", "CPU ms", "× peer", "× floor")


def table(samples: Sequence[Sample]) -> str:
    """Return a Markdown table: medians, and ratios to the peer's like request, and to the floor."""
    groups: dict[tuple[str, str], list[Sample]] = {}
    for sample in sorted(samples, key=lambda sample: (REQUESTS.index(sample.request), sample.contender)):
        groups.setdefault((sample.request, sample.contender), []).append(sample)
    rates = {key: median(sample.rate for sample in group) for key, group in groups.items()}
    rows = []
    for (request, contender), group in groups.items():
        rate, measured = rates[request, contender], [sample.rate for sample in group]
        times = [f"{median(getattr(sample, name) for sample in group) * 1000:.2f}" for name in ("p50", "p99", "cpu")]
        spread = f"{rate:,.0f} ({min(measured):,.0f}–{max(measured):,.0f})"
        peer, floor = rates.get((LIKE.get(request, request), PEER)), rates.get((EMPTY, FLOOR))
        rows.append([request, contender, spread, *times, _ratio(rate, peer), _ratio(rate, floor)])
    return tables.table(COLUMNS, rows)


def _ratio(rate: float, other: float | None) -> str:
    return f"{rate / other:.2f}" if other else "–"


if __name__ == "__main__":
    harness.command(main)
