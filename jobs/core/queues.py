"""The names of queues of workers, in words."""

from __future__ import annotations

from collections.abc import Collection


def queue_names(queues: Collection[str]) -> str:
    """Return queues in words: "the queue mail", "the queues mail, print and reports"."""
    *first, last = queues
    return f"the queues {', '.join(first)} and {last}" if first else f"the queue {last}"
