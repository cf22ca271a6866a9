"""Whole histories on a fake clock: schedulers, workers and a broker in one process, and a fault wherever one fits."""
