"""Empty, temporary databases for benchmarks, each with an observer's own connection."""

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
BROKER = urlsplit(os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379"))._replace(path="").geturl()
"""The URL of a Redis without the number of a database, which the tests have: benchmarks take empty ones."""
RABBITMQ = os.environ.get("TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//")


class Unavailable(Exception):
    """There is no such database here; the message has the reason."""


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

    @contextmanager
    def connected(self) -> Iterator[Any]:
        """Return a connection on which every statement sees all commits before it."""
        connection = self._connect()
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def watching(self, question: str) -> Iterator[Callable[[], int]]:
        """Return a function that returns the current result of `question`, a SELECT of one number."""
        with self.connected() as connection:
            yield lambda: connection.execute(question).fetchone()[0]

    def count(self, question: str) -> int:
        """Return the number that `question` selects."""
        with self.watching(question) as count:
            return count()

    def backends(self) -> list[int]:
        """Return the processes of a server that work for this database alone, if there are any on this machine."""
        return []

    @abstractmethod
    def _connect(self) -> Any: ...


class SQLite(Database):
    """A file in a temporary directory."""

    kind = "sqlite"

    def __enter__(self) -> Self:
        self._directory = tempfile.TemporaryDirectory(prefix="cronzimus-bench-")
        self._path = Path(self._directory.name) / "bench.sqlite3"
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
        self.name = f"cronzimus_bench_{secrets.token_hex(4)}"
        self.url = urlunsplit(urlsplit(SERVER)._replace(path=f"/{self.name}"))
        self._on_server(self._made())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._on_server(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")

    def backends(self) -> list[int]:
        if urlsplit(SERVER).hostname not in ("127.0.0.1", "localhost", "::1", None):
            return []
        with _open(SERVER) as connection:
            rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE datname = %s", [self.name])
            return [pid for (pid,) in rows]

    def _made(self) -> str:
        """Return the statement that makes it."""
        return f"CREATE DATABASE {self.name}"

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
        raise Unavailable(f"{urlsplit(url).hostname}:{urlsplit(url).port} does not answer") from error


class Memory(Database):
    """No database: the jobs are in the scheduler's own memory."""

    kind = "memory"
    url = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Leave nothing behind."""

    def _connect(self) -> Any:
        raise Unavailable("a database in memory cannot be read by another process")


class Redis(Database):
    """Two empty databases on the server of TEST_REDIS_URL: one for the broker, one for results."""

    kind = "redis"
    MARK = "cronzimus-bench"

    def __enter__(self) -> Self:
        self._taken: list[Any] = []
        for number in range(15, 0, -1):
            connection = self._open(number)
            if connection.dbsize() == 0 and connection.set(self.MARK, os.getpid(), nx=True):
                self._taken.append(connection)
            if len(self._taken) == 2:
                numbers = [taken.connection_pool.connection_kwargs["db"] for taken in self._taken]
                self.url, self.results = (f"{BROKER}/{number}" for number in numbers)
                return self
        self.__exit__(None, None, None)
        raise Unavailable(f"{urlsplit(BROKER).netloc} has no two empty databases")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for connection in self._taken:
            connection.flushdb()  # it was empty when it was taken
            connection.close()

    @contextmanager
    def watching(self, question: str) -> Iterator[Callable[[], int]]:
        """Return a function that returns the number of results; `question` is ignored."""
        yield lambda: self._taken[1].dbsize() - 1

    def _connect(self) -> Any:
        return self._taken[0]

    def _open(self, number: int) -> Any:
        try:
            import redis
        except ImportError as error:
            raise Unavailable("the package redis is not installed") from error
        connection = redis.Redis.from_url(f"{BROKER}/{number}", socket_connect_timeout=5)
        try:
            connection.ping()
        except redis.RedisError as error:
            raise Unavailable(f"{urlsplit(BROKER).netloc} does not answer") from error
        return connection


KINDS: dict[str, type[Database]] = {"sqlite": SQLite, "postgresql": PostgreSQL}
PLACES: dict[str, type[Database]] = KINDS | {"memory": Memory, "redis": Redis}


class RedisQueue:
    """A broker for one queue: an empty database on the server of TEST_REDIS_URL."""

    def __init__(self, queue: str) -> None:
        """Use the database for `queue`."""
        self._redis = Redis()

    def __enter__(self) -> Self:
        self.url = self._redis.__enter__().url
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._redis.__exit__(kind, error, at)


class RabbitQueue:
    """A broker for one queue, on the server of TEST_RABBITMQ_URL."""

    url = RABBITMQ

    def __init__(self, queue: str) -> None:
        """Use `queue`."""
        self._queue = queue

    def __enter__(self) -> Self:
        with self._channel():
            return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._channel() as channel:
            channel.queue_delete(self._queue)
            channel.exchange_delete(self._queue)

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        try:
            from kombu import Connection
        except ImportError as error:
            raise Unavailable("the package kombu is not installed") from error
        try:
            with Connection(self.url, connect_timeout=5) as connection:
                yield connection.default_channel
        except OSError as error:
            raise Unavailable(f"{urlsplit(self.url).hostname}:{urlsplit(self.url).port} does not answer") from error


BROKERS: dict[str, Any] = {"redis": RedisQueue, "rabbitmq": RabbitQueue}
