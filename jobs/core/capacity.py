"""The number of runs that a scheduler may take: by lane, and together where lanes share workers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping


class Capacity(dict[str, int]):
    """The number of runs that each lane may be given.

    Queues that share a worker are rivals: a run of one of them takes a place from the others too, because it may get a
    slot that they count as theirs.
    """

    def __init__(self, free: Mapping[str, int], rivals: Mapping[str, Collection[str]] | None = None) -> None:
        """Take the `free` places of each lane; `rivals` has the lanes that share workers with a lane, itself included.

        A lane without rivals has its places for itself. Without `rivals`, those of `free` are taken.
        """
        super().__init__(free)
        self.rivals: Mapping[str, Collection[str]] = rivals or (free.rivals if isinstance(free, Capacity) else {})

    def take(self, lane: str) -> None:
        """Count a run of `lane`."""
        for name in self.rivals.get(lane, (lane,)):
            if self.get(name, 0) > 0:
                self[name] -= 1

    def only(self, lanes: Iterable[str]) -> Capacity:
        """Return the part for some of the lanes. Runs of the others still count."""
        return Capacity({lane: self[lane] for lane in lanes}, self.rivals)
