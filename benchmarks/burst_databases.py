"""Temporary databases for a benchmark, and an observer's own connection to them."""

from __future__ import annotations

import os
import secrets
import sqlite3
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

SERVER = os.environ.get("TEST_DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/postgres")


class Unavailable(Exception):
    """There is no such database here, for the reason given."""


class Database(ABC):
    """An empty database that exists within its `with` block."""

    kind: str
    url: str

    @abstractmethod
    def __enter__(self) -> Self:
        """Create it. Raises `Unavailable`."""

    @abstractmethod
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Remove it."""

    @abstractmethod
    def _connect(self) -> Any:
        """Return a connection on which every statement sees what is committed by then."""

    @contextmanager
    def watching(self, sql: str) -> Iterator[Callable[[], int]]:
        """Return a function that returns the number that `sql` selects now."""
        connection = self._connect()
        try:
            yield lambda: connection.execute(sql).fetchone()[0]
        finally:
            connection.close()

    def count(self, sql: str) -> int:
        """Return the number that `sql` selects."""
        with self.watching(sql) as count:
            return count()


class SQLite(Database):
    """A file in a temporary directory."""

    kind = "sqlite"

    def __enter__(self) -> Self:
        self._directory = tempfile.TemporaryDirectory(prefix="cronzimus-burst-")
        self._path = Path(self._directory.name) / "burst.sqlite3"
        self.url = f"sqlite:///{self._path}"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._directory.cleanup()

    def _connect(self) -> Any:
        return sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=20, isolation_level=None)


class PostgreSQL(Database):
    """A database on the server of TEST_DATABASE_URL."""

    kind = "postgresql"

    def __enter__(self) -> Self:
        self._name = f"cronzimus_burst_{secrets.token_hex(4)}"
        self.url = urlunsplit(urlsplit(SERVER)._replace(path=f"/{self._name}"))
        self._on_server(f"CREATE DATABASE {self._name}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._on_server(f"DROP DATABASE IF EXISTS {self._name} WITH (FORCE)")

    def _on_server(self, sql: str) -> None:
        with _open(SERVER) as connection:
            connection.execute(sql)

    def _connect(self) -> Any:
        return _open(self.url)


def _open(url: str) -> Any:
    import psycopg

    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        raise Unavailable(f"{urlsplit(url).hostname}:{urlsplit(url).port} does not answer: {error}") from error


KINDS: dict[str, type[Database]] = {"sqlite": SQLite, "postgresql": PostgreSQL}
