"""Say in words what keeps runs from workers, for the banners, the overview, readiness and the doctor alike."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from typing import NamedTuple

from ..conf import conf, worker_command
from ..core.brokers import broker_name
from ..core.queues import queue_names
from .workers import Fleet, HeldUp, Obstacle, has_broker

SAME_BROKER = "does it use the same CELERY_BROKER_URL as the schedulers?"
"""The question that helps if a worker is free and takes nothing."""


class Problem(NamedTuple):
    """A problem of queues: its key, its headline, what to do, and a command that does it."""

    key: str
    headline: str
    remedy: str
    command: str = ""

    def __str__(self) -> str:
        """Return all of it as sentences."""
        return f"{self.headline} {self.remedy}{f' {self.command}' if self.command else ''}"

    @property
    def for_everybody(self) -> str:
        """All of it but the command, which names modules of the project."""
        return f"{self.headline} {self.remedy.removesuffix(':')}{'.' if self.command else ''}"


def problems(
    fleet: Fleet, shown: Callable[[datetime], str], unserved: Collection[str] | None = None
) -> Iterator[Problem]:
    """Yield the problems of the queues; `shown` writes an instant.

    `unserved` are the queues without a worker that matter; all of them, if it is None.
    """
    if fleet.held_up and not has_broker():
        found = fleet.held_up
        headline = f"CELERY_BROKER_URL is not set here, and {_waiting(found)} for workers of {_queues(found)}."
        yield Problem("no-broker-setting", headline, "Set it again, or cancel what is left.")
        return
    held = {obstacle: [one for one in fleet.held_up if one.obstacle is obstacle] for obstacle in Obstacle}
    if found := held[Obstacle.BROKER]:
        remedy = f"{_waiting(found)} for it, the oldest since {_since(found, shown)}."
        yield Problem("no-broker", f"The broker takes no messages for {_queues(found)}.", remedy)
    if found := held[Obstacle.NOT_TAKEN]:
        messages = sum(one.messages for one in found)
        it = "it" if messages == 1 else "one"
        headline = f"{sent_messages(messages)} sent to {_queues(found)}, and no worker took {it}."
        since = f"{_waiting(found)}, the oldest since {_since(found, shown)}"
        yield Problem("not-taken", headline, f"{since}, although a worker is free: {SAME_BROKER}")
    queues = sorted(fleet.unserved if unserved is None else unserved)
    if queues:
        its = "their" if len(queues) > 1 else "its"
        headline = f"No worker serves {queue_names(queues)}: {its} jobs and runs wait."
        yield Problem("no-worker", headline, "Start one:", worker_command(queues))


def sent_messages(number: int) -> str:
    """Return the beginning of a sentence about messages: "1 message was", "2 messages were"."""
    return "1 message was" if number == 1 else f"{number:,} messages were"


def differing_brokers(fleet: Fleet) -> str:
    """Return the schedulers and workers with another broker than this process in a sentence; "" for none."""
    if not (others := fleet.other_brokers):
        return ""
    uses = ", ".join(f"{one.name} uses {one.broker}" for one in others)
    return f"This process uses the broker {broker_name(conf.CELERY_BROKER_URL)}, but {uses}."


def _queues(found: list[HeldUp]) -> str:
    return queue_names(sorted({one.queue for one in found}))


def _waiting(found: list[HeldUp]) -> str:
    number = sum(held.number for held in found)
    return "1 run waits" if number == 1 else f"{number:,} runs wait"


def _since(found: list[HeldUp], shown: Callable[[datetime], str]) -> str:
    return shown(min(one.since for one in found))
