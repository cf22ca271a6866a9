"""All benchmarks, one after the other; each prints a table in Markdown. `--quick`: one round of each."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ORDER = ("burst", "steady", "pickup", "spread", "idle", "api")
SCRIPTS = [name for name in ORDER if (ROOT / "benchmarks" / f"{name}.py").exists()]


def main() -> None:
    """Run the scripts that are asked for; the exit status is 1 where one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").partition(";")[0])
    parser.add_argument("scripts", nargs="*", choices=[*SCRIPTS, SCRIPTS], default=SCRIPTS, metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="one round of each")
    options = parser.parse_args()
    sys.exit(max([_run(name, options.quick) for name in options.scripts]))


def _run(name: str, quick: bool) -> int:
    print(f"\n## {name}\n", flush=True)
    started_at = time.monotonic()
    script, rounds = ROOT / "benchmarks" / f"{name}.py", ["--repeat", "1"] if quick else []
    done = subprocess.run([sys.executable, script, *rounds], cwd=ROOT, check=False)
    print(f"\n{name}: {time.monotonic() - started_at:.0f} s", file=sys.stderr)
    return int(done.returncode != 0)


if __name__ == "__main__":
    main()
