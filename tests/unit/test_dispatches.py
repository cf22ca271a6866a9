"""The ids of deliveries tell when they were made."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from jobs.core.dispatches import first_dispatch_id, made_at, new_dispatch_id
from tests.fakes import NOW, after


def test_an_id_is_a_uuid_of_version_7() -> None:
    one = UUID(new_dispatch_id(NOW))
    assert (one.version, one.variant) == (7, "specified in RFC 4122")


def test_no_two_ids_are_the_same() -> None:
    assert len({new_dispatch_id(NOW) for _ in range(1000)}) == 1000


def test_an_id_tells_when_it_was_made() -> None:
    assert made_at(new_dispatch_id(after(1.2345))) == after(1.234)


@pytest.mark.parametrize("text", ["", "x", "f" * 32])
def test_another_text_tells_nothing(text: str) -> None:
    assert made_at(text) is None


def test_ids_sort_by_their_times() -> None:
    moment = timedelta(milliseconds=1)
    assert new_dispatch_id(NOW - moment) < first_dispatch_id(NOW) < new_dispatch_id(NOW) < new_dispatch_id(NOW + moment)
