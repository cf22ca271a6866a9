"""`manage.py cronzimus`: jobs and runs on the command line, and jobs as files."""

from __future__ import annotations

import sys
from typing import Any, TextIO, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from ...core.audit import Door, Origin, acting
from ...core.exceptions import CronzimusError
from ..cli import doctor, files, jobs, runs
from ..cli.base import actor
from ..cli.output import Output

SUBCOMMANDS = {one.name: one for module in (jobs, runs, files, doctor) for one in module.SUBCOMMANDS}

FILES = frozenset(one.name for one in files.SUBCOMMANDS)
"""The subcommands that make jobs as a file has them."""


class Command(BaseCommand):
    """The subcommands, each with its own options; `--json` prints every answer as JSON."""

    help = "List, run, pause and move jobs. Exit status: 0 as asked, 1 for an error, 2 where `diff` finds differences."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the subcommands and their options."""
        parsers = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")
        for name, subcommand in SUBCOMMANDS.items():
            own = parsers.add_parser(name, help=subcommand.help, description=subcommand.help)
            own.add_argument("--json", action="store_true", help="print JSON")
            subcommand.arguments(own)

    def handle(self, *args: Any, subcommand: str, **options: Any) -> None:
        """Run the subcommand, and exit with its status. Raises `CommandError` if it fails."""
        out = Output(cast(TextIO, self.stdout), cast(TextIO, self.stderr), as_json=options["json"])
        try:
            with acting(Origin(actor=actor(), door=Door.FILE if subcommand in FILES else Door.COMMAND)):
                status = SUBCOMMANDS[subcommand].run(options, out)
        except CronzimusError as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(f"the database cannot be used ({' '.join(str(error).split())})") from error
        if status:
            sys.exit(status)
