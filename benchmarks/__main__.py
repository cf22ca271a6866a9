"""All benchmarks, one after the other; each prints a table in Markdown. `--quick`: one round of each."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ONE_ROUND = ("--repeat", "1")
IDLE = ("--jobs", "1000", "100000", "--contenders", "cronzimus")
SCRIPTS = {
    "burst": ((), ONE_ROUND),
    "steady": ((), ONE_ROUND),
    "pickup": ((), ONE_ROUND),
    "spread": ((), ONE_ROUND),
    "idle": ((*IDLE, "--seconds", "15"), (*IDLE, "--seconds", "5")),
    "remote": ((), ("--seconds", "8", "--burst", "2000")),
    "api": ((), ONE_ROUND),
    "metrics": ((), ONE_ROUND),
    "history": ((), ("--runs", "100000")),
    "admin": ((), ("--runs", "100000", *ONE_ROUND)),
    "scale": ((), ("--jobs", "20000", "--runs", "100000", "--seconds", "5", *ONE_ROUND)),
}
"""The scripts in their order, each with its usual arguments, and with those of `--quick`."""
DEFAULT = [name for name in SCRIPTS if name not in ("history", "admin", "scale")]
"""All scripts except those that write a million runs first, or more."""


def main() -> None:
    """Run the named scripts; the exit status is 1 if one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").partition(";")[0])
    parser.add_argument("scripts", nargs="*", choices=[*SCRIPTS, DEFAULT], default=DEFAULT, metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="one round of each, or less")
    options = parser.parse_args()
    sys.exit(max([_run(name, options.quick) for name in options.scripts]))


def _run(name: str, quick: bool) -> int:
    print(f"\n## {name}\n", flush=True)
    started_at = time.monotonic()
    script, options = ROOT / "benchmarks" / f"{name}.py", SCRIPTS[name][quick]
    done = subprocess.run([sys.executable, script, *options], cwd=ROOT, check=False)
    print(f"\n{name}: {time.monotonic() - started_at:.0f} s", file=sys.stderr)
    return int(done.returncode != 0)


if __name__ == "__main__":
    main()
