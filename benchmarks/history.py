"""History: what people and programs ask of a million runs, and how fast runs are pruned, on each database.

docs/performance.md says how to read the tables.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if not __package__:  # run as a file, and not with -m
    sys.path.insert(0, str(ROOT))

from benchmarks.databases import KINDS, Unavailable  # noqa: E402


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--jobs", type=int, default=1000, metavar="N", help="at least 1000")
    parser.add_argument("--seconds", type=int, default=10, metavar="N", help="how long is pruned")
    parser.add_argument("--databases", nargs="+", choices=sorted(KINDS), default=["sqlite", "postgresql"])
    options = parser.parse_args()
    if options.jobs < 1000 or options.runs < 10 * options.jobs or options.seconds < 1:
        parser.error("--jobs is at least 1000, --runs ten times as many, and --seconds at least 1")
    pages: dict[str, dict[str, Any]] = {}
    pruned: dict[str, Any] = {}
    for kind in dict.fromkeys(options.databases):
        try:
            with KINDS[kind]() as database:
                _call(database.url, "prepare", options.jobs, options.runs)
                pages[kind] = {page["question"]: page for page in _call(database.url, "pages")}
                (pruned[kind],) = _call(database.url, "prune", options.seconds)
        except Unavailable as reason:
            print(f"{kind}: skipped, {reason}", file=sys.stderr)
    print("\n".join([*_pages(pages), "", *_pruned(pruned)]))


def _call(url: str, action: str, *numbers: int) -> list[dict[str, Any]]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")}
    environment = kept | {"DATABASE_URL": url, "LOG_LEVEL": "CRITICAL", "SECRET_KEY": "benchmark", "TIME_ZONE": "UTC"}
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.history_cronzimus", action, *map(str, numbers)]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


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
    main()
