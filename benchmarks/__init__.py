"""Measurements, each beside its peers in the same run; docs/performance.md says how to read them."""
