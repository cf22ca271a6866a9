"""Histograms of runs: buckets, sums and quantiles."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

DURATIONS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
"""Upper bounds of the buckets of durations, in seconds; the last bucket has longer ones."""
DELAYS = (0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0)
"""Upper bounds of the buckets of start delays, in seconds."""


def bucket(bounds: Sequence[float], seconds: float) -> int:
    """Return the index of the bucket for `seconds`: a bound belongs to the bucket below it, as in Prometheus."""
    return bisect_left(bounds, seconds)


def added(one: Sequence[int], other: Sequence[int]) -> list[int]:
    """Return two histograms added up. A histogram may be shorter than the other, or empty."""
    if len(one) < len(other):
        one, other = other, one
    return [count + (other[index] if index < len(other) else 0) for index, count in enumerate(one)]


def quantile(bounds: Sequence[float], counts: Sequence[int], share: float) -> float | None:
    """Return the value below which `share` (0 to 1) of a histogram lies, None for an empty one.

    Within a bucket values count as evenly spread, as in Prometheus's `histogram_quantile`; in the last one its lower
    bound is returned.
    """
    total = sum(counts)
    if not total:
        return None
    wanted, seen = share * total, 0
    for index, count in enumerate(counts):
        if count and seen + count >= wanted:
            if index >= len(bounds):
                return float(bounds[-1])
            low = bounds[index - 1] if index else 0.0
            return low + (bounds[index] - low) * (wanted - seen) / count
        seen += count
    return float(bounds[-1])
