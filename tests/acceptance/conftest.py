"""A site of its own for each test: a fresh database on SQLite or PostgreSQL, and no process that outlives the test."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.conftest import skip_or_fail, thinned

from .brokers import URLS, reached
from .cluster import Cluster, own_cluster
from .support import ROOT, Site
from .worker_site import WorkerSite, stop

SERVER = os.environ.get("TEST_DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
numbers = itertools.count(1)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under `nohup`, all processes of the tests would ignore it

MakeSite = Callable[[str], Site]
"""A function that makes a site on a database of a vendor: "sqlite" or "postgresql"."""


def migrate(site: Site) -> None:
    """Make the tables of `site`."""
    command = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
    subprocess.run(command, cwd=ROOT, env=site.environment, check=True, timeout=60)


class Databases:
    """Fresh databases, each a copy of one that was migrated once."""

    def __init__(self, folder: Path) -> None:
        """Keep the originals in `folder`, and on the server."""
        self.folder = folder
        self._made: list[str] = []
        self._originals: dict[str, str] = {}

    def new(self, vendor: str, folder: Path) -> str:
        """Return the URL of a fresh database."""
        return self._sqlite(folder) if vendor == "sqlite" else self._postgresql()

    def _sqlite(self, folder: Path) -> str:
        if "sqlite" not in self._originals:
            original = self.folder / "original.sqlite3"
            migrate(Site(f"sqlite:///{original}", self.folder))
            self._originals["sqlite"] = str(original)
        shutil.copy(self._originals["sqlite"], folder / "db.sqlite3")
        return f"sqlite:///{folder}/db.sqlite3"

    def _postgresql(self) -> str:
        if "postgresql" not in self._originals:
            original = self._create("template1")
            migrate(Site(self._url(original), self.folder))
            self._originals["postgresql"] = original
        return self._url(self._create(self._originals["postgresql"]))

    def _create(self, template: str) -> str:
        name = f"cronzimus_acceptance_{os.getpid()}_{next(numbers)}"
        self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")  # of a process that had this id, and was killed
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        self._made.append(name)
        return name

    def drop(self) -> None:
        """Remove all that is on the server: at the same time, since each waits for a checkpoint, and may share it."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda name: self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"), self._made))

    @staticmethod
    def _url(name: str) -> str:
        return SERVER.rsplit("/", 1)[0] + f"/{name}"

    @staticmethod
    def _execute(sql: str) -> None:
        with psycopg.connect(SERVER, autocommit=True, connect_timeout=30) as connection:
            connection.execute(sql)  # type: ignore[call-overload]


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """The maker of databases, which removes them in the end."""
    made = Databases(tmp_path_factory.mktemp("databases"))
    yield made
    made.drop()


@contextmanager
def site_factory(databases: Databases, parent: Path) -> Iterator[MakeSite]:
    """Yield a function that makes a site on a fresh database; the processes of all sites are ended afterwards."""
    made: list[Site] = []

    def make(vendor: str) -> Site:
        folder = parent / f"site-{len(made)}"
        folder.mkdir()
        try:
            url = databases.new(vendor, folder)
        except psycopg.OperationalError as error:
            skip_or_fail(f"no PostgreSQL at {SERVER}: {error}")
        made.append(Site(url, folder))
        return made[-1]

    yield make
    for site in made:
        site.end()
        print(site.logs())  # pytest shows it if the test failed


@pytest.fixture
def make_site(databases: Databases, tmp_path: Path) -> Iterator[MakeSite]:
    """Return a function that makes a site for one test."""
    with site_factory(databases, tmp_path) as make:
        yield make


@pytest.fixture(scope="module")
def make_shared_site(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeSite]:
    """Return a function that makes a site for all tests of a module."""
    with site_factory(databases, tmp_path_factory.mktemp("shared")) as make:
        yield make


@pytest.fixture(scope="session")
def make_lasting_site(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeSite]:
    """Return a function that makes a site for the tests of several modules."""
    with site_factory(databases, tmp_path_factory.mktemp("lasting")) as make:
        yield make


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def site(make_site: MakeSite, request: pytest.FixtureRequest) -> Site:
    """A site on each of the databases."""
    return make_site(request.param)


@pytest.fixture
def sites(make_site: MakeSite) -> list[Site]:
    """A site on each of the databases at once, for long tests that mostly wait."""
    return [make_site("sqlite"), make_site("postgresql")]


@pytest.fixture
def sqlite_site(make_site: MakeSite) -> Any:
    """A site on SQLite, for tests that do not depend on the database."""
    return make_site("sqlite")


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL of the test's own."""
    with own_cluster() as made:
        yield made


@pytest.fixture
def patient_publisher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give brokers longer to answer: the test is not about one that is silent, and the machine may stall."""
    from jobs.scheduler import broker  # here: it imports Celery

    monkeypatch.setattr(broker, "TIMEOUT_SECONDS", 30.0)
    monkeypatch.setitem(broker.PINNED, "broker_connection_timeout", 30.0)


JUDGED = pytest.StashKey[list[WorkerSite]]()
"""The sites of a test's own workers, or its part of a shared one."""


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Judge the history of a test of workers when it has passed, within its time."""
    result = yield
    for one in pyfuncitem.stash.get(JUDGED, []):
        one.assert_good()
    return result


@pytest.fixture(params=thinned(URLS, every=2))
def broker_name(request: pytest.FixtureRequest) -> str:
    """The brokers that a test of workers needs: Redis, and RabbitMQ with CI=true."""
    return str(request.param)


@pytest.fixture(scope="session")
def worker_sites(make_lasting_site: MakeSite) -> Iterator[dict[str, WorkerSite]]:
    """The sites of `fleet`, by the names of their brokers; their schedulers end well in the end."""
    made: dict[str, WorkerSite] = {}
    yield made
    for one in made.values():
        stop(one.running_scheduler)
        one.end()


@pytest.fixture
def fleet(
    request: pytest.FixtureRequest, broker_name: str, worker_sites: dict[str, WorkerSite], make_lasting_site: MakeSite
) -> Iterator[WorkerSite]:
    """A site with a scheduler, on PostgreSQL and a broker. After the test its history is judged by `checker.py`.

    The tests share it; a test has a queue, workers and names of jobs of its own.
    """
    if broker_name not in worker_sites:
        worker_sites[broker_name] = WorkerSite(make_lasting_site("postgresql"), reached(broker_name))
        worker_sites[broker_name].start_scheduler()
    one = worker_sites[broker_name]
    one.begin()
    request.node.stash[JUDGED] = [one]
    yield one
    one.finish()
    print(one.logs())


@pytest.fixture
def make_fleet(
    request: pytest.FixtureRequest, broker_name: str, make_site: MakeSite
) -> Iterator[Callable[..., WorkerSite]]:
    """Return a function that makes a site of one test's own, without a scheduler.

    After the test the history of each is judged by `checker.py`: its scheduler, and a worker, have to live until then.
    """
    made = request.node.stash[JUDGED] = []

    def make(vendor: str = "postgresql") -> WorkerSite:
        made.append(WorkerSite(make_site(vendor), reached(broker_name)))
        return made[-1]

    yield make
    for one in made:
        one.end()
