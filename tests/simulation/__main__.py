"""Try many random histories by hand: `python -m tests.simulation 100000 --processes 2`."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import random
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

BATCH = 200
"""Histories of one seed: hypothesis remembers all of them, so it begins anew."""


def main() -> None:
    """Try histories until one goes wrong, and say which seed it was."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("histories", type=int)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="the first of them")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    batches = [(options.seed + number, size) for number, size in enumerate(_sizes(options.histories))]
    began, done, points = time.monotonic(), 0, 0
    print(f"seed {options.seed}, {options.histories} histories in {len(batches)} batches", flush=True)
    with ProcessPoolExecutor(options.processes, get_context("fork"), _set_up) as pool:
        for (seed, size), (tried, reached, problem) in zip(batches, pool.map(_try, batches), strict=True):
            done, points = done + tried, points + reached
            rate = done / (time.monotonic() - began)
            print(f"{done} histories, {points} points, {rate:.1f} histories/s", flush=True)
            if problem:
                pool.shutdown(wait=False, cancel_futures=True)
                sys.exit(f"{problem}\nagain: python -m tests.simulation {size} --seed {seed}")


def _sizes(histories: int) -> Iterator[int]:
    while histories > 0:
        yield min(histories, BATCH)
        histories -= BATCH


def _set_up() -> None:
    os.environ |= {"DJANGO_SETTINGS_MODULE": "tests.settings", "DATABASE_URL": ""}
    import django
    from django.conf import settings

    django.setup()
    settings.DEBUG = False
    logging.disable(logging.CRITICAL)
    # What is there stays there, and histories leave little that only the collector of cycles finds.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _try(batch: tuple[int, int]) -> tuple[int, int, str]:
    from .database import Databases
    from .machine import try_histories

    seed, size = batch
    databases, ended = Databases(), list[int]()
    problem = ""
    try:
        try_histories(databases, size, seed, lambda history: ended.append(history.world.points))
    except Exception:
        problem = traceback.format_exc()
    finally:
        databases.remove()
    return len(ended), sum(ended), problem


if __name__ == "__main__":
    main()
