"""The results of a benchmark, as Markdown tables and as JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import quantiles
from typing import Any

from benchmarks.databases import Unavailable
from benchmarks.harness import Failed


class Results:
    """The samples of a benchmark, and the skipped measurements, each with the reason."""

    def __init__(self) -> None:
        """Begin without a sample."""
        self.samples: list[Any] = []
        self._skipped: list[list[str]] = []

    def measure(self, name: str, kind: str, take: Callable[[], Any]) -> Any | None:
        """Keep and return the sample that `take` returns; if it raises, keep the reason and return None."""
        try:
            self.samples.append(take())
        except (Unavailable, Failed) as reason:
            self._skipped.append([name, kind, f"skipped: {reason}"])
            return None
        return self.samples[-1]

    def show(self, columns: Sequence[str], rows: Sequence[Sequence[str]], options: argparse.Namespace) -> None:
        """Print the table of `rows`, and write every sample to the file of `--json`."""
        print(report(columns, rows, self._skipped))
        if options.json:
            Path(options.json).write_text(json.dumps([asdict(sample) for sample in self.samples], indent=1) + "\n")


def grouped(samples: Sequence[Any]) -> list[list[Any]]:
    """Return samples by contender and database, those of each in one list."""
    groups: dict[tuple[str, str], list[Any]] = {}
    for sample in samples:
        groups.setdefault((sample.contender, sample.database), []).append(sample)
    return list(groups.values())


def report(columns: Sequence[str], rows: Sequence[Sequence[str]], skipped: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table of the measured rows, and the skipped ones, each with the reason once."""
    empty = [""] * (len(columns) - 3)
    reasons = dict.fromkeys((name, kind, reason.partition("\n")[0]) for name, kind, reason in skipped)
    details = dict.fromkeys(reason for *_, reason in skipped if "\n" in reason)
    return "\n".join([table(columns, [*rows, *([*reason, *empty] for reason in reasons)]), *details])


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: int = 2) -> str:
    """Return a Markdown table; the first `left` columns are text, the others numbers."""
    rule = ["---" if index < left else "---:" for index in range(len(columns))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [columns, rule, *rows])


def percentile(values: Sequence[float], hundredths: int) -> float:
    """Return a percentile of at least two values."""
    return quantiles(values, n=100, method="inclusive")[hundredths - 1]


def ms(seconds: float) -> str:
    """Return seconds as milliseconds, with the significant digits only."""
    return f"{seconds * 1000:.1f}" if abs(seconds) < 0.1 else f"{seconds * 1000:,.0f}"
