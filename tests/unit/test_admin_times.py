"""Instants and durations on the pages of the admin, in the zone that the user chose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.test import RequestFactory

from jobs.admin import request_time
from jobs.admin.times import COOKIE, Times, duration, relative, zone_choice
from tests.fakes import NOW, FakeClock, after

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "—"), (-1, "0 ms"), (0, "0 ms"), (0.412, "412 ms"), (0.9996, "1.0 s"), (9.14, "9.1 s"),
        (59.96, "1 m"), (185, "3 m 05 s"), (2465, "41 m"), (3599.6, "1 h"), (7380, "2 h 03 m"), (10**7, "2,777 h 46 m"),
    ],
)  # fmt: skip
def test_a_length_of_time_is_told_in_its_largest_units(seconds, words):
    assert duration(None if seconds is None else timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "now"), (0.4, "now"), (5, "in 5 s"), (-5, "5 s ago"), (59.6, "in 1 min"), (-3600, "1 h ago"),
        (773, "in 12 min 53 s"), (113, "in 1 min 53 s"), (34_020, "in 9 h 27 min"), (36_120, "in 10 h 02 min"),
        (144_000, "in 1 d 16 h"), (50_400, "in 14 h"), (47 * 86_400 + 7200, "in 47 d"), (-200_000, "2 d ago"),
    ],
)  # fmt: skip
def test_an_instant_is_told_by_how_far_it_is(seconds, words):
    assert relative(after(seconds), NOW) == words


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (NOW, "12:00:00"), (after(86_400), "2 Jan 12:00"), (after(-86_400), "31 Dec 12:00"),
        (after(100 * 86_400), "11 Apr 12:00"), (after(-100 * 86_400), "23 Sep 2029 12:00"),
        (after(400 * 86_400), "5 Feb 2031 12:00"),
    ],
)  # fmt: skip
def test_an_instant_is_as_short_as_the_day_allows(at, words):
    assert Times(NOW, "utc").short(at) == words


@pytest.mark.parametrize(
    ("choice", "shown"), [("utc", "12:00:00"), ("job", "13:00:00"), ("America/New_York", "07:00:00")]
)
def test_an_instant_is_shown_in_the_chosen_zone(choice, shown):
    assert Times(NOW, choice).short(NOW, BERLIN) == shown


@pytest.mark.parametrize(("seconds", "words"), [(60, "12:01"), (86_400, "2 Jan"), (86_400 * 400, "5 Feb 2031")])
def test_an_instant_of_another_day_may_be_told_by_the_day_alone(seconds, words):
    assert f">{words}</time>" in Times(NOW, "utc").day(after(seconds))


def test_the_exact_instant_is_the_tooltip_and_names_its_zone():
    shown = Times(NOW, "job").at(after(0.25), BERLIN)
    assert 'datetime="2030-01-01T12:00:00.250Z" title="2030-01-01 13:00:00 CET">13:00:00</time>' in shown


def test_an_instant_at_the_end_of_the_calendar_can_be_told():
    last = datetime.max.replace(tzinfo=UTC)
    assert Times(NOW, "Pacific/Kiritimati").exact(last).startswith("9999-12-31")


def test_what_is_not_there_is_a_dash():
    times = Times(NOW, "utc")
    assert times.at(None) == times.ago(None) == "—"


@pytest.mark.parametrize(
    ("cookie", "choice"),
    [("utc", "utc"), ("job", "job"), ("Europe/Berlin", "Europe/Berlin"), ("", "utc"), ("Mars", "utc"),
     ("../../etc/passwd", "utc"), ("\0", "utc"), ("a" * 4000, "utc")],
)  # fmt: skip
def test_a_zone_that_is_none_is_not_taken(cookie, choice):
    request = RequestFactory().get("/")
    request.COOKIES[COOKIE] = cookie
    assert zone_choice(request) == choice


def test_a_site_in_another_zone_shows_that_of_the_job_first(settings):
    settings.TIME_ZONE = "Europe/Berlin"
    times = Times(NOW, zone_choice(RequestFactory().get("/")))
    assert (times.short(NOW), times.short(NOW, ZoneInfo("UTC"))) == ("13:00:00", "12:00:00")


def test_a_request_has_one_instant(monkeypatch):
    clock = FakeClock()
    monkeypatch.setattr(request_time, "clock", clock)
    request = RequestFactory().get("/")
    first = Times.of(request).now
    clock.advance(5)
    assert Times.of(request).now == first == NOW
