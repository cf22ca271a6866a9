"""History: how long the API takes to answer from a million runs, and how fast runs are pruned, on each database.

docs/performance.md says how to read the tables.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

if not __package__:  # run as a file, and not with -m
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import harness
from benchmarks.databases import PLACES, Database, Unavailable

CRONZIMUS = harness.Contender("cronzimus", "cronzimus_history", harness.BOTH)


def main() -> None:
    """Measure, and print the tables."""
    options = _options()
    pages: dict[str, dict[str, Any]] = {}
    pruned: dict[str, Any] = {}
    for kind in dict.fromkeys(options.databases):
        try:
            with PLACES[kind]() as database:
                harness.call(CRONZIMUS, database, "prepare", jobs=options.jobs, runs=options.runs)
                pages[kind] = {page["question"]: page for page in _told(database, "pages")}
                (pruned[kind],) = _told(database, "prune", seconds=options.seconds)
        except Unavailable as reason:
            print(f"{kind}: skipped, {reason}", file=sys.stderr)
    print("\n".join([*_pages(pages), "", *_pruned(pruned)]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--jobs", type=int, default=1000, metavar="N", help="at least 1000")
    parser.add_argument("--seconds", type=int, default=10, metavar="N", help="how long is pruned")
    parser.add_argument("--databases", nargs="+", choices=harness.BOTH, default=harness.BOTH, metavar="KIND")
    options = parser.parse_args()
    if options.jobs < 1000 or options.runs < 10 * options.jobs or options.seconds < 1:
        parser.error("--jobs is at least 1000, --runs ten times as many, and --seconds at least 1")
    return options


def _told(database: Database, action: str, **arguments: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in harness.call(CRONZIMUS, database, action, **arguments).splitlines()]


def _pages(pages: dict[str, dict[str, Any]]) -> list[str]:
    kinds = list(pages)
    lines = [
        f"| question | statements | {' | '.join(f'{kind}, ms' for kind in kinds)} |",
        f"|---|---:|{'---:|' * len(kinds)}",
    ]
    for question in pages[kinds[0]] if kinds else ():
        figures = " | ".join(f"{pages[kind][question]['milliseconds']:.1f}" for kind in kinds)
        lines.append(f"| {question} | {pages[kinds[0]][question]['statements']} | {figures} |")
    return lines


def _pruned(pruned: dict[str, Any]) -> list[str]:
    lines = [
        "| pruning | runs/s | a step, ms (longest) | 90 % of others' writes, ms | the same without pruning |",
        "|---|---:|---:|---:|---:|",
    ]
    for kind, told in pruned.items():
        lines.append(
            f"| {kind} | {told['runs_per_second']:,.0f} | {told['step']:.0f} ({told['longest_step']:.0f}) "
            f"| {told['write_meanwhile']:.1f} | {told['write']:.1f} |"
        )
    return lines


if __name__ == "__main__":
    harness.command(main)
