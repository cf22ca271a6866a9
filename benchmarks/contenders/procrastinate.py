"""procrastinate, by its documentation: asynchronous and periodic tasks, and a worker with a concurrency of ten."""

from __future__ import annotations

import os
from typing import Any

import procrastinate

from benchmarks import child, functions

CONCURRENCY = 10


def prepare_burst(jobs: int) -> None:
    """Make the schema, and defer `jobs` jobs."""
    app = _schema()
    with app.open():
        _task(app, "noop").batch_defer(*[{} for _ in range(jobs)])


def prepare() -> None:
    """Make the schema."""
    _schema()


def run(periodic: int = 0) -> None:
    """Run a worker until a signal ends it, with `periodic` tasks that are due every second."""
    app = _app(procrastinate.PsycopgConnector)
    for name in ("noop", "tell"):
        _task(app, name)
    for index in range(periodic):
        _periodic(app, f"job-{index:06}")
    child.tell("ready")
    app.run_worker(concurrency=CONCURRENCY)


def client() -> None:
    """Defer a task at each request."""
    app = _app(procrastinate.SyncPsycopgConnector)
    task = _task(app, "tell")
    with app.open():
        child.serve(lambda tag: task.defer(tag=tag))


def _schema() -> Any:
    app = _app(procrastinate.SyncPsycopgConnector)
    with app.open():
        app.schema_manager.apply_schema()
    return _app(procrastinate.SyncPsycopgConnector)


def _app(connector: Any) -> Any:
    return procrastinate.App(connector=connector(conninfo=os.environ["DATABASE_URL"]))


def _task(app: Any, name: str) -> Any:
    function = getattr(functions, name)

    async def task(**arguments: Any) -> None:
        function(**arguments)

    return app.task(name=name)(task)


def _periodic(app: Any, tag: str) -> None:
    async def task(timestamp: int) -> None:
        functions.stamp(tag)

    app.periodic(cron="* * * * * *")(app.task(name=tag)(task))


if __name__ == "__main__":
    child.main({"prepare-burst": prepare_burst, "prepare": prepare, "run": run, "client": client})
