"""Time the pages of a Django site in this process, as its superuser sees them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from typing import Any

LONG = 5.0
"""Seconds of a page that is not asked for again: its median is what it took once."""


def measured(addresses: Mapping[str, str], times: int) -> Iterator[dict[str, Any]]:
    """Yield of each page its medians, in all and of CPU, its statements, and its bytes as a browser gets them.

    Each page is asked for once before it is measured. Raises `RuntimeError` for an answer that is not a page.
    """
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client(headers={"accept-encoding": "gzip"})
    client.force_login(User.objects.get())
    for name, path in addresses.items():
        with _statements() as found:
            response = client.get(path)
        if response.status_code != 200:
            raise RuntimeError(f"{path} gave {response.status_code}")
        spent = [_timed(lambda path=path: client.get(path))]
        if spent[0][0] < LONG:
            spent = [_timed(lambda path=path: client.get(path)) for _ in range(times)]
        seconds, cpu = (median(column) for column in zip(*spent, strict=True))
        size = len(response.content)
        yield {"page": name, "seconds": seconds, "cpu": cpu, "statements": len(found), "size": size}


@contextmanager
def _statements() -> Iterator[list[str]]:
    from django.db import connection

    found: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        found.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield found


def _timed(call: Callable[[], Any]) -> tuple[float, float]:
    started, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - started, time.process_time() - cpu
