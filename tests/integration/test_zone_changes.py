"""A scheduler's start recomputes next fire times if the site's zone or the time zone data has changed."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_django import Settings

from jobs import services
from jobs.core.zone_data import ZoneData, used_data
from jobs.management import startup
from jobs.models import Control, Job, Run
from jobs.services import zone_changes
from tests.fakes import NOW, after, by, make_job, make_run, make_scheduler

pytestmark = pytest.mark.django_db

NINE = {"type": "cron", "hour": 9}
HOUR = timedelta(hours=1)


def at(hour: int, day: int = 2) -> datetime:
    return datetime(2030, 1, day, hour, tzinfo=UTC)


def started_before(zone: str = "UTC", data: str | None = None) -> None:
    """Note that a scheduler has started with this zone and data."""
    Control.objects.create(time_zone=zone, zone_data=used_data().version if data is None else data)


def next_run_time(job_id: str = "job") -> datetime | None:
    return Job.objects.get(pk=job_id).next_run_time


def test_the_first_start_notes_zone_and_data_and_moves_nothing() -> None:
    make_job(trigger=NINE, next_run_time=at(9))
    assert services.follow_time_zones(now=NOW) == 0
    control = Control.objects.get()
    assert (control.time_zone, control.zone_data) == ("UTC", used_data().version)


def test_a_pause_of_all_before_the_first_start_is_no_change() -> None:
    services.pause_all(now=NOW)
    make_job(trigger=NINE, next_run_time=at(8))  # whatever it is
    assert services.follow_time_zones(now=NOW) == 0
    assert Control.objects.get().paused
    assert Control.objects.get().time_zone == "UTC"


def test_another_time_zone_moves_jobs_without_a_zone_of_their_own(settings: Settings) -> None:
    started_before("UTC")
    settings.TIME_ZONE = "Asia/Tokyo"
    make_job("plain", trigger=NINE, next_run_time=at(9))
    make_job("zoned", trigger={**NINE, "timezone": "UTC"}, next_run_time=at(9))
    make_job("interval", trigger={"type": "interval", "hours": 1}, anchor=NOW, next_run_time=NOW + HOUR)
    make_job("calendar", trigger={"type": "calendarinterval", "days": 1, "hour": 9}, anchor=NOW, next_run_time=at(9))
    make_job("once", trigger={"type": "date", "run_date": "2030-01-03 09:00:00"}, next_run_time=at(9, 3))
    assert services.follow_time_zones(now=NOW) == 3
    assert [next_run_time(name) for name in ("plain", "zoned", "interval", "calendar", "once")] == [
        at(0), at(9), NOW + HOUR, at(0), at(0, 3)
    ]  # fmt: skip
    assert Control.objects.get().time_zone == "Asia/Tokyo"
    assert services.follow_time_zones(now=NOW) == 0


def test_other_time_zone_data_moves_jobs_too(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    started_before("UTC", data="2025b")
    monkeypatch.setattr(zone_changes, "used_data", lambda: ZoneData("the package tzdata", "2026f"))
    make_job(trigger={**NINE, "timezone": "Europe/Berlin"}, next_run_time=at(9))  # as if Berlin had been at UTC
    caplog.set_level(logging.INFO)
    assert services.follow_time_zones(now=NOW) == 1
    assert next_run_time() == at(8)
    assert "zone UTC, data 2026f (before: UTC, data 2025b): 1 next fire times moved" in caplog.text


def test_a_fire_time_that_is_due_stays_due(settings: Settings) -> None:
    started_before("UTC")
    settings.TIME_ZONE = "Asia/Tokyo"
    make_job(trigger=NINE, next_run_time=after(-60))
    assert services.follow_time_zones(now=NOW) == 0
    assert next_run_time() == after(-60)


def test_a_date_that_has_passed_by_the_new_zone_is_due_at_once(settings: Settings) -> None:
    started_before("UTC")
    settings.TIME_ZONE = "Asia/Tokyo"
    make_job(trigger={"type": "date", "run_date": "2030-01-01 15:00:00"}, next_run_time=NOW + 3 * HOUR)
    services.follow_time_zones(now=NOW)
    assert next_run_time() == datetime(2030, 1, 1, 6, tzinfo=UTC)


def test_paused_jobs_and_skipped_fire_times_stay_as_they_are(settings: Settings) -> None:
    started_before("UTC")
    settings.TIME_ZONE = "Asia/Tokyo"
    make_job("paused", trigger=NINE, paused=True, next_run_time=None)
    make_job("until", trigger=NINE, paused_until=at(5), next_run_time=at(9))
    make_job("skipped", trigger={**NINE, "timezone": "UTC"}, next_run_time=at(9, 3))
    make_run("skipped", scheduled_time=at(9), status="skipped")
    services.follow_time_zones(now=NOW)
    assert [next_run_time(name) for name in ("paused", "until", "skipped")] == [None, at(0, 3), at(9, 3)]
    assert Run.objects.count() == 1


@pytest.mark.parametrize(
    ("zone", "nine_o_clock"),
    [
        ("America/New_York", 14),  # and the one of 1 January, which had passed, comes first
        ("Europe/Kyiv", 7),
        ("Africa/Abidjan", 9),  # the same instants
    ],
)
def test_a_skipped_fire_time_stays_skipped_where_the_new_zone_moves_it(
    settings: Settings, zone: str, nine_o_clock: int
) -> None:
    started_before("UTC")
    make_job(trigger=NINE, next_run_time=at(9))
    with by("ann"):
        services.skip_next("job", now=NOW)
    settings.TIME_ZONE = zone
    services.follow_time_zones(now=at(11, 1))
    if zone == "America/New_York":
        assert next_run_time() == at(14, 1)
        Job.objects.update(next_run_time=services.schedule.next_after(Job.objects.get(), at(14, 1)))
    assert next_run_time() == at(nine_o_clock, 3)
    assert Run.objects.get(scheduled_time=at(nine_o_clock)).reason == "left out by ann"


def test_a_skipped_fire_time_that_has_passed_by_the_new_zone_skips_no_other(settings: Settings) -> None:
    started_before("UTC")
    make_job(trigger=NINE, next_run_time=at(9))
    services.skip_next("job", now=at(1))
    settings.TIME_ZONE = "Asia/Tokyo"
    services.follow_time_zones(now=at(1))
    assert next_run_time() == at(0, 3)


def test_a_skipped_fire_time_stays_skipped_where_new_data_moves_it(settings: Settings) -> None:
    started_before("UTC", "an older version")
    make_job(trigger=NINE, next_run_time=at(10))
    services.skip_next("job", now=NOW)
    services.follow_time_zones(now=NOW)
    assert next_run_time() == at(9, 3)


def test_a_damaged_job_keeps_nobody_from_starting(settings: Settings) -> None:
    started_before("UTC")
    settings.TIME_ZONE = "Asia/Tokyo"
    make_job("broken", trigger={"type": "nonsense"}, next_run_time=at(9))
    make_job("sound", trigger=NINE, next_run_time=at(9))
    assert services.follow_time_zones(now=NOW) == 1


def test_many_jobs_are_moved_in_batches(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    started_before("UTC")
    settings.TIME_ZONE = "Asia/Tokyo"
    monkeypatch.setattr(zone_changes, "BATCH", 3)
    for number in range(8):
        make_job(f"j{number}", trigger=NINE, next_run_time=at(9))
    assert services.follow_time_zones(now=NOW) == 8


def test_a_start_names_schedulers_with_other_data(caplog: pytest.LogCaptureFixture, monkeypatch: Any) -> None:
    make_scheduler("same", lease_until=datetime.now(UTC) + HOUR)
    make_scheduler("old", zone_data="2019a", lease_until=datetime.now(UTC) + HOUR)
    startup.follow_time_zones()
    (record,) = [record for record in caplog.records if getattr(record, "action", "") == "zone_data_differs"]
    assert "old (2019a)" in record.getMessage()
    assert "same" not in record.getMessage()
