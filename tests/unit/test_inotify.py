"""A wait for writes to a file ends with the next write."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from jobs.scheduler.inotify import FileWatch, watch_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "log"
    file.write_text("")
    return file


@pytest.fixture
def watch(path: Path) -> Iterator[FileWatch]:
    with watch_file(str(path)) as found:
        if found is None:
            pytest.skip("this system does not tell of writes")
        yield found


def test_without_a_write_the_wait_times_out(watch: FileWatch) -> None:
    assert watch.wait(0) is False


def test_a_write_is_noticed_until_it_is_cleared(watch: FileWatch, path: Path) -> None:
    path.write_text("x")
    assert watch.wait(60) is True
    assert watch.wait(0) is True
    watch.clear()
    assert watch.wait(0) is False


def test_clearing_without_a_write_does_nothing(watch: FileWatch) -> None:
    watch.clear()
    assert watch.wait(0) is False


def test_a_write_to_another_file_is_not_noticed(watch: FileWatch, path: Path) -> None:
    path.with_name("other").write_text("x")
    assert watch.wait(0) is False


def test_a_missing_file_cannot_be_watched(tmp_path: Path) -> None:
    with watch_file(str(tmp_path / "missing")) as found:
        assert found is None


def test_without_inotify_no_file_can_be_watched(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *args, **kwargs: SimpleNamespace())
    with watch_file(str(path)) as found:
        assert found is None
