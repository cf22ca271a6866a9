"""Strategies for the properties of plans."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.fakes import after, trigger

BOUNDED_RULES = (
    st.integers(1, 40).map(
        lambda seconds: trigger(seconds=seconds, anchor=after(-seconds), end_date="2030-01-01T12:30:00+00:00")
    ),
    st.tuples(st.integers(5, 60), st.integers(1, 100)).map(
        lambda pair: trigger(seconds=pair[0], jitter=pair[1], anchor=after(-pair[0]))
    ),
    st.just(trigger({"type": "date", "run_date": "2030-01-01T12:00:00+00:00"})),
)
"""Triggers with an end, with jitter, and that fire once."""
