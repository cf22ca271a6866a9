"""The built wheel, the environments that it is installed into, and a shop in each on each of the databases."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.conftest import skip_or_fail

from .environments import DJANGOS, Wanted, build_wheel, make_environment
from .shop import Shop

SERVER = os.environ.get("TEST_DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
numbers = itertools.count(1)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree."""
    if find_spec("build") is None or find_spec("hatchling") is None:
        skip_or_fail("no tools to build the wheel: make .venv/.dist installs them")
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session", params=DJANGOS, ids=lambda wanted: wanted.django)
def python(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel and one of the Djangos."""
    wanted: Wanted = request.param
    made = make_environment(tmp_path_factory.mktemp("environment") / "venv", wanted, wheel)
    if made is None:
        skip_or_fail(f"no Python {'.'.join(map(str, wanted.python))} or later, which {wanted.django} needs")
    assert made is not None
    return made


@pytest.fixture(scope="session")
def make_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path, str], Shop]]:
    """Return a function that makes a shop with the Python of an environment, on a fresh database."""
    shops: list[Shop] = []
    made: list[str] = []

    def make(python: Path, vendor: str) -> Shop:
        variables = {} if vendor == "sqlite" else _new_database(made)
        shops.append(Shop(python, tmp_path_factory.mktemp("shop"), variables))
        return shops[-1]

    yield make
    for shop in shops:
        shop.end()
    for name in made:
        _execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def shop(request: pytest.FixtureRequest, python: Path, make_shop: Callable[[Path, str], Shop]) -> Shop:
    """A shop on each of the databases, with its web and its scheduler at work."""
    made = make_shop(python, request.param)
    made.set_up()
    made.serve()
    made.start("runscheduler")
    return made


def _new_database(made: list[str]) -> dict[str, str]:
    name = f"cronzimus_shop_{os.getpid()}_{next(numbers)}"
    try:
        _execute(f"CREATE DATABASE {name}")
    except psycopg.OperationalError as error:
        skip_or_fail(f"no PostgreSQL at {SERVER}: {error}")
    made.append(name)
    server = urlsplit(SERVER)
    return {
        "SHOP_POSTGRESQL": name, "SHOP_HOST": server.hostname or "", "SHOP_PORT": str(server.port or 5432),
        "SHOP_USER": server.username or "", "SHOP_PASSWORD": server.password or "",
    }  # fmt: skip


def _execute(sql: str) -> None:
    with psycopg.connect(SERVER, autocommit=True, connect_timeout=5) as connection:
        connection.execute(sql)  # type: ignore[call-overload]
