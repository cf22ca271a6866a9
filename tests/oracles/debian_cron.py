"""Debian's own cron(8) as the oracle of crontabs: the expressions that it accepts, and its fire times.

    apt-get install cron faketime
    python -m tests.oracles.debian_cron grammar --random 500     # seconds
    python -m tests.oracles.debian_cron times                    # some six minutes

It needs root on Debian. cron runs under faketime in a mount namespace of its own, with an empty /etc/cron.d and an
empty spool, so that nothing of the machine's own jobs runs. `tests/unit/test_debian_cron.py` has its findings.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from jobs.core.triggers import build_trigger
from jobs.core.triggers.crontab import parse_crontab

GRAMMAR = (
    *("* * * * *", "1-1/4 * * * *", "*/90 * * * *", "5/15 * * * *", "0 5/2 * * *", "007 05 * * *", "60 * * * *"),
    *("0 7 */100,1-7 * MON", "0 0 * * 7", "0 0 * * 8", "0 0 * * 0-7", "0 0 * * mon-fri/2", "0 0 * * mon-5"),
    *("0 0 1 jan-JUN *", "0 0 1 13 *", "0 0 0 * *", "0 0 32 * *", "0 24 * * *", "*/0 * * * *", "1,,2 * * * *"),
    *("? * * * *", "H * * * *", "0 0 * * mon/2", "0 0 * * monday", "0 0 1 january *", "0 0 * * sat-7", "1- * * * *"),
    *("-1 * * * *", "*/0000000020 * * * *", "0-59/60 * * * *", "0 0 30 2 *"),
    *("@daily", "@weekly", "@every 5m", "@noon", "0 0 1 * */2", "*/2,5 * * * *", "5,*/2 * * * *"),
)
"""Expressions on which both should agree whether they are valid.

Where we refuse and Debian does not: ranges that run backwards (empty there), and what trails a term (`1-2-3`, `0~30`,
`*5`), which Debian skips up to the next blank. Where we accept and Debian does not: L, LW, #, and @Daily.
"""


class Window(NamedTuple):
    """Some minutes from a local time on, in which cron's runs are compared with our fire times."""

    zone: str
    start: str
    minutes: int
    crontabs: Sequence[str]


WINDOWS = (
    Window("UTC", "2027-02-01 00:58:30", 4, ("0 1-1/4 * * *", "0 1 * * *", "*/90 * * * *", "0 */36 * * *")),
    Window("UTC", "2027-02-01 04:58:30", 4, ("0 1-1/4 * * *", "0 5-23/24 * * *", "*/90 * * * *", "0 1-23/4 * * *")),
    Window("UTC", "2027-02-01 06:58:30", 4, ("0 7 */100,1-7 * MON", "0 7 13 * MON", "0 7 */7 * MON", "0 7 * * */2")),
    Window("UTC", "2027-02-08 06:58:30", 4, ("0 7 */100,1-7 * MON", "0 7 13 * MON", "0 7 */7 * MON", "0 7 1,* * WED")),
    Window("UTC", "2027-02-13 06:58:30", 4, ("0 7 */100,1-7 * MON", "0 7 13 * MON", "0 7 * * */2", "0 7 * * 6-7")),
    Window("UTC", "2027-02-14 06:58:30", 4, ("0 7 * * 0", "0 7 * * 7", "0 7 * * 6-7", "0 7 * * */7", "0 7 * * 1-6")),
    Window(
        "Europe/Berlin", "2027-03-28 01:57:30", 8,
        ("30 2 * * *", "0,30 2 * * *", "*/30 2 * * *", "0 */2 * * *", "0 3 * * *", "* * * * *", "59 1 * * *",
         "30 * * * *", "1,* 2 * * *"),
    ),
    Window(
        "Europe/Berlin", "2027-10-31 01:57:30", 126,
        ("30 2 * * *", "0,30 2 * * *", "*/30 2 * * *", "0 */2 * * *", "0 3 * * *", "30 * * * *", "15 2,3 * * *"),
    ),
)  # fmt: skip
"""The windows: one-value ranges, long steps, day and weekday, and both changes of the clock."""

SPEED = 20
"""Fake seconds in a second. A run that starts later than three seconds after its minute would be taken for the next."""


# --- grammar ---------------------------------------------------------------------------------------------------------


def compare_grammar(number: int, seed: int) -> int:
    """Compare what both accept, for the fixed expressions and `number` random ones. Return how often they differ."""
    rng = random.Random(seed)
    differ = 0
    for text in (*GRAMMAR, *(random_crontab(rng) for _ in range(number))):
        theirs, ours = debian_accepts(text), we_accept(text)
        if theirs != ours:
            differ += 1
            print(f"{text!r}: Debian {'accepts' if theirs else 'refuses'} it, and we do not")
    return differ


def debian_accepts(text: str) -> bool:
    """Ask `crontab -n`, which reads a crontab and installs nothing."""
    with tempfile.NamedTemporaryFile("w", suffix=".crontab") as file:
        file.write(f"{text} /bin/true\n")
        file.flush()
        return subprocess.run(["crontab", "-n", file.name], capture_output=True, check=False).returncode == 0


def we_accept(text: str) -> bool:
    """Tell whether `text` is a crontab for us."""
    try:
        parse_crontab(text)
    except ValueError:
        return False
    return True


def random_crontab(rng: random.Random) -> str:
    """Return five fields, many of them valid, with ranges that run forwards."""
    bounds = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
    return " ".join(",".join(_random_term(rng, *bound) for _ in range(rng.choice([1, 1, 2]))) for bound in bounds)


def _random_term(rng: random.Random, low: int, high: int) -> str:
    first = rng.randint(max(low - 1, 0), high + 1)
    last = rng.randint(first, high + 1)
    step = rng.choice(["", "", f"/{rng.choice([0, 1, 2, 5, 7, 30, 90, 100])}"])
    return rng.choice(["*", "*", f"{first:02}", f"{first}-{last}"]) + step


# --- times -----------------------------------------------------------------------------------------------------------


def compare_times(windows: Sequence[Window]) -> int:
    """Run cron in each window, and compare. Return how many crontabs differ."""
    differ = 0
    for window in windows:
        for crontab, theirs in runs_of_debian(window).items():
            ours = our_fire_times(window, crontab)
            same = merged(theirs) == merged(ours)
            differ += not same
            print(
                f"{window.zone} {window.start} {crontab:22} {theirs}" + ("" if same else f"   we: {ours}"), flush=True
            )
    return differ


def merged(times: Sequence[str]) -> list[str]:
    """Return times with neighbours that are equal as one: what a gap skips runs once here, and one by one on Debian."""
    return [time for time, _ in groupby(times)]


def our_fire_times(window: Window, crontab: str) -> list[str]:
    """Return our fire times in the window, as local clock times."""
    zone, start = ZoneInfo(window.zone), started_at(window)
    trigger = build_trigger(
        {"type": "cron", "crontab": crontab, "timezone": window.zone}, anchor=start, default_timezone="UTC"
    )
    times = trigger.fire_times(start, window.minutes + 1)
    return [f"{at.astimezone(zone):%H:%M}" for at in times if at < start + timedelta(minutes=window.minutes)]


def runs_of_debian(window: Window) -> dict[str, list[str]]:
    """Return, by crontab, the local clock times at which cron ran it in the window."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        lines = [
            f"{crontab} root echo {number} $(date +\\%s.\\%N) >> {log}\n"
            for number, crontab in enumerate(window.crontabs)
        ]
        Path("/etc/cron.d/oracle").write_text("".join(lines))
        began = time.time()
        command = ["faketime", "-f", f"@{window.start} x{SPEED}", "cron", "-f"]
        cron = subprocess.Popen(command, env={**os.environ, "TZ": window.zone}, start_new_session=True)
        time.sleep(window.minutes * 60 / SPEED)
        os.killpg(cron.pid, signal.SIGTERM)
        cron.wait()
        time.sleep(0.5)  # for its last children
        return _read(log, window, began)


def _read(log: Path, window: Window, began: float) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {crontab: [] for crontab in window.crontabs}
    zone, start = ZoneInfo(window.zone), started_at(window)
    for line in sorted(log.read_text().splitlines() if log.exists() else (), key=lambda line: line.split()[1]):
        number, at = line.split()
        passed = timedelta(seconds=(float(at) - began) * SPEED)  # the shell of a job sees the real clock
        found[window.crontabs[int(number)]].append(f"{(start + passed).astimezone(zone):%H:%M}")
    return found


def started_at(window: Window) -> datetime:
    """Return the window's start as an instant."""
    return datetime.fromisoformat(window.start).replace(tzinfo=ZoneInfo(window.zone)).astimezone(UTC)


# --- a machine of its own --------------------------------------------------------------------------------------------


def in_namespace(arguments: Sequence[str]) -> int:
    """Run this program again in a namespace in which cron sees no job of the machine."""
    command = ["unshare", "--mount", sys.executable, "-m", "tests.oracles.debian_cron", "--inside", *arguments]
    return subprocess.run(command, check=False).returncode


def isolate() -> None:
    """Hide the machine's crontabs, cron's pid file, and the limits of PAM that a container lacks."""
    for folder in ("/etc/cron.d", "/var/spool/cron", "/run"):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    Path("/var/spool/cron/crontabs").mkdir()
    for name, text in _hidden():
        path = Path("/run") / name.replace("/", "-")
        path.write_text(text)
        subprocess.run(["mount", "--bind", str(path), name], check=True)


def _hidden() -> Iterator[tuple[str, str]]:
    yield "/etc/crontab", "# empty\n"
    rules = (f"{kind} required pam_permit.so\n" for kind in ("auth", "account", "session"))
    yield "/etc/pam.d/cron", "".join(rules)


def main() -> int:
    """Run the command; return the number of differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["grammar", "times"])
    parser.add_argument("--random", type=int, default=200, help="random expressions for the grammar (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--window", type=int, help="only this window, from 0")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.what == "grammar":
        return compare_grammar(given.random, given.seed)
    if not given.inside:
        return in_namespace(sys.argv[1:])
    isolate()
    return compare_times(WINDOWS if given.window is None else [WINDOWS[given.window]])


if __name__ == "__main__":
    sys.exit(min(main(), 100))
