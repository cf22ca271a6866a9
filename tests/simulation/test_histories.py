"""Random histories: each fire time is claimed once, each attempt starts once, and nothing is lost."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest

from tests.conftest import CI

from .database import Databases
from .machine import try_histories

BATCHES = 10
"""Tests among which the histories are divided, so that several processes try them."""
HISTORIES = 100 if CI else 3
"""Histories in a batch."""
SEED = os.environ.get("SIMULATION_SEED", "7" if CI else None)
"""The seed of the first batch. In CI each change is judged by the same histories; elsewhere they differ each time."""


@pytest.mark.parametrize("batch", range(BATCHES))
@pytest.mark.timeout(1200)
def test_histories_with_random_faults(batch: int, databases: Databases, django_db_blocker: Any) -> None:
    first = random.SystemRandom().randrange(10**6) if SEED is None else int(SEED) + batch
    print(f"SIMULATION_SEED={first - batch} tries these {HISTORIES} histories again")
    with django_db_blocker.unblock():
        try_histories(databases, HISTORIES, first)
