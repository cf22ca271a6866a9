"""Statistics of runs: histograms and percentiles."""

from __future__ import annotations

from collections.abc import Sequence

DURATIONS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
"""Upper bounds of the buckets of durations, in seconds; the last bucket has longer ones."""
DELAYS = (0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0)
"""Upper bounds of the buckets of start delays, in seconds."""


def added(one: Sequence[int], other: Sequence[int]) -> list[int]:
    """Return two histograms added up. A histogram may be shorter than the other, or empty."""
    if len(one) < len(other):
        one, other = other, one
    return [count + (other[index] if index < len(other) else 0) for index, count in enumerate(one)]


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return one of the `ordered` values: at the position `share` times their number, rounded down, counted from 0.

    Return the last value for a `share` of 1, and None for no values.
    """
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else None
