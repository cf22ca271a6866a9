"""The logs that are open in the list of runs: the address of the page has them, so that a poll keeps them open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from django.http import HttpRequest

from ...selectors.run_search import run_number

OPEN = "open"
"""The parameter with the ids of the runs whose logs are open."""
MOST = 10
"""Logs that are open at once. Opening one more closes the first."""


@dataclass(frozen=True, slots=True)
class OpenLogs:
    """The runs whose logs are open on the list at `address`, whose polls go to `live`."""

    address: str
    live: str
    ids: tuple[int, ...]

    @classmethod
    def of(cls, request: HttpRequest, address: str, live: str) -> Self:
        """Return the open logs in the address of `request`."""
        numbers = (run_number(text) for text in request.GET.get(OPEN, "").split(","))
        found = dict.fromkeys(number for number in numbers if number is not None)
        return cls(address, live, tuple(found)[-MOST:])

    @property
    def live_url(self) -> str:
        """The address for polls, with these logs."""
        return _with(self.live, self.ids)

    def toggled(self, run_id: int) -> tuple[str, str]:
        """Return the addresses, for people and for polls, with the log of one more run, or without it if it is open."""
        others = tuple(one for one in self.ids if one != run_id)
        ids = others if run_id in self.ids else (*others, run_id)[-MOST:]
        return f"{_with(self.address, ids)}#run-{run_id}", _with(self.live, ids)


def _with(address: str, ids: tuple[int, ...]) -> str:
    if not ids:
        return address
    joint = "" if address.endswith("?") else "&" if "?" in address else "?"
    return f"{address}{joint}{OPEN}={','.join(str(one) for one in ids)}"
