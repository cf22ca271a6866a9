"""What applying a file does to a job or an alert rule."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["create", "change", "unchanged", "pause", "invalid"]


@dataclass(slots=True, kw_only=True)
class Change:
    """What applying a file does to one job or alert rule.

    `id` is the job's, or the rule's name. `fields` has, by name, the value before and the value after. `notes` say what
    the author of the file may not expect.
    """

    kind: Kind
    id: str
    what: Literal["job", "alert rule"] = "job"
    fields: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What messages call it."""
        return self.id if self.what == "job" else f"{self.what} {self.id!r}"
