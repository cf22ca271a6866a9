"""How the benchmarks turn measurements into figures."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from benchmarks import api, api_client, child, remote, scale, scale_server, spread, steady, tables


def test_of_idle_jobs_the_first_alone_is_due_where_one_is_to_be() -> None:
    for due, expected in ((True, timedelta(seconds=1)), (False, timedelta(days=2))):
        first, second = child.idle_jobs(2, due)
        assert (first.interval, second.interval) == (expected, timedelta(days=2))
        assert (first.next_run_time == first.anchor) is due
        assert second.next_run_time > second.anchor


def test_a_start_is_late_by_what_has_gone_of_its_second() -> None:
    lags, happened, twice = steady.counted([("a", 10.25), ("b", 11.5)], first=10, seconds=2)
    assert (lags, happened, twice) == ([0.25, 0.5], 2, 0)


def test_starts_outside_the_time_that_counts_are_left_out() -> None:
    assert steady.counted([("a", 9.9), ("a", 12.0)], first=10, seconds=2) == ([], 0, 0)


def test_a_second_start_in_a_second_is_no_further_fire_time() -> None:
    _, happened, twice = steady.counted([("a", 10.0), ("a", 10.5), ("b", 10.5)], first=10, seconds=2)
    assert (happened, twice) == (2, 1)


def test_the_way_of_a_message_ends_with_the_next_start_of_its_job() -> None:
    published, started = [("a", 1.0), ("b", 1.5), ("a", 2.0), ("a", 3.0)], [("a", 2.25), ("a", 1.25), ("b", 1.25)]
    assert remote._ways(published, started) == [0.25, 0.25]


def test_a_contender_has_one_row_for_each_broker_with_what_was_measured() -> None:
    bursts = [
        remote.Burst("celery", "redis", runs, rate, 0.25, 2.5, 0.5) for runs in (20, 50) for rate in (90, 110, 91)
    ]
    samples = [*bursts, remote.Way("celery", "redis", 0.004, 0.02), remote.Way("celery", "rabbitmq", 0.005, 0.03)]
    assert remote.rows(samples, [20, 50]) == [
        ["celery", "redis", "4.0, 20.0", "–", "–", "91", "91", "0.25", "2.50", "0.50", "–", "–"],
        ["celery", "rabbitmq", "5.0, 30.0", "–", "–", "–", "–", "–", "–", "–", "–", "–"],
    ]


def test_jobs_that_fire_apart_divide_the_second() -> None:
    anchors = [job.anchor for job in child.steady_jobs(4, apart=True)]
    assert [(anchor - anchors[0]).total_seconds() for anchor in anchors] == [0.0, 0.25, 0.5, 0.75]


def test_the_furthest_share_is_that_of_the_scheduler_that_is_most_wrong() -> None:
    assert spread.Sample("sqlite", "noop", 2, [60, 40], 1.0).furthest == pytest.approx(0.2)


def test_a_scheduler_that_got_nothing_is_as_far_from_even_as_can_be() -> None:
    assert spread.Sample("sqlite", "noop", 2, [100], 1.0).furthest == pytest.approx(1.0)


def test_a_reason_why_something_was_skipped_is_one_row_and_its_log_follows() -> None:
    skipped = [["peer", "redis", "skipped: it has ended:\nTraceback"]] * 2
    table, _, log = tables.report(["who", "where", "figure", "other"], [["me", "memory", "1", "2"]], skipped).partition(
        "skipped: it has ended:\n"
    )
    assert table.count("| peer | redis | skipped: it has ended: |") == 1
    assert log.startswith("Traceback")


def test_each_request_of_a_load_has_a_number_of_its_own() -> None:
    request = api_client.Request("POST", "/scheduler/jobs", '{"id": "new-{n}"}')
    first, second = request.next(), request.next()
    assert first.endswith(b'Content-Length: 15\r\n\r\n{"id": "new-1"}')
    assert second.endswith(b'{"id": "new-2"}')


def test_an_answer_without_a_length_has_no_body() -> None:
    assert api_client._content_length(b"HTTP/1.1 304 Not Modified\r\nETag: x") == 0
    assert api_client._content_length(b"HTTP/1.1 200 OK\r\ncontent-length: 12") == 12


def test_a_304_is_compared_with_the_peers_whole_list_and_with_the_floor() -> None:
    samples = [
        api.Sample(contender, request, rate, p50=0.001, p99=0.002, cpu=0.0005)
        for contender, request, rates in (
            ("Cronzimus, sqlite", api.LIST_304, (700, 900, 800)),
            (api.PEER, api.LIST, (100,)),
            (api.FLOOR, api.EMPTY, (1600,)),
        )
        for rate in rates
    ]
    row = "| GET list, 304 | Cronzimus, sqlite | 800 (700–900) | 1.00 | 2.00 | 0.50 | 8.00 | 0.50 |"
    assert row in api.table(samples).splitlines()


def scaled(schedulers: int, rate: float, **fields: Any) -> scale.Sample:
    work = scale_server.Work(milliseconds={"commit": 50.0}, log_bytes=2e6, busy=0.5, waits={"CPU": 0.75, "WAL": 0.25})
    return scale.Sample(
        **{
            "layout": "empty", "jobs": 2000, "runs": 0, "schedulers": schedulers, "fire_times": 1000, "rate": rate,
            "later_rate": rate / 2, "scheduler_cpu": 0.25, "server_cpu": 0.125, "work": work, **fields,
        }
    )  # fmt: skip


def test_fire_times_of_several_schedulers_are_compared_with_those_of_one() -> None:
    groups = scale.grouped([scaled(1, 1000), scaled(2, 1800), scaled(1, 1200), scaled(1, 9, runs=5, layout="parts")])
    alone, two, other = (scale._row(group, groups) for group in groups)
    assert alone[:5] == ["empty", "2,000", "1", "1,100 (1,000–1,200)", "1.00"]
    assert two[3:] == ["1,800 (1,800–1,800)", "1.64", "0.50 ×", "0.250", "0.125", "2.00", "0.50: CPU 75%, WAL 25%"]
    assert other[:5] == ["5, parts", "2,000", "1", "9 (9–9)", "1.00"]


def test_the_time_of_a_statement_is_that_of_one_fire_time() -> None:
    assert "| commit | 50.0 |" in scale._statements([[scaled(1, 1000)]])


def test_a_rate_counts_from_the_first_look_to_the_last() -> None:
    assert scale._rate([(10.0, 0), (11.0, 900), (12.0, 1000)]) == 500
    assert scale._rate([(10.0, 0)]) == 0
