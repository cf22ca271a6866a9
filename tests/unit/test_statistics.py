"""Histograms of runs."""

from __future__ import annotations

import pytest

from jobs.core.statistics import added, bucket, quantile

BOUNDS = (1.0, 2.0, 4.0)


@pytest.mark.parametrize(("seconds", "index"), [(0, 0), (1.0, 0), (1.1, 1), (4.0, 2), (4.01, 3), (1e9, 3)])
def test_a_bound_belongs_to_the_bucket_below_it(seconds: float, index: int) -> None:
    assert bucket(BOUNDS, seconds) == index


@pytest.mark.parametrize(
    ("one", "other", "total"),
    [([], [], []), ([1, 2], [], [1, 2]), ([], [3], [3]), ([1, 2], [10, 20, 30], [11, 22, 30])],
)
def test_histograms_add_up_whatever_their_length(one: list[int], other: list[int], total: list[int]) -> None:
    assert added(one, other) == total


@pytest.mark.parametrize(
    ("counts", "share", "value"),
    [([], 0.5, None), ([0, 0, 0, 0], 0.5, None), ([10, 0, 0, 0], 0.5, 0.5), ([0, 10, 0, 0], 0.5, 1.5),
     ([10, 10, 0, 0], 0.75, 1.5), ([0, 0, 0, 5], 0.95, 4.0), ([1, 0, 1, 0], 1.0, 4.0)],
)  # fmt: skip
def test_a_quantile_lies_within_its_bucket(counts: list[int], share: float, value: float | None) -> None:
    assert quantile(BOUNDS, counts, share) == value
