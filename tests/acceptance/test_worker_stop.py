"""Workers that are told to stop: what they have no slot for is left to others."""

from __future__ import annotations

from uuid import uuid4

from .worker_site import IN_TIME, WorkerSite, stop

pytestmark = IN_TIME
UNKNOWN_RUN = 2**62
"""The number of a run that no database has."""


def test_a_busy_worker_that_stops_leaves_the_messages_that_it_does_not_need(fleet: WorkerSite) -> None:
    fleet.add(fleet.once("running", "tests:wait", 8))
    worker = fleet.worker(slots=1)
    fleet.until_status("running", "running")
    fleet.broker.ask_for(UNKNOWN_RUN, uuid4().hex)
    stop(worker)  # its slot is free for a moment, between the end of the run and its own
    assert fleet.run("running")["status"] == "succeeded"
    assert fleet.broker.purge() == 1
