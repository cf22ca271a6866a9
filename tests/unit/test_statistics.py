"""Statistics of runs: histograms and percentiles."""

from __future__ import annotations

import pytest

from jobs.core.statistics import added, percentile


@pytest.mark.parametrize(
    ("one", "other", "total"),
    [([], [], []), ([1, 2], [], [1, 2]), ([], [3], [3]), ([1, 2], [10, 20, 30], [11, 22, 30])],
)
def test_histograms_add_up_whatever_their_length(one: list[int], other: list[int], total: list[int]) -> None:
    assert added(one, other) == total


@pytest.mark.parametrize(
    ("ordered", "share", "found"),
    [([], 0.95, None), ([3.0], 0.95, 3.0), ([1, 2, 3, 4], 0.5, 3), ([1, 2, 3, 4, 5], 0.5, 3),
     ([1, 2, 3, 4, 5], 0.95, 5), ([1, 2, 3, 4, 5], 0.0, 1), ([1, 2, 3, 4, 5], 1.0, 5)],
)  # fmt: skip
def test_a_percentile_is_one_of_the_values(ordered: list[float], share: float, found: float | None) -> None:
    assert percentile(ordered, share) == found
