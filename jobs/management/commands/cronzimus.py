"""`manage.py cronzimus`: jobs and runs on the command line, and jobs as files."""

from __future__ import annotations

import sys
from typing import Any, TextIO, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from ...core.audit import Door, Origin, acting
from ...core.exceptions import CronzimusError, JobNotFound
from ...db.errors import one_line
from ..cli import doctor, files, jobs, runs
from ..cli.base import actor, end_of_stream, nearest, quiet_log
from ..cli.output import Output
from ..startup import require_tables

SUBCOMMANDS = {one.name: one for module in (jobs, runs, files, doctor) for one in module.SUBCOMMANDS}

FILES = frozenset(one.name for one in files.SUBCOMMANDS)
"""The subcommands that handle files of jobs."""

INTERRUPTED = 130
"""Exit status after Ctrl-C, as in shells."""


class Command(BaseCommand):
    """The subcommands, each with its own options; `--json` prints every answer as JSON."""

    help = "List, run, pause and move jobs. Exit status: 0 for success, 1 for an error, 2 if `diff` finds differences."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the subcommands and their options."""
        parsers = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")
        for name, subcommand in SUBCOMMANDS.items():
            own = parsers.add_parser(name, help=subcommand.help, description=subcommand.help)
            own.add_argument("--json", action="store_true", help="print JSON")
            subcommand.arguments(own)

    def run_from_argv(self, argv: list[str]) -> None:
        """Run the command line. A usage error exits with 1, not with argparse's 2, which means "differs"."""
        self._is_read = False
        try:
            super().run_from_argv(argv)
        except SystemExit as end:
            if end.code and not self._is_read:
                sys.exit(1)
            raise

    def handle(self, *args: Any, subcommand: str, **options: Any) -> None:
        """Run the subcommand, and exit with its status. Raises `CommandError` if it fails."""
        self._is_read = True
        if sys.stdout is None:
            raise CommandError("the standard output is closed")
        out = Output(
            cast(TextIO, self.stdout), cast(TextIO, self.stderr), as_json=options["json"], colour=_colour(options)
        )
        try:
            with acting(Origin(actor=actor(), door=Door.FILE if subcommand in FILES else Door.COMMAND)), quiet_log():
                status = SUBCOMMANDS[subcommand].run(options, out)
            out.flush()
        except JobNotFound as error:
            raise CommandError(f"{error}{nearest(options.get('id') or options.get('job') or '')}") from error
        except CronzimusError as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            require_tables()  # says that migrations are missing
            raise CommandError(f"the database cannot be used ({one_line(error)})") from error
        except OSError as error:
            end_of_stream(error)
        except KeyboardInterrupt as error:
            raise CommandError("interrupted", returncode=INTERRUPTED) from error
        if status:
            sys.exit(status)


def _colour(options: dict[str, Any]) -> bool | None:
    if options.get("no_color"):
        return False
    return True if options.get("force_color") else None
