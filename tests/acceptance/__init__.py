"""Tests with real processes, real databases and real time, which kill, stop and restart things."""
