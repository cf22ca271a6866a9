"""Environments with the built wheel: one for each Django that it is for, with a Python that this Django takes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Wanted:
    """A Django to try, by its requirement, and the oldest Python that it takes."""

    django: str
    python: tuple[int, int]


DJANGOS = (Wanted("Django>=5.2,<5.3", (3, 11)), Wanted("Django>=6.0,<7", (3, 12)))
"""The Django of the product, and the newest one."""


def build_wheel(folder: Path) -> Path:
    """Build the wheel into `folder`, and return its path."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", f"--outdir={folder}", str(ROOT)]
    _run(command)
    (wheel,) = folder.glob("cronzimus-*.whl")
    return wheel


def make_environment(folder: Path, wanted: Wanted, wheel: Path) -> Path | None:
    """Make a virtual environment in `folder` with `wheel` and the Django `wanted`, and return its Python.

    None if no Python of this machine is new enough.
    """
    interpreter = _interpreter(wanted.python)
    if interpreter is None:
        return None
    requirements = [f"cronzimus[postgresql,celery] @ {wheel.as_uri()}", wanted.django]
    uv = Path(sys.executable).with_name("uv")
    if uv.exists():
        _run([str(uv), "venv", "-q", "--python", str(interpreter), str(folder)])
        _run([str(uv), "pip", "install", "-q", "--python", str(folder / "bin" / "python"), *requirements])
    else:
        _run([str(interpreter), "-m", "venv", str(folder)])
        _run([str(folder / "bin" / "python"), "-m", "pip", "install", "-q", *requirements])
    return folder / "bin" / "python"


def _interpreter(oldest: tuple[int, int]) -> Path | None:
    if sys.version_info[:2] >= oldest:
        return Path(sys.executable)
    return next((path for path in _interpreters() if _version(path) >= oldest), None)


def _interpreters() -> Iterator[Path]:
    """Yield the Pythons of this machine: those on PATH, and those of pyenv and uv, which need not be on it."""
    for minor in (14, 13, 12):
        if found := shutil.which(f"python3.{minor}"):
            yield Path(found)
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(root.glob("versions/3.*/bin/python"))
    yield from sorted(Path.home().glob(".local/share/uv/python/cpython-3.*/bin/python"))


def _version(python: Path) -> tuple[int, int]:
    # The version is asked, not taken from the name: pyenv's program on PATH may be a mere shim.
    result = subprocess.run([str(python), "--version"], capture_output=True, text=True, check=False)
    found = re.match(r"Python (\d+)\.(\d+)", result.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _run(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
