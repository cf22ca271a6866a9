"""An importer's report: for each entry its job, and notes on the differences."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

LONGEST_ID = 64


@dataclass(slots=True, kw_only=True)
class Entry:
    """One entry of another scheduler's configuration.

    `source` is its place, for example "line 4". `job` is the body of its job, flat as in the contract, or None;
    `problem` then has the reason. `notes` name values that were changed or left out. `is_invalid` means that the entry
    is wrong, and not only without a counterpart.
    """

    source: str
    text: str = ""
    job: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    problem: str = ""
    is_invalid: bool = False

    @property
    def outcome(self) -> str:
        """Return its outcome: "mapped", "left out", "invalid" or "noted" (a line that is not a job)."""
        if self.job is not None:
            return "mapped"
        if self.is_invalid:
            return "invalid"
        return "left out" if self.problem else "noted"

    def refuse(self, problem: str) -> None:
        """Mark the entry as wrong; it gets no job."""
        self.job, self.problem, self.is_invalid = None, problem, True


@dataclass(slots=True, kw_only=True)
class Import:
    """The entries of a whole configuration, and its alert rules. `notes` concern the configuration as a whole."""

    entries: list[Entry] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """The jobs, in the order of their entries."""
        return [entry.job for entry in self.entries if entry.job is not None]

    def functions(self) -> list[str]:
        """Return the functions that the jobs name, sorted, without the built-in ones."""
        named = {str(job["func"]) for job in self.jobs}
        return sorted(name for name in named if not name.startswith("cronzimus."))


class LeftOut(Exception):
    """An entry has no counterpart; the message has the reason."""


def read_entry(source: str, text: str, read: Callable[[Entry], dict[str, Any]]) -> Entry:
    """Return an entry with the job that `read` makes of it.

    `read` adds its notes to the entry. It raises `LeftOut` if there is no counterpart, and any other exception if the
    entry is wrong: other programs may have written anything.
    """
    entry = Entry(source=source, text=text)
    try:
        entry.job = read(entry)
    except LeftOut as reason:
        entry.problem = str(reason)
    except ValueError as error:
        entry.refuse(str(error))
    except Exception as error:
        entry.refuse(f"cannot be read: {type(error).__name__}: {error}")
    return entry


class Ids:
    """Makes a valid, unique id of each name."""

    def __init__(self) -> None:
        """Start without ids."""
        self._taken: set[str] = set()

    def of(self, name: str) -> str:
        """Return an id made of `name`: other characters become hyphens, and a number makes it unique."""
        slug = re.sub(r"[^A-Za-z0-9_.:-]+", "-", name).strip("-_.:")[:LONGEST_ID] or "job"
        chosen, number = slug, 2
        while chosen in self._taken:
            suffix = f"-{number}"
            chosen, number = slug[: LONGEST_ID - len(suffix)] + suffix, number + 1
        self._taken.add(chosen)
        return chosen


def without_empty(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return `job` without empty fields: None, "", [] and {}."""
    return {name: value for name, value in job.items() if value is not None and value not in ("", [], {})}


def summary(entries: Iterable[Entry]) -> str:
    """Return one line with the numbers of entries that became jobs, and of others."""
    outcomes = [entry.outcome for entry in entries]
    invalid = f", {outcomes.count('invalid')} invalid" if "invalid" in outcomes else ""
    return f"{outcomes.count('mapped')} mapped, {outcomes.count('left out')} left out{invalid}"
