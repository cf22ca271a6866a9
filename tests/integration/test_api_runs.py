"""/scheduler/runs: the record, its filters, its pages, and the output of runs."""

from __future__ import annotations

from itertools import chain
from typing import Any
from urllib.parse import urlsplit

import pytest

from jobs.calls.output import Output
from jobs.core.output import HEAD, LIMIT, TAIL, gap_line
from jobs.core.runs import RunStatus
from jobs.models import Run
from tests.fakes import NOW, after, make_job, make_run, make_token

from .api_client import Api

FIELDS = {
    "id", "job_id", "func", "status", "reason", "trigger", "actor", "scheduled_time", "queued_at", "started_at",
    "finished_at", "duration", "attempt", "fire_times", "scheduler", "executor", "version", "progress", "result",
    "error", "worker", "queue", "dispatches", "dispatched_at", "waits_for",
}  # fmt: skip


def test_a_run_that_succeeded(api: Api) -> None:
    run = make_run(
        status="succeeded", scheduler_id="s1", started_at=after(0.25), finished_at=after(2), result={"a": [1]},
        progress_done=3, progress_total=None, actor="anna", fire_times=4,
    )  # fmt: skip
    shown = {
        "id": run.id, "job_id": "job", "func": "tests:record", "status": "succeeded", "reason": "",
        "trigger": "schedule", "actor": "anna", "scheduled_time": "2030-01-01T12:00:00Z",
        "queued_at": "2030-01-01T12:00:00Z", "started_at": "2030-01-01T12:00:00.250000Z",
        "finished_at": "2030-01-01T12:00:02Z", "duration": 1.75, "attempt": 1, "fire_times": 4, "scheduler": "s1",
        "executor": "thread", "version": None, "progress": {"done": 3, "total": None}, "result": {"a": [1]},
        "error": "", "worker": None, "queue": None, "dispatches": None, "dispatched_at": None,
        "waits_for": None,
    }  # fmt: skip
    assert api.get("/scheduler/runs")["results"] == [shown]
    assert api.get(f"/scheduler/runs/{run.id}") == {**shown, "traceback": "", "traceparent": None}


def test_a_run_on_a_worker_names_it_and_its_way_there(api: Api) -> None:
    run = make_run(
        status="running", executor="celery", queue="reports", scheduler_id="w1", dispatches=2,
        started_at=after(1), dispatched_at=after(0.5),
    )  # fmt: skip
    shown = api.get(f"/scheduler/runs/{run.id}")
    wanted = {
        "executor": "celery", "worker": "w1", "scheduler": None, "queue": "reports", "dispatches": 2,
        "dispatched_at": "2030-01-01T12:00:00.500000Z",
    }  # fmt: skip
    assert {name: shown[name] for name in wanted} == wanted


def test_a_run_on_its_way_has_no_worker_yet(api: Api) -> None:
    run = make_run(executor="celery", queue="reports", scheduler_id="celery", dispatches=1)
    shown = api.get(f"/scheduler/runs/{run.id}")
    assert (shown["worker"], shown["scheduler"], shown["queue"]) == (None, None, "reports")


def test_a_run_that_waits(api: Api) -> None:
    run = api.get(f"/scheduler/runs/{make_run().id}")
    for name in ("started_at", "finished_at", "duration", "scheduler", "progress", "result"):
        assert run[name] is None


def test_a_run_that_took_no_time_took_zero_seconds(api: Api) -> None:
    run = make_run(status="succeeded", started_at=NOW, finished_at=NOW)
    assert api.get(f"/scheduler/runs/{run.id}")["duration"] == 0


def test_the_traceback_is_in_the_detail_alone(api: Api) -> None:
    run = make_run(status="failed", error="RuntimeError: no", traceback="Traceback …", output="x" * 1000)
    (listed,) = api.get("/scheduler/runs")["results"]
    assert listed.keys() == FIELDS
    assert listed["error"] == "RuntimeError: no"
    assert api.get(f"/scheduler/runs/{run.id}")["traceback"] == "Traceback …"


def test_the_list_is_one_query_that_leaves_the_long_texts_alone(api: Api, statements: Any) -> None:
    for number in range(60):
        make_run(scheduled_time=after(number))
    with statements() as found:
        assert len(api.get("/scheduler/runs")["results"]) == 50
    (sql,) = found
    assert "COUNT" not in sql.upper()
    assert not any(name in sql for name in ('"output"', '"traceback"', '"args"', '"kwargs"'))


def walk(api: Api, url: str, direction: str) -> list[list[int]]:
    """Return the ids on each page from `url` on."""
    pages = []
    while url:
        page = api.get(url)
        pages.append([run["id"] for run in page["results"]])
        parts = urlsplit(page[direction] or "")
        assert not page[direction] or page[direction].startswith("http://testserver/scheduler/")
        url = f"{parts.path}?{parts.query}" if page[direction] else ""
    return pages


@pytest.mark.parametrize(
    ("path", "limit"), [("/scheduler/runs", 1), ("/scheduler/runs", 3), ("/scheduler/jobs/job/runs", 2)]
)
def test_pages_are_complete_in_both_directions_whatever_has_the_same_time(api: Api, path: str, limit: int) -> None:
    runs = [make_run(scheduled_time=after(second), attempt=n) for second in (3, 1, 2) for n in (1, 2, 3)]
    newest_first = [run.id for run in sorted(runs, key=lambda run: (run.scheduled_time, run.id), reverse=True)]
    pages = walk(api, f"{path}?limit={limit}", "next")
    assert list(chain.from_iterable(pages)) == newest_first
    last = api.get(f"{path}?limit={limit}")
    while last["next"]:
        last = api.get(last["next"].removeprefix("http://testserver"))
    back = walk(api, last["previous"].removeprefix("http://testserver"), "previous")
    assert [[run["id"] for run in last["results"]], *back] == pages[::-1]


def test_the_pages_on_either_end_say_so(api: Api) -> None:
    for number in range(3):
        make_run(scheduled_time=after(number))
    first = api.get("/scheduler/runs?limit=2")
    assert first["previous"] is None
    last = api.get(first["next"].removeprefix("http://testserver"))
    assert last["next"] is None
    assert api.get(last["previous"].removeprefix("http://testserver")) == first
    assert api.get("/scheduler/runs?limit=3")["next"] is None


def test_runs_that_come_in_do_not_move_the_pages(api: Api) -> None:
    old = [make_run(scheduled_time=after(number)).id for number in range(4)]
    first = api.get("/scheduler/runs?limit=2")
    make_run(scheduled_time=after(100))
    following = api.get(first["next"].removeprefix("http://testserver"))
    assert [run["id"] for run in following["results"]] == old[1::-1]
    newer = api.get(
        api.get(following["previous"].removeprefix("http://testserver"))["previous"].removeprefix("http://testserver")
    )
    assert len(newer["results"]) == 1


def test_links_keep_the_filters(api: Api) -> None:
    for number in range(3):
        make_run(scheduled_time=after(number), status="failed")
    link = api.get("/scheduler/runs?limit=1&status=failed&since=2030-01-01T12:00:00%2B00:00")["next"]
    assert "status=failed" in link
    assert "since=2030-01-01T12%3A00%3A00%2B00%3A00" in link
    assert len(walk(api, link.removeprefix("http://testserver"), "next")) == 2


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "dcba"), ("job=j1", "ca"), ("job=nope", ""), ("status=failed", "b"), ("status=queued&job=j1", "ca"),
        ("since=2030-01-01T12:00:01Z", "dcb"), ("until=2030-01-01T12:00:01Z", "a"),
        ("since=2030-01-01T13:00:01%2B01:00&until=2030-01-01T12:00:03Z", "cb"), ("since=2030-01-01T12:00:02", "dc"),
        ("since=2030-01-02", ""), ("job=j1&status=failed", ""),
    ],
)  # fmt: skip
def test_runs_are_found_by_job_status_and_time(api: Api, query: str, found: str) -> None:
    for number, (actor, job_id, status) in enumerate(
        (("a", "j1", "queued"), ("b", "j2", "failed"), ("c", "j1", "queued"), ("d", "j2", "succeeded"))
    ):
        make_run(job_id, scheduled_time=after(number), status=status, actor=actor)
    assert "".join(run["actor"] for run in api.get(f"/scheduler/runs?{query}")["results"]) == found


def test_times_without_an_offset_are_the_sites(api: Api, settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    make_run()
    assert len(api.get("/scheduler/runs?since=2030-01-01T21:00:00")["results"]) == 1
    assert len(api.get("/scheduler/runs?since=2030-01-01T21:00:01")["results"]) == 0


def test_the_runs_of_a_job_that_never_ran_are_none(api: Api) -> None:
    make_job()
    assert api.get("/scheduler/jobs/job/runs") == {"next": None, "previous": None, "results": []}


def test_the_runs_of_a_job_are_filtered_too_and_are_of_no_other(api: Api) -> None:
    make_run("other")
    make_run(status="failed")
    assert len(api.get("/scheduler/jobs/job/runs")["results"]) == 1
    assert api.get("/scheduler/jobs/job/runs?status=lost")["results"] == []
    assert api.refused("GET", "/scheduler/jobs/job/runs?job=other") == (400, "INVALID_REQUEST", {"job"})


@pytest.mark.parametrize(
    ("offset", "output", "next_offset"),
    [("", "grüße 😀\nend", 11), ("?offset=0", "grüße 😀\nend", 11), ("?offset=6", "😀\nend", 11),
     ("?offset=11", "", 11), ("?offset=999", "", 999), ("?offset=2147483646", "", 2147483646)],
)  # fmt: skip
def test_what_a_run_wrote_is_read_from_a_character_on(api: Api, offset: str, output: str, next_offset: int) -> None:
    run = make_run(status="running", output="grüße 😀\nend")
    assert api.get(f"/scheduler/runs/{run.id}/log{offset}") == {
        "run_id": run.id,
        "offset": next_offset - len(output),
        "next_offset": next_offset,
        "output": output,
        "finished": False,
    }


def test_a_long_output_is_followed_by_offsets_that_stay_right(api: Api) -> None:
    output, read, offset = Output(), "", 0
    run = make_run(status="running")
    for text in ("a" * HEAD, "b" * 10, "c" * TAIL, "ü" * LIMIT, "end"):
        output.write(text)
        run.output, omitted = output.stored()
        run.output_omitted = omitted or None
        run.save()
        body = api.get(f"/scheduler/runs/{run.id}/log?offset={offset}")
        assert (body["offset"], body["next_offset"]) == (offset, output.size)
        read += body["output"]
        offset = body["next_offset"]
    shown = "a" * HEAD + "b" * 10 + "c" * TAIL
    assert read == shown + gap_line(LIMIT - TAIL) + "ü" * TAIL + "end"
    assert api.get(f"/scheduler/runs/{run.id}/log?offset=2147483646")["next_offset"] == 2147483646
    assert api.get(f"/scheduler/runs/{run.id}/log")["output"] == run.output


@pytest.mark.parametrize("status", list(RunStatus))
def test_what_a_run_writes_ends_with_it(api: Api, status: RunStatus) -> None:
    run = make_run(status=status)
    assert api.get(f"/scheduler/runs/{run.id}/log")["finished"] is (status not in ("queued", "running"))


@pytest.mark.parametrize("offset", ["-1", "x", "", "1.5", "2147483647", "9" * 40, "1&offset=2"])
def test_a_wrong_offset_is_refused(api: Api, offset: str) -> None:
    run = make_run()
    assert api.refused("GET", f"/scheduler/runs/{run.id}/log?offset={offset}") == (400, "INVALID_REQUEST", {"offset"})


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
def test_runs_are_a_record_that_nobody_writes(api: Api, method: str) -> None:
    run = make_run()
    for path in ("/scheduler/runs", f"/scheduler/runs/{run.id}", f"/scheduler/runs/{run.id}/log"):
        assert api.refused(method, path, {})[:2] == (405, "METHOD_NOT_ALLOWED")
    assert Run.objects.count() == 1


def test_the_actor_is_whose_token_it_was(api: Api, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}
    make_job()
    response = api.call("POST", "/scheduler/jobs/job/run", authorization=make_token())
    assert response.status_code == 200
    assert Run.objects.get().actor == "anna"
