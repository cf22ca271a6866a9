"""Import a crontab file, of a user (crontab(5)) or of the system (/etc/crontab, /etc/cron.d)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ..core.secrets import looks_secret
from ..core.triggers.crontab import parse_crontab
from ..core.triggers.pattern import NICKNAMES
from .mail_rules import is_address, mail_rule
from .report import Entry, Ids, Import, without_empty

_ASSIGNMENT = re.compile(r"""\s*(?P<quote>["']?)(?P<name>[A-Za-z_]\w*)(?P=quote)\s*=\s*(?P<value>.*?)\s*""")
_SCHEDULE = re.compile(r"\s*(?P<when>@\w+|(?:\S+\s+){4}\S+)\s+(?P<rest>\S.*)")
_COMMAND = re.compile(r"(?P<line>(?:\\.|[^%\\]|\\$)*)(?:%(?P<input>.*))?")
WRAPPERS = ("sudo", "nice", "ionice", "env", "exec", "time", "test", "nohup")
"""Commands that start another one, which names the job."""
USERS = ("root", "www-data", "nobody", "daemon", "postgres")
"""Users that lines of system crontabs often name, and that are no commands."""
ELSEWHERE = (
    "cron starts a command in the home folder of its user, with PATH=/usr/bin:/bin: here it starts in the scheduler's "
    "folder and environment, unless the job's cwd and env say otherwise"
)


@dataclass(slots=True)
class _Reader:
    """The state of a crontab from one line to the next: assignments apply to the lines that follow."""

    system: bool
    ids: Ids = field(default_factory=Ids)
    environment: dict[str, str] = field(default_factory=dict)
    zone: str = ""
    shell: str = ""
    rule: dict[str, Any] | None = None
    """The alert rule that mails failures to the address of MAILTO."""

    def read(self, number: int, line: str) -> Entry | None:
        """Return the entry of a line; None for a blank line or a comment."""
        if not line.strip() or line.lstrip().startswith("#"):
            return None
        entry = Entry(source=f"line {number}", text=line.strip())
        assignment = _ASSIGNMENT.fullmatch(line)
        if assignment:
            entry.notes.append(self._assign(assignment["name"], _unquoted(assignment["value"])))
        else:
            self._schedule(line, entry)
        return entry

    def _assign(self, name: str, value: str) -> str:
        """Take an assignment, and return a note on it for the report."""
        if name == "MAILTO":
            return self._mail_to(value)
        if name == "MAILFROM":
            return "alerts have the sender of DEFAULT_FROM_EMAIL"
        if name == "CRON_TZ":
            self.zone = value
            return f"the jobs below have the time zone {value}"
        if name == "SHELL":
            self.shell = value
            return f"the commands below run in {value}"
        self.environment[name] = value
        if name == "TZ":
            return "TZ is in the environment of the commands below: as in cron, it does not change when they start"
        if name == "HOME":
            return "HOME is in the environment of the commands below, and the folder in which they start"
        if looks_secret(name):
            return (
                f"{name} is in the environment of the commands below, and looks secret: put "
                f'{{"$secret": "{name}"}} in place of its value before the file goes anywhere'
            )
        return f"{name} is in the environment of the commands below"

    def _mail_to(self, value: str) -> str:
        addresses = [one for one in value.replace(",", " ").split() if one]
        self.rule = None
        if not addresses:
            return "cron mailed nothing: what the commands below print is kept with their runs"
        others = ", ".join(one for one in addresses if not is_address(one))
        addresses = [one for one in addresses if is_address(one)]
        if not addresses:
            return (
                f"cron mailed all output to {others}, which is not an e-mail address: make an alert rule for the "
                "commands below"
            )
        self.rule = mail_rule(addresses)
        left = f". {others} is not an e-mail address: add another one to the rule" if others else ""
        return (
            f"the alert rule {self.rule['name']!r} mails failures of the commands below; what they print is kept with "
            f"their runs (cron mailed all of it){left}"
        )

    def _schedule(self, line: str, entry: Entry) -> None:
        if line.lstrip().startswith("-"):  # as in cronie's crontab(5)
            line = line.lstrip()[1:]
            entry.notes.append("the leading '-' kept the command out of the system's log: it has no meaning here")
        found = _SCHEDULE.fullmatch(line)
        if found is None:
            entry.refuse("is not a crontab line: five fields and a command are expected")
            return
        when, command = found["when"], found["rest"]
        if when.lower() == "@reboot":
            entry.problem = "@reboot has no fire time: let the service manager start it, for example a systemd unit"
            return
        if when.startswith("@") and when.lower() not in NICKNAMES:
            entry.refuse(f"{when} is not a schedule of crontab(5)")
            return
        if self.system:
            user, command = [*command.split(maxsplit=1), ""][:2]
            if not command:
                entry.refuse("has no command: a line of a system crontab has a user before it")
                return
            entry.notes.append(f"ran as {user}: it runs as the scheduler's user now")
        elif (first := command.split(maxsplit=1)[0]) in USERS and command.strip() != first:
            entry.notes.append(f"begins with {first!r}: if that is a user, read the file with --system")
        entry.job = self._job(NICKNAMES.get(when.lower(), " ".join(when.split())), command.strip(), entry)

    def _job(self, crontab: str, command: str, entry: Entry) -> dict[str, Any]:
        line, stdin = _split_input(command)
        if stdin is not None:
            entry.notes.append("the text after the first % is the command's standard input")
        home = self.environment.get("HOME", "")
        kwargs = without_empty(
            {
                "env": dict(self.environment), "cwd": home if home.startswith("/") else None, "stdin": stdin,
                "shell": self.shell,
            }
        )  # fmt: skip
        return without_empty(
            {
                "id": self.ids.of(_name_of(line)),
                "name": " ".join(line.split())[:200],
                "tags": [self.rule["tag"]] if self.rule else [],
                "func": "cronzimus.functions:shell",
                "args": [line],
                "kwargs": kwargs,
                "trigger": {"type": "cron", "crontab": crontab, **without_empty({"timezone": self.zone})},
                # cron starts a command whether or not the one before has ended.
                "max_instances": 10,
                "misfire_grace_time": 60,
            }
        )


def read_crontab(text: str, *, system: bool = False) -> Import:
    """Return the import of a crontab.

    Args:
        text: the whole file.
        system: whether each line names a user before its command, as in /etc/crontab.
    """
    reader, entries = _Reader(system), []
    rules: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(re.split(r"\r?\n", text), start=1):
        entry = reader.read(number, line)
        if entry is None:
            continue
        entries.append(entry)
        if entry.job is not None and reader.rule is not None:
            rules[reader.rule["name"]] = reader.rule
    imported = Import(entries=entries, alerts=list(rules.values()))
    number, at = _most_at_once(job["trigger"]["crontab"] for job in imported.jobs)
    if number > 1:
        imported.notes.append(
            f"up to {number} of these commands start at {at}. Each takes a thread while it runs: the schedulers need "
            f"SCHEDULER_THREADS={number} in all, and more if commands run for long"
        )
    if imported.jobs:
        imported.notes.append(ELSEWHERE)
    return imported


def _most_at_once(crontabs: Iterable[str]) -> tuple[int, str]:
    """Return the largest number of crontabs that fire in one minute of any day, and that minute."""
    starts: Counter[tuple[int, int]] = Counter()
    for crontab in crontabs:
        with suppress(ValueError):  # the validator reports the error
            pattern = parse_crontab(crontab).pattern
            starts.update((hour, minute) for hour in pattern.hours for minute in pattern.minutes)
    (hour, minute), number = max(starts.items(), key=lambda found: found[1], default=((0, 0), 0))
    return number, f"{hour:02}:{minute:02}"


def _unquoted(value: str) -> str:
    # crontab(5): quotes around a value keep its blanks; nothing in it is expanded.
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def _split_input(command: str) -> tuple[str, str | None]:
    """Return a command and its standard input, as cron splits them: at the first % without a backslash before it.

    In the input each further % is a line break, and the last line ends with one (Debian's do_command.c).
    """
    found = _COMMAND.fullmatch(command)
    assert found is not None  # noqa: S101 (it takes every text)
    line = found["line"].replace("\\%", "%").rstrip()
    if found["input"] is None:
        return line, None
    text = re.sub(r"\\?%", lambda sign: "\n" if sign[0] == "%" else "%", found["input"])
    return line, text if text.endswith("\n") else text + "\n"


def _name_of(command: str) -> str:
    """Return a short name for a command: its first program that is not just a wrapper, without its folder."""
    words = iter(re.sub(r"\bcd\s+\S+", "", command).split())
    for word in words:
        name = word.rsplit("/", 1)[-1]
        wrapper = "=" in word or word.startswith("-") or name in WRAPPERS
        if not wrapper and re.search(r"[A-Za-z]", name):
            return name
    return "command"
