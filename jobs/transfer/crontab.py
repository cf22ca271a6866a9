"""Import a crontab file, of a user (crontab(5)) or of the system (/etc/crontab, /etc/cron.d)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ..core.triggers.crontab import parse_crontab
from .report import Entry, Ids, Import, without_empty

ALIASES = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_ASSIGNMENT = re.compile(r"""\s*(?P<quote>["']?)(?P<name>[A-Za-z_]\w*)(?P=quote)\s*=\s*(?P<value>.*?)\s*""")
_SCHEDULE = re.compile(r"\s*(?P<when>@\w+|(?:\S+\s+){4}\S+)\s+(?P<rest>\S.*)")
WRAPPERS = ("sudo", "nice", "ionice", "env", "exec", "time", "test", "nohup")
SPECIAL = ("MAILTO", "MAILFROM", "CRON_TZ", "TZ", "SHELL")


@dataclass(slots=True)
class _Reader:
    """The state of a crontab from one line to the next: assignments hold for the lines that follow them."""

    system: bool
    ids: Ids = field(default_factory=Ids)
    environment: dict[str, str] = field(default_factory=dict)
    special: dict[str, str] = field(default_factory=dict)

    def read(self, number: int, line: str) -> Entry | None:
        """Return what a line is; None for a blank line or a comment."""
        if not line.strip() or line.lstrip().startswith("#"):
            return None
        entry = Entry(source=f"line {number}", text=line.strip())
        assignment = _ASSIGNMENT.fullmatch(line)
        if assignment:
            self._assign(assignment["name"], _unquoted(assignment["value"]), entry)
        else:
            self._schedule(line, entry)
        return entry

    def _assign(self, name: str, value: str, entry: Entry) -> None:
        if name not in SPECIAL:
            self.environment[name] = value
            entry.notes.append(f"{name} is in the environment of the commands below")
            return
        self.special[name] = value
        if name in ("CRON_TZ", "TZ"):
            entry.notes.append(f"the jobs below have the time zone {value}")
        elif name == "SHELL":
            entry.notes.append(f"the commands below run in {value}")
        elif name == "MAILTO" and value:
            entry.notes.append(f"cron mailed all output to {value}: make an alert rule with this address for failures")
        else:
            entry.notes.append("Cronzimus sends no mail for output: it is kept with the run")

    def _schedule(self, line: str, entry: Entry) -> None:
        found = _SCHEDULE.fullmatch(line)
        if found is None:
            entry.problem = "is not a crontab line: five fields and a command are expected"
            return
        when, command = found["when"], found["rest"]
        if when == "@reboot":
            entry.problem = "@reboot has no fire time: let the service manager start it, for example a systemd unit"
            return
        if when.startswith("@") and when.lower() not in ALIASES:
            entry.problem = f"{when} is not a schedule of crontab(5)"
            return
        if self.system:
            user, _, command = command.partition(" ")
            if not command.strip():
                entry.problem = "has no command: a line of a system crontab has a user before it"
                return
            entry.notes.append(f"ran as {user}: it runs as the scheduler's user now")
        entry.job = self._job(ALIASES.get(when.lower(), " ".join(when.split())), command.strip(), entry)

    def _job(self, crontab: str, command: str, entry: Entry) -> dict[str, Any]:
        if command.startswith("-"):  # cron: do not log this command
            command = command[1:].lstrip()
            entry.notes.append("the leading '-' kept the command out of the system's log: it has no meaning here")
        line, stdin = _split_input(command)
        if stdin is not None:
            entry.notes.append("the text after the first % is the command's standard input")
        kwargs = without_empty(
            {"env": dict(self.environment), "stdin": stdin, "shell": self.special.get("SHELL")}
        )  # fmt: skip
        return without_empty(
            {
                "id": self.ids.of(_name_of(line)),
                "name": line[:200],
                "func": "cronzimus.functions:shell",
                "args": [line],
                "kwargs": kwargs,
                "trigger": {
                    "type": "cron",
                    "crontab": crontab,
                    **without_empty({"timezone": self.special.get("CRON_TZ") or self.special.get("TZ")}),
                },
                # cron starts a command whether or not the one before has ended.
                "max_instances": 10,
                "misfire_grace_time": 60,
            }
        )


def read_crontab(text: str, *, system: bool = False) -> Import:
    """Return what the lines of a crontab become.

    Args:
        text: the whole file.
        system: whether each line names a user before its command, as in /etc/crontab.
    """
    reader = _Reader(system)
    found = [reader.read(number, line) for number, line in enumerate(text.splitlines(), start=1)]
    entries = [entry for entry in found if entry is not None]
    number, at = _most_at_once(entry.job["trigger"]["crontab"] for entry in entries if entry.job is not None)
    if number > 1:
        note = (
            f"up to {number} of these commands start at {at}. Each takes a thread while it runs: the schedulers need "
            f"SCHEDULER_THREADS={number} in all, and more if commands run for long"
        )
        entries.append(Entry(source="the whole file", notes=[note]))
    return Import(entries=entries)


def _most_at_once(crontabs: Iterable[str]) -> tuple[int, str]:
    """Return how many crontabs fire at the same minute of a day at most, and that minute. Days are not looked at."""
    starts: Counter[tuple[int, int]] = Counter()
    for crontab in crontabs:
        with suppress(ValueError):  # applying the file says what is wrong with it
            pattern = parse_crontab(crontab).pattern
            starts.update((hour, minute) for hour in pattern.hours for minute in pattern.minutes)
    (hour, minute), number = max(starts.items(), key=lambda found: found[1], default=((0, 0), 0))
    return number, f"{hour:02}:{minute:02}"


def _unquoted(value: str) -> str:
    # crontab(5): quotes around a value keep its blanks; nothing in it is expanded.
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def _split_input(command: str) -> tuple[str, str | None]:
    """Return a command and its standard input: crontab(5) splits at each % that has no backslash before it."""
    line, *rest = (part.replace("\\%", "%") for part in re.split(r"(?<!\\)%", command))
    return line.rstrip(), "\n".join(rest) + "\n" if rest else None


def _name_of(command: str) -> str:
    """Return a short name for a command: its first program that is not just a wrapper, without its folder."""
    words = iter(re.sub(r"\bcd\s+\S+", "", command).split())
    for word in words:
        name = word.rsplit("/", 1)[-1]
        wrapper = "=" in word or word.startswith("-") or name in WRAPPERS
        if not wrapper and re.search(r"[A-Za-z]", name):
            return name
    return "command"
