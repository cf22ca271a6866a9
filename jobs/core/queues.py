"""The names of the queues of workers: which are allowed, and several of them in words."""

from __future__ import annotations

import re
from collections.abc import Collection

RESERVED = re.compile(r"amq\..*|_kombu\..*|unacked(_index|_mutex)?")
"""The names that RabbitMQ refuses, and those under which kombu keeps other things in Redis."""
OF_CELERY = "celery"
"""The queue of every worker of Celery that was told no other. It would drop our messages, and our worker theirs."""


def queue_problem(name: object) -> str:
    """Return the error in the name of a queue, "" if there is none."""
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", name):
        return "must be 1 to 64 ASCII letters, digits and _ . : -"
    if RESERVED.fullmatch(name):
        return "must be a name that RabbitMQ and kombu do not keep for themselves"
    if name == OF_CELERY:
        return "must not be celery, the default queue of other Celery workers, which would drop its messages"
    return ""


def queue_names(queues: Collection[str]) -> str:
    """Return queues in words: "the queue mail", "the queues mail, print and reports"."""
    *first, last = queues
    return f"the queues {', '.join(first)} and {last}" if first else f"the queue {last}"
