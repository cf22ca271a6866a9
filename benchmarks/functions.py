"""The functions of the benchmarks' jobs, the same for each contender."""

from __future__ import annotations

import atexit
import json
import logging
import os
import time
from pathlib import Path

_starts: list[tuple[str, float]] = []
_files: dict[str, int] = {}


def noop() -> None:
    """Do nothing."""


def ten_ms() -> None:
    """Wait for ten milliseconds."""
    time.sleep(0.01)


def fail() -> None:
    """Raise."""
    raise RuntimeError("as it was meant to")


def speak(lines: int = 100) -> None:
    """Print so many lines of 80 characters, and log one."""
    for number in range(lines):
        print(f"{number:06} {'.' * 73}")
    logging.getLogger(__name__).warning("%d lines printed", lines)


def hang() -> None:
    """Take longer than any timeout."""
    time.sleep(3600)


def stamp(tag: str) -> None:
    """Keep in memory when the job `tag` started; `write_starts` hands it over."""
    _starts.append((tag, time.time()))


def note(tag: str) -> None:
    """Write when the job `tag` started to a file of this process, which may end without a word."""
    written_down("starts", tag)


def written_down(kind: str, tag: object) -> None:
    """Add a line with `tag` and the time to this process's file of that `kind`, in the harness's directory."""
    if kind not in _files:
        path = Path(os.environ["BENCH_STARTS"], f"{kind}-{os.getpid()}")
        _files[kind] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(_files[kind], f"{tag} {time.time()!r}\n".encode())


def tell(tag: str) -> None:
    """Write to the harness's pipe when `tag` started."""
    os.write(int(os.environ["BENCH_PIPE"]), f"start {tag} {time.monotonic()!r}\n".encode())


def write_starts() -> None:
    """Write the records of `stamp` into a file of this process, in the directory that the harness named."""
    if _starts:
        Path(os.environ["BENCH_STARTS"], f"{os.getpid()}.json").write_text(json.dumps(_starts))
        _starts.clear()


if "BENCH_STARTS" in os.environ:
    atexit.register(write_starts)
