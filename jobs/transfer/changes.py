"""The effect of applying a file on a job or an alert rule."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["create", "change", "unchanged", "pause", "invalid"]


@dataclass(slots=True, kw_only=True)
class Change:
    """The effect of applying a file on one job or alert rule.

    `id` is the job's id, or the rule's name. `fields` has the values before and after, by name. `notes` are for the
    author of the file, about effects that may surprise.
    """

    kind: Kind
    id: str
    what: Literal["job", "alert rule"] = "job"
    fields: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its name in messages."""
        return self.id if self.what == "job" else f"{self.what} {self.id!r}"
