"""Histograms of runs."""

from __future__ import annotations

import pytest

from jobs.core.statistics import added


@pytest.mark.parametrize(
    ("one", "other", "total"),
    [([], [], []), ([1, 2], [], [1, 2]), ([], [3], [3]), ([1, 2], [10, 20, 30], [11, 22, 30])],
)
def test_histograms_add_up_whatever_their_length(one: list[int], other: list[int], total: list[int]) -> None:
    assert added(one, other) == total
