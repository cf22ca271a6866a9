"""The header Idempotency-Key: a request that is sent again does its work once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from jobs import services
from jobs.models import IdempotencyKey, Job, Run
from jobs.services import idempotency
from tests.fakes import NOW, FakeClock, after, make_job, make_run, make_token, make_user
from tests.waiting import until

from .api_client import Api
from .conftest import in_thread

JOBS = "/scheduler/jobs"
RUN = "/scheduler/jobs/job/run"
BODY = {"id": "job", "func": "tests:echo", "trigger": "interval", "seconds": 5}
REPLAYED = "Idempotency-Replayed"


def send(api: Api, path: str = RUN, body: Any = None, *, key: str = "k", **headers: str) -> tuple[int, Any, bool]:
    """Send a request with a key; return the status, the body, and whether the answer was replayed."""
    response = api.call("POST", path, body, **{"idempotency-key": key, **headers})
    assert response.get(REPLAYED, "true") == "true"
    return response.status_code, response.json(), REPLAYED in response


def test_a_job_is_added_once(api: Api) -> None:
    added = {"id": "job", "status": "added"}
    assert [send(api, JOBS, BODY) for _ in range(3)] == [(200, added, False), (200, added, True), (200, added, True)]
    assert Job.objects.count() == IdempotencyKey.objects.count() == 1


def test_a_run_is_queued_once(api: Api) -> None:
    make_job()
    _, first, replayed = send(api)
    assert not replayed
    assert send(api) == (200, first, True)
    assert send(api, body={}) == (200, first, True)
    assert Run.objects.get().id == first["run_id"]


def test_a_retry_is_queued_once(api: Api) -> None:
    path = f"/scheduler/runs/{make_run(status='failed').id}/retry"
    first = send(api, path)
    assert send(api, path) == (200, first[1], True)
    assert Run.objects.count() == 2


def test_another_key_is_another_request(api: Api) -> None:
    make_job()
    assert send(api, key="a")[1] != send(api, key="b")[1]
    assert Run.objects.count() == 2


def test_the_order_of_the_fields_does_not_matter(api: Api) -> None:
    send(api, JOBS, BODY)
    assert send(api, JOBS, dict(reversed(BODY.items())))[2]


@pytest.mark.parametrize(
    ("path", "body"), [(RUN, {"args": [2]}), (RUN, {"kwargs": {}}), ("/scheduler/jobs/other/run", None), (JOBS, BODY)]
)
def test_a_key_that_came_with_another_request_is_refused(api: Api, path: str, body: Any) -> None:
    make_job(func="tests:echo", args=[1])
    make_job("other")
    send(api)
    status, answer, replayed = send(api, path, body)
    assert (status, answer["code"], replayed) == (422, "IDEMPOTENCY_KEY_REUSED", False)
    assert Run.objects.count() == 1


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "é", "a\x00", "a\tb", "\x7f"])
def test_a_key_that_is_none(api: Api, key: str) -> None:
    make_job()
    status, answer, _ = send(api, key=key)
    assert (status, answer["code"], set(answer["fields"])) == (400, "INVALID_REQUEST", {"Idempotency-Key"})
    assert not Run.objects.exists()


@pytest.mark.parametrize("key", ["x", "!", "~" * 255, '"8e03978e-40d5-43dd-bc93-6894a57f9324"'])
def test_a_key_that_is_one(api: Api, key: str) -> None:
    make_job()
    assert [send(api, key=key)[2] for _ in range(2)] == [False, True]


def test_a_refusal_is_not_kept(api: Api) -> None:
    for _ in range(2):
        assert send(api)[:1] == (404,)
        assert send(api, JOBS, {**BODY, "seconds": 0})[:1] == (400,)
    assert not IdempotencyKey.objects.exists()
    assert send(api, JOBS, BODY) == (200, {"id": "job", "status": "added"}, False)
    assert send(api, JOBS, {**BODY, "name": "x"})[0] == 422
    assert send(api, JOBS, BODY, key="other")[0] == 409
    assert IdempotencyKey.objects.count() == 1


def test_work_that_fails_is_not_done_and_its_key_is_free(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    make_job()

    def run_and_fail(*args: Any, **kwargs: Any) -> None:
        run_job(*args, **kwargs)
        raise ValueError

    run_job = services.run_job
    monkeypatch.setattr(services, "run_job", run_and_fail)
    assert send(api)[0] == 500
    assert not Run.objects.exists()
    monkeypatch.setattr(services, "run_job", run_job)
    assert send(api)[::2] == (200, False)


def test_an_answer_is_kept_for_a_day(api: Api, clock: FakeClock) -> None:
    make_job()
    send(api)
    clock.advance(24 * 3600 - 1)
    assert send(api)[2]
    clock.advance(1)
    assert not send(api)[2]
    assert (Run.objects.count(), IdempotencyKey.objects.count()) == (2, 1)


def test_an_answer_is_replayed_when_the_run_is_gone(api: Api) -> None:
    make_job()
    _, answer, _ = send(api)
    Run.objects.all().delete()
    assert send(api) == (200, answer, True)


def test_old_keys_are_deleted_some_at_a_time(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "BATCH", 3)
    make_job()
    IdempotencyKey.objects.bulk_create(
        IdempotencyKey(key=f"{n}", digest="x", body={}, created_at=NOW - timedelta(days=1, seconds=n)) for n in range(5)
    )
    IdempotencyKey.objects.create(key="young", digest="x", body={}, created_at=after(-3600))
    send(api)
    assert set(IdempotencyKey.objects.values_list("key", flat=True)) == {"0", "1", "young", "k"}
    send(api)
    assert IdempotencyKey.objects.count() == 4


def test_a_key_belongs_to_who_sends_it(api: Api, settings: Any, django_user_model: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}
    make_job()
    for name in ("anna", "bert"):
        token = make_token(make_user(name, "operator"))
        assert [send(api, authorization=token)[2] for _ in range(2)] == [False, True]
    assert set(Run.objects.values_list("actor", flat=True)) == {"anna", "bert"}


def test_elsewhere_the_header_is_left_alone(api: Api) -> None:
    make_job()
    for path in ("pause", "resume"):
        assert send(api, f"/scheduler/jobs/job/{path}", key=" ")[::2] == (200, False)
    assert not IdempotencyKey.objects.exists()


def somebody_waits() -> bool:
    """Tell whether a statement on this database waits for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # within a transaction it stays what it was
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() "
            "AND wait_event_type = 'Lock')"
        )
        return cursor.fetchone()[0]


def together(number: int, call: Callable[[], Any]) -> list[Any]:
    """Return the results of `number` calls at once, each in a thread with a connection of its own."""
    waiting = [in_thread(call) for _ in range(number)]
    return [result() for result in waiting]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("patient_writers")
def test_twenty_clients_at_once_queue_one_run(api: Api) -> None:
    make_job()
    answers = together(20, lambda: send(Api()))
    assert {status for status, _, _ in answers} == {200}
    assert sorted(replayed for _, _, replayed in answers) == [False] + [True] * 19
    assert {answer["run_id"] for _, answer, _ in answers} == {Run.objects.get().id}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("patient_writers")
def test_twenty_clients_at_once_add_one_job(api: Api) -> None:
    answers = together(20, lambda: send(Api(), JOBS, BODY))
    assert {status for status, _, _ in answers} == {200}
    assert [replayed for _, _, replayed in answers].count(False) == 1
    assert Job.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("patient_writers")
def test_twenty_clients_with_keys_of_their_own_queue_twenty_runs(api: Api, clock: FakeClock) -> None:
    make_job()
    IdempotencyKey.objects.bulk_create(
        IdempotencyKey(key=f"{n}", digest="x", body={}, created_at=NOW - timedelta(days=1)) for n in range(30)
    )
    keys = iter(range(20))
    answers = together(20, lambda: send(Api(), key=str(next(keys))))
    assert {(status, replayed) for status, _, replayed in answers} == {(200, False)}
    assert Run.objects.count() == 20


@pytest.mark.django_db(transaction=True)
def test_who_waits_does_the_work_where_the_first_could_not(api: Api, postgresql_only: None) -> None:
    make_job()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        IdempotencyKey.objects.create(key="k", digest="x", body={}, created_at=NOW)
        waiting = in_thread(lambda: send(Api()))
        until(somebody_waits)
        raise ZeroDivisionError
    assert waiting()[::2] == (200, False)
    assert Run.objects.count() == 1
