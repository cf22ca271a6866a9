"""The functions of the benchmarks as Cronzimus's jobs call them; JOB_MODULES names this module."""

from __future__ import annotations

from benchmarks import functions
from jobs import register

for name in ("noop", "ten_ms", "fail", "speak", "hang", "stamp", "tell", "note"):
    register(getattr(functions, name))
