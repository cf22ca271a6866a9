"""`manage.py cronzimus doctor`: check everything that jobs need to run."""

from __future__ import annotations

from typing import Any

from ...selectors.doctor import broken_jobs, findings
from .base import Subcommand, now
from .output import Output


def _doctor(options: dict[str, Any], out: Output) -> int:
    at = now()
    found = list(findings(at))
    if not any(finding.check in ("database", "migrations") and finding.result == "error" for finding in found):
        found += broken_jobs(at)
    rows = [finding._asdict() for finding in found]
    out.table(("result", "check", "finding"), rows, empty="", wrap="finding")
    return 1 if any(finding.result == "error" for finding in found) else 0


SUBCOMMANDS = (Subcommand("doctor", "check all that jobs need to run; exit with 1 if there is an error", _doctor),)
