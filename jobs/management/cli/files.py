"""Jobs as files on the command line: export, diff, apply, and the importers of other schedulers."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from ... import services
from ...models import Job
from ...transfer import files, importers, sync
from ...transfer.alert_rules import definitions_of_rules, stored_rules
from ...transfer.changes import Change
from ...transfer.export import definitions_of
from ...transfer.report import Entry, Import, summary
from .base import DIFFERENT, Subcommand, now
from .output import Output

LONGEST_VALUE = 60
"""Characters of a value that are shown."""
TO_DO = {
    "create": "to create", "change": "to change", "pause": "to pause", "unchanged": "unchanged", "invalid": "invalid",
}  # fmt: skip
"""The words for the kinds of changes before a file is applied."""
DONE = TO_DO | {"create": "created", "change": "changed", "pause": "paused"}
"""The words for them afterwards."""


def _export(options: dict[str, Any], out: Output) -> int:
    ids = options["id"]
    jobs = [services.get_job(job_id) for job_id in ids] or list(Job.objects.order_by("id"))
    rules = definitions_of_rules(stored_rules(ids or None))
    if out.as_json:
        out.json(files.content_of(definitions_of(jobs), rules))
    else:
        out.write(files.dump(definitions_of(jobs), rules))
    return 0


def _diff(options: dict[str, Any], out: Output) -> int:
    changes = _compare(files.read(options["file"]), options)
    _show(changes, out)
    return _status(changes)


def _apply(options: dict[str, Any], out: Output) -> int:
    if options["dry_run"]:
        return _diff(options, out)
    content = files.read(options["file"])
    changes = _compare(content, options)
    if any(change.problems for change in changes):
        _show(changes, out)
        raise CommandError("nothing was applied: mend what is invalid first")
    _show(sync.apply(content.jobs, now=now(), alerts=content.alerts, **_scope(options)), out, DONE)
    return 0


def _compare(content: files.Content, options: dict[str, Any]) -> list[Change]:
    return sync.compare(content.jobs, now=now(), alerts=content.alerts, **_scope(options))


def _scope(options: dict[str, Any]) -> dict[str, Any]:
    return {"source": Path(options["file"]).name, "pause_missing": options["pause_missing"]}


def _status(changes: Sequence[Change]) -> int:
    if any(change.problems for change in changes):
        return 1
    return DIFFERENT if any(change.kind != "unchanged" for change in changes) else 0


def _show(changes: Sequence[Change], out: Output, words: Mapping[str, str] = TO_DO) -> None:
    if out.as_json:
        out.json([_as_json(change) for change in changes])
        return
    for change in changes:
        if change.kind != "unchanged":
            out.line(f"{change.kind} {change.label}")
        for name, (before, after) in change.fields.items():
            shown = _short(after) if change.kind == "create" else f"{_short(before)} → {_short(after)}"
            out.line(f"    {name}: {shown}")
        for note in change.notes:
            out.line(f"    note: {note}")
        for name, message in change.problems.items():
            out.line(f"    {name}: {message}")
    kinds = [change.kind for change in changes]
    counts = ", ".join(f"{kinds.count(kind)} {word}" for kind, word in words.items() if kind in kinds)
    out.line(counts or "the file has no jobs")


def _as_json(change: Change) -> dict[str, Any]:
    fields = {name: {"before": before, "after": after} for name, (before, after) in change.fields.items()}
    return {"id": change.id, "what": change.what, "change": change.kind, "fields": fields, "notes": change.notes,
            "problems": change.problems}  # fmt: skip


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def _import(options: dict[str, Any], out: Output) -> int:
    try:
        imported = importers.read(options["kind"], options["file"], now=now(), system=options["system"])
    except ValueError as error:
        raise CommandError(str(error)) from error
    _report(imported, out)
    is_invalid = any(entry.is_invalid for entry in imported.entries)
    if options["apply"]:
        if is_invalid:
            raise CommandError("nothing was applied: mend what is invalid first")
        source = Path(options["file"]).name if options["file"] else options["kind"]
        changes = sync.apply(imported.jobs, now=now(), alerts=imported.alerts, source=source)
        if not out.as_json:
            _show(changes, out, DONE)
    elif not out.as_json:
        out.write(files.dump(imported.jobs, imported.alerts))
    return 1 if is_invalid else 0


def _report(imported: Import, out: Output) -> None:
    """Report on each entry, on standard error: standard output is the file."""
    entries = [*imported.entries]
    if imported.notes:
        entries.append(Entry(source="the whole of it", notes=imported.notes))
    if out.as_json:
        out.json(
            [
                {"source": entry.source, "text": entry.text, "outcome": entry.outcome, "job": entry.job,
                 "notes": entry.notes, "problem": entry.problem or None}
                for entry in entries
            ]
        )  # fmt: skip
        return
    for entry in entries:
        became = f" as {entry.job['id']}" if entry.job else ""
        out.note(f"{entry.source}: {entry.outcome}{became}{': ' + entry.problem if entry.problem else ''}")
        for note in entry.notes:
            out.note(f"    {note}")
    out.note(summary(imported.entries))
    if names := imported.functions():
        out.note(f"these functions must be registered, for example with JOB_FUNCTIONS={','.join(names)}")


def _exporter(options: dict[str, Any], out: Output) -> int:
    out.write(importers.exporter_source())
    return 0


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", nargs="*", help="the jobs' ids; without any, all jobs")


def _diff_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--file", required=True, help="a file with jobs; - is the standard input")
    parser.add_argument(
        "--pause-missing", action="store_true", help="pause the jobs that came from this file and are no longer in it"
    )


def _apply_arguments(parser: argparse.ArgumentParser) -> None:
    _diff_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="change nothing, and exit as diff does")


def _import_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=sorted(importers.KINDS), help="what to read")
    parser.add_argument(
        "file", nargs="?", help="the file; MODULE:NAME for beat-schedule and flask-apscheduler; "
        "nothing for celery-beat, whose tables are then read from this database"
    )  # fmt: skip
    parser.add_argument("--system", action="store_true", help="crontab: each line names a user, as /etc/crontab does")
    parser.add_argument("--apply", action="store_true", help="make the jobs; without it they are printed as a file")


SUBCOMMANDS = (
    Subcommand("export", "write jobs as a file, to standard output", _export, _export_arguments),
    Subcommand("diff", "show what applying a file would change; exit with 2 if anything", _diff, _diff_arguments),
    Subcommand("apply", "make the jobs as a file has them, all or nothing", _apply, _apply_arguments),
    Subcommand("import", "read jobs of another scheduler", _import, _import_arguments),
    Subcommand("exporter", "print the program that exports APScheduler's jobs where they are", _exporter),
)
