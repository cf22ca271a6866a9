"""A worker's options for its log, as Celery has them."""

from __future__ import annotations

from pathlib import Path

from .test_worker_launch import start_in_vain


def test_a_worker_with_a_log_file_says_there_why_it_does_not_start(tmp_path: Path) -> None:
    start_in_vain(tmp_path, "-f", str(tmp_path / "%n.log"), "-n", "first@%h", "-l", "ERROR")
    (line,) = (tmp_path / "first.log").read_text().splitlines()
    assert "CRITICAL cronzimus.worker: CELERY_BROKER_URL is not set" in line
