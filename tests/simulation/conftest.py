"""The databases of histories, and a world in which the product's own code lives."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .database import Databases
from .history import History
from .plans import JobPlan
from .threads import in_the_world

Begin = Callable[..., History]


@pytest.fixture(scope="session")
def databases(django_db_blocker: Any) -> Iterator[Databases]:
    """A migrated database to begin each history with."""
    with django_db_blocker.unblock():
        made = Databases()
        yield made
        made.remove()


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Log nothing: histories are full of faults."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def begin(databases: Databases, django_db_blocker: Any) -> Iterator[Begin]:
    """Return a function that begins a history of jobs."""
    begun: list[History] = []

    def make(*jobs: JobPlan, **options: Any) -> History:
        begun.append(History(databases, jobs, **options))
        return begun[-1]

    with django_db_blocker.unblock(), in_the_world():
        yield make
        for history in begun:
            history.close()
