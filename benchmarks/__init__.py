"""Measurements, each beside django-apscheduler in the same run; docs/performance.md says how to read them."""
