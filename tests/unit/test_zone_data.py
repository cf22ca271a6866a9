"""Time zone data: the newest of the system's and the package's is used."""

from __future__ import annotations

import subprocess
import sys
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import tzdata

from jobs.core import zone_data
from jobs.core.zone_data import UNKNOWN, system_data, use_newest_data, used_data

ZONES = Path(tzdata.__file__).parent / "zoneinfo"


@pytest.fixture(autouse=True)
def same_zones_afterwards() -> Iterator[None]:
    """Restore the zone data of this process."""
    before = zoneinfo.TZPATH
    yield
    zoneinfo.reset_tzpath(to=before)
    zoneinfo.ZoneInfo.clear_cache()


def system(folder: Path, version: str | None, name: str = "tzdata.zi") -> str:
    """Make a folder of system data in which America/Vancouver is UTC, and let `zoneinfo` look there."""
    (folder / "America").mkdir(parents=True)
    for zone in ("UTC", "America/Vancouver"):
        (folder / zone).write_bytes((ZONES / "UTC").read_bytes())
    if version is not None:
        (folder / name).write_text(f"# version {version}\nR d 1916\n" if name == "tzdata.zi" else f"{version}\n")
    zoneinfo.reset_tzpath(to=[str(folder)])
    zoneinfo.ZoneInfo.clear_cache()
    return str(folder)


def vancouver() -> datetime:
    return datetime(2026, 12, 15, 9, tzinfo=zoneinfo.ZoneInfo("America/Vancouver")).astimezone(UTC)


def in_the_package() -> datetime:
    with (ZONES / "America" / "Vancouver").open("rb") as file:
        zone = zoneinfo.ZoneInfo.from_file(file)
    return datetime(2026, 12, 15, 9, tzinfo=zone).astimezone(UTC)


@pytest.mark.parametrize("name", ["tzdata.zi", "+VERSION", "version"])
def test_the_systems_version_is_read(tmp_path: Path, name: str) -> None:
    folder = system(tmp_path / "zoneinfo", "2025b", name)
    data = system_data()
    assert data is not None
    assert (data.version, folder in data.source) == ("2025b", True)
    assert used_data() == data


@pytest.mark.parametrize("version", ["2025b", None, "nonsense"])
def test_newer_data_of_the_package_is_used(tmp_path: Path, version: str | None) -> None:
    system(tmp_path / "zoneinfo", version)
    assert vancouver().hour == 9  # old data
    assert use_newest_data().version == tzdata.IANA_VERSION
    assert used_data().source == "the package tzdata"
    assert vancouver() == in_the_package()


def test_newer_data_of_the_system_is_used(tmp_path: Path) -> None:
    folder = system(tmp_path / "zoneinfo", "2999a")
    assert use_newest_data().version == "2999a"
    assert list(zoneinfo.TZPATH) == [folder]
    assert vancouver().hour == 9


def test_without_a_version_the_system_is_used_only_where_there_is_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system(tmp_path / "zoneinfo", None)
    monkeypatch.setitem(sys.modules, "tzdata", None)
    assert use_newest_data().version == UNKNOWN
    assert vancouver().hour == 9


def test_a_system_without_zones_leaves_the_package(tmp_path: Path) -> None:
    zoneinfo.reset_tzpath(to=[str(tmp_path)])
    assert system_data() is None
    assert use_newest_data().source == "the package tzdata"


def test_a_copy_says_what_it_is() -> None:
    assert str(zone_data.ZoneData("the package tzdata", "2026f")) == "2026f (the package tzdata)"
    assert str(zone_data.ZoneData("x", UNKNOWN)) == "an unknown version (x)"


def test_the_products_processes_use_the_newest_data(tmp_path: Path) -> None:
    folder = system(tmp_path / "zoneinfo", "2025b")
    code = (
        "import django; django.setup(); from jobs.core.zone_data import used_data; print(used_data().version);"
        "from datetime import *; from zoneinfo import ZoneInfo;"
        "print(datetime(2026, 12, 15, 9, tzinfo=ZoneInfo('America/Vancouver')).astimezone(UTC).hour)"
    )
    environment = {"PYTHONTZPATH": folder, "DJANGO_SETTINGS_MODULE": "cronzimus_site.settings", "DEBUG": "true"}
    root = Path(zone_data.__file__).parents[2]
    shown = subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, check=True)
    assert shown.stdout.decode().split() == [tzdata.IANA_VERSION, str(in_the_package().hour)]
