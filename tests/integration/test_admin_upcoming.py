"""The page of fire times to come: the next ones, the hours of a week, pile-ups, and skips."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from jobs.admin import request_time
from jobs.admin.jobs.upcoming import _days as week
from jobs.admin.times import Times
from jobs.models import Job, Run
from jobs.selectors import upcoming
from tests.fakes import NOW, FakeClock, after, make_job
from tests.integration.admin_support import JOBS, Admin, admin_fixture, at_noon_fixture, messages, text  # noqa: F401

PAGE = f"{JOBS}upcoming/"


def cron(line, **fields):
    return {"trigger": {"type": "cron", "crontab": line}, **fields}


def rows(page):
    """Return the texts of the rows of the list."""
    return [text(row) for row in re.findall(r"<tr data-key.*?</tr>", page, re.S)]


def hours(page):
    """Return the numbers of the week, by day and hour."""
    found = {}
    for day in re.findall(r'<tr><th scope="row">.*?</tr>', page, re.S):
        name, *cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", day, re.S)
        numbers = [re.search(r">(\d+)<span", cell) for cell in cells]
        found[name] = {hour: int(number[1]) for hour, number in enumerate(numbers) if number}
    return found


def test_the_next_fire_time_of_each_job_is_listed_in_their_order(admin):
    make_job("daily", next_run_time=after(7200), name="Every day", **cron("0 14 * * *"))
    make_job("hourly", next_run_time=after(1800), **cron("30 * * * *"))
    shown = rows(admin.read(PAGE))
    assert shown == [
        "hourly in 30 min 12:30:00 Skip once : hourly Run now : hourly",
        "daily Every day in 2 h 14:00:00 Skip once : daily Run now : daily",
    ]


def test_the_hours_of_the_week_are_counted(admin):
    make_job("daily", next_run_time=after(7200), **cron("0 14 * * *"))
    make_job("often", next_run_time=after(60), trigger={"type": "interval", "minutes": 1}, anchor=NOW)
    found = hours(admin.read(PAGE))
    assert list(found) == ["Tue 1", "Wed 2", "Thu 3", "Fri 4", "Sat 5", "Sun 6", "Mon 7", "Tue 8"]
    assert found["Tue 1"] == {12: 59, 13: 60, 14: 61, **dict.fromkeys(range(15, 24), 60)}
    assert found["Wed 2"][14] == 61
    assert max(found["Tue 8"]) == 11


def test_jobs_with_the_same_trigger_share_the_fire_times_of_the_week(admin):
    upcoming._week.cache_clear()
    for number in range(3):
        make_job(f"job-{number}", anchor=after(-number), next_run_time=after(7200), **cron("0 14 * * *"))
        make_job(
            f"each-{number}", anchor=after(-number), next_run_time=after(60), trigger={"type": "interval", "hours": 1}
        )
    admin.read(PAGE)
    assert upcoming._week.cache_info().misses == 1 + 3


def test_what_is_left_out_paused_or_at_its_end_is_not_counted(admin):
    make_job("skipped", next_run_time=after(2 * 86_400 + 7200), **cron("0 14 * * *"))
    make_job("paused", paused=True, **cron("0 14 * * *"))
    make_job("last", next_run_time=after(3600), max_runs=2, claimed_count=1, **cron("0 * * * *"))
    make_job("damaged", trigger={"type": "nonsense"}, next_run_time=after(60))
    page = admin.read(PAGE)
    found = hours(page)
    assert (found["Tue 1"], found["Wed 2"], found["Thu 3"]) == ({13: 1}, {}, {14: 1})
    assert [row.split()[0] for row in rows(page)] == ["last", "skipped"]


def test_the_hours_are_those_of_the_chosen_zone(admin):
    make_job("daily", next_run_time=after(7200), **cron("0 14 * * *"))
    admin.client.cookies["cronzimus_zone"] = "Asia/Tokyo"
    assert hours(admin.read(PAGE))["Tue 1"] == {23: 1}


def test_the_hours_begin_with_those_of_the_chosen_zone(admin):
    make_job("daily", next_run_time=after(3_600 * 12.5), **cron("30 0 * * *"))
    admin.client.cookies["cronzimus_zone"] = "Asia/Kolkata"
    page = admin.read(PAGE)
    assert hours(page)["Wed 2"] == {6: 1}
    assert 'title="1 on Wednesday at 06:00"' in page
    assert "6:00" in rows(admin.read(PAGE, at="2030-01-02T00:30Z"))[0]


def test_an_hour_that_comes_twice_has_the_fire_times_of_both(admin):
    at = datetime(2030, 10, 27, tzinfo=UTC)
    make_job("half", next_run_time=at + timedelta(minutes=30), **cron("30 * * * *"))
    zone = ZoneInfo("Europe/Berlin")
    jobs = upcoming.jobs_to_come(at + timedelta(days=7))
    days = week(
        upcoming.hours_of(upcoming.weeks_of(jobs, at, zone), at, zone),
        None,
        Times(at, zone.key),
        at + timedelta(days=1),
    )
    assert [cell.number for cell in days[0].cells if cell] == [2, *[1] * 21]


def test_a_fire_time_that_no_scheduler_claims_is_overdue(admin):
    make_job("late", next_run_time=after(-120), **cron("0 14 * * *"))
    make_job("due", next_run_time=after(-5), **cron("0 14 * * *"))
    assert [("overdue" in row) for row in rows(admin.read(PAGE))] == [True, False]


def test_an_hour_leads_to_its_fire_times(admin):
    make_job("daily", next_run_time=after(7200), **cron("0 14 * * *"))
    make_job("often", next_run_time=after(600), **cron("*/10 * * * *"))
    page = admin.read(PAGE)
    assert 'href="?at=2030-01-02T14%3A00Z"' in page
    page = admin.read(PAGE, at="2030-01-02T14:00Z")
    assert "Wednesday 2 Jan, 14:00 to 15:00: 7" in text(page)
    assert [row.split()[0] for row in rows(page)] == ["daily", *["often"] * 6]
    assert not [row for row in rows(page) if "Skip" in row]


def heats(page):
    """Return the darkness of each hour, by the words of the hour."""
    return {words: int(heat) for heat, words in re.findall(r'class="busy-(\d)"[^>]* title="\d+ on ([^"]*)"', page)}


def test_a_job_that_fires_every_second_is_named_and_leaves_the_hours_to_the_others(admin):
    make_job("beat", name="<Beat>", next_run_time=after(1), trigger={"type": "interval", "seconds": 1}, anchor=NOW)
    make_job("hourly", next_run_time=after(1800), **cron("30 * * * *"))
    make_job("daily", next_run_time=after(7200), **cron("0 14 * * *"))
    page = admin.read(PAGE)
    assert hours(page)["Wed 2"] == {**dict.fromkeys(range(24), 1), 14: 2}
    assert (heats(page)["Wednesday at 13:00"], heats(page)["Wednesday at 14:00"]) == (1, 3)
    assert "3 jobs fire 604,974 times in the next 7 days." in text(page)
    assert "Not in these hours: beat fires more than once a minute, 604,799 times in the next 7 days." in text(page)
    assert [row.split()[0] for row in rows(page)] == ["beat", "hourly", "daily"]
    hour = admin.read(PAGE, at="2030-01-02T14:00Z")
    assert "Wednesday 2 Jan, 14:00 to 15:00: 2" in text(hour)
    assert [row.split()[0] for row in rows(hour)] == ["daily", "hourly"]


def test_jobs_that_fire_more_than_once_a_minute_are_counted_together(admin):
    for number in range(6):
        make_job(f"beat-{number}", next_run_time=after(30), trigger={"type": "interval", "seconds": 30}, anchor=NOW)
    page = text(admin.read(PAGE))
    words = "beat-0, beat-1, beat-2, beat-3 and 2 more fire more than once a minute, 120,954 times in the next 7 days."
    assert words in page
    assert "6 jobs fire 120,954 times in the next 7 days." in page


def test_a_job_that_fires_every_minute_does_not_hide_when_others_fire(admin):
    make_job("often", next_run_time=after(60), trigger={"type": "interval", "minutes": 1}, anchor=NOW)
    for number in range(3):
        make_job(f"daily-{number}", next_run_time=after(7200), **cron("0 14 * * *"))
    page = admin.read(PAGE)
    assert "Not in these hours" not in page
    assert hours(page)["Wed 2"][14] == 63
    assert {words for words, heat in heats(page).items() if heat == 3} == {
        f"{day} at 14:00" for day in ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    }
    assert heats(page)["Wednesday at 13:00"] == 1


def test_what_fires_later_than_in_seven_days_is_not_counted(admin, monkeypatch):
    monkeypatch.setattr(request_time, "clock", FakeClock(after(30 * 60)))
    make_job("early", next_run_time=after(3600), **cron("10 * * * *"))
    make_job("late", next_run_time=after(45 * 60), **cron("45 * * * *"))
    make_job("beat", next_run_time=after(30 * 60 + 1), trigger={"type": "interval", "seconds": 1}, anchor=NOW)
    page = admin.read(PAGE)
    assert "3 jobs fire 605,135 times in the next 7 days." in text(page)  # 168, 168 and 604,799
    assert (hours(page)["Tue 1"][12], hours(page)["Tue 8"][12]) == (1, 1)
    page = admin.read(PAGE, at="2030-01-08T12:00Z")
    assert "12:00 to 13:00: 1" in text(page)
    assert [row.split()[0] for row in rows(page)] == ["early"]


def test_many_jobs_in_the_same_minute_are_named(admin):
    for number in range(6):
        make_job(f"job-{number}", next_run_time=after(43_200), **cron("0 0 * * *"))
    make_job("often", next_run_time=after(60), **cron("* * * * *"))
    page = text(admin.read(PAGE))
    assert "6 jobs at 00:00 on 7 days job-0, job-1, job-2, job-3 and 2 more" in page
    assert "Spread them" in page
    Job.objects.update(trigger=cron("0 14 * * *")["trigger"], next_run_time=after(7200))
    assert "7 jobs at 14:00 on 7 days" in text(admin.read(PAGE))
    Job.objects.exclude(pk__in=["job-0", "job-1"]).delete()
    assert "Many jobs in the same minute" not in admin.read(PAGE)


def test_a_fire_time_is_left_out_once_and_the_page_comes_back(admin):
    make_job("daily", next_run_time=after(7200), **cron("0 14 * * *"))
    response = admin.send(f"{JOBS}daily/skip/", next=f"{PAGE}?at=x")
    assert response.redirect_chain[-1][0] == f"{PAGE}?at=x"
    assert messages(response)[0].startswith("Skipped: daily at 2030-01-01 14:00:00 UTC")
    assert Run.objects.get().status == "skipped"
    assert "Tue 1" in hours(response.content.decode())
    assert hours(response.content.decode())["Tue 1"] == {}


def test_without_a_fire_time_it_says_so(admin):
    make_job(paused=True)
    assert "Nothing is to come" in admin.read(PAGE)


@pytest.mark.parametrize("at", ["x", "", "2029-01-01", "2031-01-01", "0001-01-01", "9999-12-31T23:59:59Z"])
def test_a_strange_hour_is_no_hour(admin, at):
    make_job()
    assert "Next" in text(admin.read(PAGE, at=at))


def test_those_who_may_only_look_have_nothing_to_press(at_noon):
    make_job(next_run_time=after(60))
    page = Admin("view_job").read(PAGE)
    assert not [word for word in ("Skip once", "Run now") if word in page]
    assert Admin("view_run", name="bob").client.get(PAGE).status_code == 403


def test_the_number_of_queries_does_not_grow(admin, statements):
    make_job("a")
    with statements() as few:
        admin.open(PAGE)
    for number in range(30):
        make_job(f"job-{number}", next_run_time=after(number))
    with statements() as many:
        admin.open(PAGE)
    assert len(many) == len(few) <= 8


def test_texts_of_people_are_escaped(admin):
    evil = "<script>alert(1)</script>"
    make_job(name=evil, next_run_time=after(60))
    assert evil not in admin.read(PAGE, at=evil)
