"""The runs that a worker's slots want to start: their threads ask, and the ledger's thread starts many at a time."""

from __future__ import annotations

from collections.abc import Collection
from math import inf
from queue import SimpleQueue

from ..core.clock import Clock
from ..core.held import HeldRun
from ..scheduler.store.dispatch import Dispatch
from ..scheduler.store.starts import start_runs, startable
from .foreign_messages import ForeignMessages
from .membership import Membership

FIRST_LOCK_SECONDS, LOCK_SECONDS = 0.002, 0.2
"""Time until a start is tried again whose run somebody else has locked: at first, and at most. A scheduler locks a run
for a moment when it notes that its message is sent, just as the message arrives."""


class StartRequest:
    """A slot's request to start a run; the slot waits for the answer."""

    def __init__(self, dispatch: Dispatch) -> None:
        """Ask for the run of `dispatch`."""
        self.dispatch = dispatch
        self.answer: SimpleQueue[HeldRun | None] = SimpleQueue()


class StartQueue:
    """The requests of slots to start runs. One whose run somebody else has locked stays pending, and is tried again."""

    def __init__(self, clock: Clock, membership: Membership) -> None:
        """Start runs for the worker of `membership`."""
        self._clock, self._membership = clock, membership
        self._requests: SimpleQueue[StartRequest] = SimpleQueue()
        self._pending: list[StartRequest] = []
        self._lock_seconds = FIRST_LOCK_SECONDS
        self.due = inf
        """The monotonic time at which pending requests are tried again."""
        self._foreign = ForeignMessages(clock, membership.queues)

    def put(self, dispatch: Dispatch) -> StartRequest:
        """Ask for the run of `dispatch`. Called by the slots' threads; the ledger's calls the other methods."""
        request = StartRequest(dispatch)
        self._requests.put(request)
        return request

    @property
    def pending_runs(self) -> set[int]:
        """The ids of the runs of pending requests. They may have started: the answer of the database may be lost."""
        return {request.dispatch.run_id for request in self._pending}

    def start(self, own: set[int]) -> None:
        """Start the requested runs, and add them to `own`, which has those that this worker runs.

        Raises the errors of the database; then the requests stay pending.
        """
        self._take_requests()
        if not self._pending:
            return
        # A message that comes twice must not start its run again. Another site's may name a run of the same number.
        first: dict[str, StartRequest] = {}
        for request in self._pending:
            if request.dispatch.run_id not in own:
                first.setdefault(request.dispatch.dispatch_id, request)
        holder, until = self._membership.worker_id, self._membership.lease_until
        runs = start_runs([request.dispatch for request in first.values()], holder, self._clock.now(), until)
        # If the lease ended meanwhile, others may have given the runs up.
        started = {run.dispatch_id: run for run in runs} if self._membership.held else {}
        rest = [request.dispatch for key, request in first.items() if key not in started]
        locked = startable(rest, holder)
        own |= {run.id for run in started.values()}
        requests, self._pending = self._pending, [first[key] for key in locked]
        self._wait_for(locked)
        for request in requests:
            key = request.dispatch.dispatch_id
            if first.get(key) is not request:
                request.answer.put(None)
            elif key not in locked:
                request.answer.put(started.get(key))
        self._foreign.warn([dispatch for dispatch in rest if dispatch.dispatch_id not in locked])

    def refuse_all(self) -> None:
        """Answer all requests: their runs do not start."""
        self._take_requests()
        for request in self._pending:
            request.answer.put(None)
        self._pending, self.due = [], inf

    def _take_requests(self) -> None:
        while not self._requests.empty():
            self._pending.append(self._requests.get())

    def _wait_for(self, locked: Collection[str]) -> None:
        self.due = self._clock.monotonic() + self._lock_seconds if locked else inf
        self._lock_seconds = min(2 * self._lock_seconds, LOCK_SECONDS) if locked else FIRST_LOCK_SECONDS
