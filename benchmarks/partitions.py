"""The statements of docs/scale.md that partition the table of runs."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

FUNCTIONS = Path(__file__).resolve().parents[1] / "deploy/postgresql/run_partitions.sql"


def partitioning(until: datetime) -> dict[str, str]:
    """Return the statements by what they do, each a transaction: the present table holds fire times before `until`."""
    before = f"cronzimus_run_before CHECK (scheduled_time < '{until.isoformat()}')"
    return {
        "make the functions": FUNCTIONS.read_text(),
        "promise the bound": f"ALTER TABLE cronzimus_run ADD CONSTRAINT {before} NOT VALID",
        "check the bound": "ALTER TABLE cronzimus_run VALIDATE CONSTRAINT cronzimus_run_before",
        "switch": f"SELECT cronzimus_partition_runs('{until.isoformat()}')",
    }


def extending(width: timedelta, ahead: timedelta) -> str:
    """Return the statement that adds partitions of `width` until `ahead` from now."""
    return f"CALL cronzimus_extend_run_partitions('{width.days} days', '{ahead.days} days')"


def dropping(before: datetime) -> str:
    """Return the statement that drops the partitions whose fire times all lie before an instant."""
    return f"CALL cronzimus_drop_run_partitions('{before.isoformat()}')"
