"""SQLite in the world: a file for each history, whose connections can be cut at each statement."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from django.core.management import call_command
from django.db import OperationalError, connections
from django.db.backends.sqlite3.base import FORMAT_QMARK_REGEX, SQLiteCursorWrapper
from django.db.backends.utils import CursorWrapper

from jobs.db.sqlite3 import base

from .threads import sleep
from .world import Process, World

Result = TypeVar("Result")
LOCK_SECONDS = 5.0
"""Time for which a connection waits for SQLite's lock."""
LOOK_SECONDS = 0.02


class SimulatedCursor(SQLiteCursorWrapper):
    """A cursor that remembers what SQLite calls the parameters of a statement: histories repeat the same ones."""

    def convert_query(self, query: str, *, param_names: Sequence[str] | None = None) -> str:
        if param_names is not None:
            return super().convert_query(query, param_names=param_names)
        return _converted(query)


@lru_cache(2000)
def _converted(query: str) -> str:
    return str(FORMAT_QMARK_REGEX.sub("?", query)).replace("%%", "%")


def _julian_day() -> float:
    return 2_451_545 + (World.current.now() - datetime(2000, 1, 1, 12, tzinfo=UTC)) / timedelta(days=1)


class SimulatedConnection(base.DatabaseWrapper):
    """A connection to a real database. It is cut where a fault hits its process, and waits for locks in the world."""

    def __init__(self, settings: dict[str, Any], alias: str = "default") -> None:
        """Belong to the process that runs now, or to none."""
        super().__init__(settings, alias)
        self.execute_wrappers.append(self._execute)
        self._is_severed = False
        task = World.current.task
        if task is not None:
            task.process.connections.append(self)

    def connect(self) -> None:
        self._is_severed = False
        self._reach("connecting")
        super().connect()
        self.connection.create_function("julianday", 0, _julian_day)  # without arguments, it is the current one

    def _cursor(self, name: str | None = None) -> CursorWrapper:
        # Without Django's checks for other threads and for logging: there are neither.
        if self.connection is None:
            self.ensure_connection()
        with self.wrap_database_errors:
            return CursorWrapper(self.connection.cursor(SimulatedCursor), self)

    def cursor(self) -> CursorWrapper:
        return self._cursor()

    def sever(self) -> None:
        """Cut the connection: the database undoes the open transaction, and no answer comes any more."""
        self._is_severed = True
        if self.connection is not None:
            self.connection.rollback()

    def close_for_good(self) -> None:
        """Free what belongs to it."""
        self._is_severed = True
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def _reach(self, what: str) -> None:
        if self._is_severed:
            raise OperationalError("the connection is closed")
        World.current.reach(what, self._lose)

    def _lose(self) -> Exception:
        self.sever()
        return OperationalError("server closed the connection unexpectedly")

    def _execute(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        self._reach(f"before {sql:.60}")
        result = self._wait_for_lock(lambda: execute(sql, params, many, context))
        self._reach(f"after {sql:.60}")
        return result

    def _start_transaction_under_autocommit(self) -> None:
        self._reach("BEGIN")
        self._wait_for_lock(super()._start_transaction_under_autocommit)

    def _commit(self) -> None:
        self._reach("before COMMIT")
        super()._commit()
        self._reach("after COMMIT")

    def _rollback(self) -> None:
        if self._is_severed:
            raise OperationalError("the connection is closed")
        super()._rollback()

    @staticmethod
    def _wait_for_lock(call: Callable[[], Result]) -> Result:
        until = World.current.monotonic + LOCK_SECONDS
        while True:
            try:
                return call()
            except OperationalError as error:
                if "locked" not in str(error) or World.current.monotonic >= until or World.current.task is None:
                    raise
            sleep(LOOK_SECONDS)


class Databases:
    """Makes a new database for each history, as a copy of one that is migrated once."""

    def __init__(self) -> None:
        """Migrate the first one."""
        memory = Path("/dev/shm")  # noqa: S108
        self.folder = Path(tempfile.mkdtemp(prefix="cronzimus-simulation-", dir=memory if memory.is_dir() else None))
        self._template, self._path = self.folder / "template.sqlite3", self.folder / "history.sqlite3"
        own = connections["default"]
        connections["default"] = base.DatabaseWrapper(_settings(self._template), "default")
        try:
            call_command("migrate", verbosity=0)
            connections["default"].close()
        finally:
            connections["default"] = own

    def begin(self) -> None:
        """Make the database of the next history."""
        for end in ("", "-wal", "-shm"):
            Path(f"{self._path}{end}").unlink(missing_ok=True)
        shutil.copyfile(self._template, self._path)

    def connection(self, process: Process | None = None) -> SimulatedConnection:
        """Return a new connection, of the thread of a process."""
        made = SimulatedConnection(_settings(self._path))
        if process is not None:
            process.connections.append(made)
        return made

    def remove(self) -> None:
        """Delete everything."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _settings(path: Path) -> dict[str, Any]:
    settings = dict(connections.settings["default"])
    settings["OPTIONS"] = {
        "timeout": 0, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF"
    }  # fmt: skip
    return settings | {"NAME": str(path), "ENGINE": "jobs.db.sqlite3"}
