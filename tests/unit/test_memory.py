"""The memory of this process, where the system tells it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.scheduler import memory


def test_it_is_the_resident_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statm = tmp_path / "statm"
    statm.write_text("90000 2500 1200 1 0 7000 0\n")
    monkeypatch.setattr(memory, "STATM", statm)
    assert memory.resident_memory() == 2500 * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("text", [None, "", "one two"])
def test_it_is_none_where_the_system_does_not_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    if text is not None:
        (tmp_path / "statm").write_text(text)
    monkeypatch.setattr(memory, "STATM", tmp_path / "statm")
    assert memory.resident_memory() is None
