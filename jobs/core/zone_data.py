"""The time zone data of the system and of the package tzdata: which is in use, and which is newer.

Governments change their clocks at short notice. A process with old data computes other fire times than one with new
data, so all processes of a site should use the newest that is there.
"""

from __future__ import annotations

import re
import zoneinfo
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

UNKNOWN = ""
"""The version of data that does not state one. It counts as older than any other."""

_VERSION_LINE = re.compile(r"#\s*version\s+(\d{4}[a-z]{0,2})\b")
_VERSION = re.compile(r"(\d{4}[a-z]{0,2})\b")


class ZoneData(NamedTuple):
    """One copy of the IANA time zone database.

    `version` is its release, such as "2026f", and may be `UNKNOWN`.
    """

    source: str
    version: str

    def __str__(self) -> str:
        return f"{self.version or 'an unknown version'} ({self.source})"


def system_data() -> ZoneData | None:
    """Return the system's data, from the first folder of `zoneinfo.TZPATH` that has any; None if there is none."""
    for folder in map(Path, zoneinfo.TZPATH):
        if (folder / "Etc" / "UTC").is_file() or (folder / "UTC").is_file():
            return ZoneData(f"the system's, in {folder}", _version_in(folder))
    return None


def package_data() -> ZoneData | None:
    """Return the data of the package tzdata; None if it is not installed."""
    try:
        tzdata = import_module("tzdata")
    except ImportError:
        return None
    return ZoneData("the package tzdata", getattr(tzdata, "IANA_VERSION", UNKNOWN))


def used_data() -> ZoneData:
    """Return the data that this process uses: `zoneinfo` looks at the system first."""
    return system_data() or package_data() or ZoneData("none", UNKNOWN)


def use_newest_data() -> ZoneData:
    """Have `zoneinfo` read the newest data in this process, and return it.

    Call it before anything reads a zone, in every process alike: at the top of a site's settings.
    """
    system, package = system_data(), package_data()
    if package is not None and (system is None or package.version > system.version):
        zoneinfo.reset_tzpath(to=())
        zoneinfo.ZoneInfo.clear_cache()
    return used_data()


def _version_in(folder: Path) -> str:
    """Return the version of compiled data: tzdata.zi starts with it, and BSD and macOS keep it in +VERSION."""
    for name, pattern in (("tzdata.zi", _VERSION_LINE), ("+VERSION", _VERSION), ("version", _VERSION)):
        try:
            with (folder / name).open(encoding="ascii", errors="replace") as file:
                match = pattern.match(file.readline(100))
        except OSError:
            continue
        if match is not None:
            return match[1]
    return UNKNOWN
