"""Keep starts, output and outcomes of runs, which the executors' threads report, until they are written."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from ..calls.runner import Activity
from ..core.held import LiveUpdate, Outcome, Start
from ..core.output import HEAD, LIMIT

MAX_LIVE_CHARACTERS = 4_000_000
"""Characters of one live update: the database rewrites all output of a run, and the loop waits for it."""


class Batch(NamedTuple):
    """Starts and outcomes to be written together."""

    starts: Sequence[Start]
    outcomes: Sequence[Outcome]


class Shown(NamedTuple):
    """The stored part of a running run: characters of output, progress, and the turn that wrote them."""

    size: int = 0
    progress: tuple[int, int | None] | None = None
    turn: int = 0


NOTHING_SHOWN = Shown()


class Recorder:
    """Keeps starts and outcomes in memory until the loop has written them.

    The executors' threads add to it, the loop takes from it. They share only single operations on a deque and on dicts,
    so that no thread holds a lock. While the database is gone, everything is kept.
    """

    def __init__(self, on_change: Callable[[int | None], None]) -> None:
        """Call `on_change` whenever there is more to write: with the id of a run that ended, or None for a start."""
        self._on_change = on_change
        # Shared with the threads.
        self._ended: deque[Outcome] = deque()
        self._live: dict[int, Activity] = {}
        self._unwritten_starts: dict[int, Activity] = {}
        # The loop's own.
        self._outcomes: list[Outcome] = []
        self._shown: dict[int, Shown] = {}
        self._turn = 0

    # --- for the executors' threads ----------------------------------------------------------------------------------

    def started(self, activity: Activity) -> None:
        """Note that a run has started."""
        self._live[activity.run.id] = self._unwritten_starts[activity.run.id] = activity
        self._on_change(None)

    def resumed(self, activity: Activity) -> None:
        """Note a running run whose start is stored already."""
        self._live[activity.run.id] = activity

    def finished(self, outcome: Outcome) -> None:
        """Note the outcome of a run."""
        self._ended.append(outcome)
        # A run that ends before its start was written needs one write only.
        self._unwritten_starts.pop(outcome.run_id, None)
        self._live.pop(outcome.run_id, None)
        self._on_change(outcome.run_id)

    def cancel(self, run_id: int, reason: str) -> None:
        """Tell a function that is running in a thread that it should end."""
        activity = self._live.get(run_id)
        if activity is not None:
            activity.cancel(reason)

    # --- for the loop ------------------------------------------------------------------------------------------------

    @property
    def dirty(self) -> bool:
        """Whether a start or an outcome is not written yet."""
        return bool(self._unwritten_starts or self._ended or self._outcomes)

    @property
    def has_new(self) -> bool:
        """Whether a run has ended since the last `batch`."""
        return bool(self._ended)

    @property
    def running(self) -> int:
        """The number of running runs."""
        return len(self._live)

    def activities(self) -> list[Activity]:
        """Return the runs that are running now."""
        return list(self._live.copy().values())

    def unwritten(self) -> set[int]:
        """Return the ids of the runs whose outcome is not written yet."""
        return {outcome.run_id for outcome in (*self._outcomes, *self._ended.copy())}

    def batch(self) -> Batch:
        """Return everything to write. It is kept until `forget`."""
        self._outcomes += [self._ended.popleft() for _ in range(len(self._ended))]
        starts = self._unwritten_starts.copy().values()
        return Batch([Start(activity.run.id, activity.started_at) for activity in starts], self._outcomes)

    def forget(self, batch: Batch, locked: Collection[int] = ()) -> None:
        """Forget the last batch, because it is written, except for the runs that others have `locked`."""
        for start in batch.starts:
            if start.run_id not in locked:
                self._unwritten_starts.pop(start.run_id, None)
        for outcome in batch.outcomes:
            if outcome.run_id not in locked:
                self._shown.pop(outcome.run_id, None)
        self._outcomes = [outcome for outcome in batch.outcomes if outcome.run_id in locked] if locked else []

    def live_updates(self) -> list[LiveUpdate]:
        """Return the new output and progress of running runs since the last `shown`.

        At most `MAX_LIVE_CHARACTERS` of output are returned; the runs whose turn was longest ago come first.
        """
        room, updates = MAX_LIVE_CHARACTERS, list[LiveUpdate]()
        for activity in sorted(self.activities(), key=lambda activity: self._shown_of(activity).turn):
            shown, size, progress = self._shown_of(activity), activity.output.size, activity.context.progress_made
            if (shown.size, shown.progress) == (size, progress):
                continue
            room -= min(size, LIMIT)
            if updates and room < 0:
                break
            updates.append(_live_update(activity, shown, progress))
        return updates

    def shown(self, updates: Sequence[LiveUpdate]) -> None:
        """Note that `updates` were written."""
        self._turn += 1
        for update in updates:
            self._shown[update.run_id] = Shown(update.size, update.progress, self._turn)

    def _shown_of(self, activity: Activity) -> Shown:
        return self._shown.get(activity.run.id, NOTHING_SHOWN)


def _live_update(activity: Activity, shown: Shown, progress: tuple[int, int | None] | None) -> LiveUpdate:
    output = activity.output.stored()
    # Where characters are left out, the stored end is replaced: the tail has moved.
    kept = min(shown.size, HEAD) if output.omitted else shown.size
    text = output.text[kept:] if output.size > shown.size else ""
    return LiveUpdate(activity.run.id, kept, text, output.size, progress, output.omitted, activity.output.marks())
