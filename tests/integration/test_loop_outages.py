"""The loop survives a database that fails: no run is lost or runs twice, and the loop does not spin."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import InternalError, OperationalError
from psycopg.errors import ReadOnlySqlTransaction

from jobs.models import Run, Scheduler
from jobs.scheduler.lease_time import HEARTBEAT_SECONDS
from jobs.scheduler.scheduler import DRAIN_SECONDS
from jobs.scheduler.scheduler import Scheduler as Loop
from jobs.scheduler.store import admission, claims, recovery
from tests.fakes import (
    FakeClock,
    after,
    inline_executors,
    make_job,
    make_jobs,
    make_run,
)

from .conftest import failing_database
from .loop_support import Calls, MakeLoop, executor, statuses, step

pytestmark = pytest.mark.django_db(transaction=True)


# --- a database that fails -------------------------------------------------------------------------------------------


def test_a_tick_outlives_a_database_that_fails(make_loop: MakeLoop, caplog: pytest.LogCaptureFixture) -> None:
    loop = make_loop()
    with failing_database(OperationalError("gone")):
        assert 0 < step(loop) <= 5
    assert [record.action for record in caplog.records if record.levelname == "ERROR"] == ["tick_failed"]


def test_it_tries_again_later_and_later_up_to_five_seconds(make_loop: MakeLoop) -> None:
    loop = make_loop()
    with failing_database(OperationalError("gone")):
        waits = [step(loop) for _ in range(8)]
    assert waits == sorted(waits)
    assert waits[-1] == 5.0


def test_it_goes_on_when_the_database_is_back(make_loop: MakeLoop, calls: Calls) -> None:
    make_job()
    loop = make_loop()
    with failing_database(OperationalError("gone")):
        step(loop)
    step(loop)
    executor(loop).work()
    assert len(calls) == 1


def test_an_outcome_is_written_once_the_database_is_back(make_loop: MakeLoop, clock: FakeClock) -> None:
    make_job()
    loop = make_loop()
    loop.tick.run()
    executor(loop).work()
    clock.advance(1)
    with failing_database(OperationalError("gone")):
        step(loop)
    assert statuses() == ["queued"]
    step(loop)
    assert statuses() == ["succeeded"]


def read_only() -> InternalError:
    """Return the error of a standby for a write."""
    error = InternalError("cannot execute SELECT FOR UPDATE in a read-only transaction")
    error.__cause__ = ReadOnlySqlTransaction()
    return error


@pytest.mark.parametrize("error", [OperationalError("database is locked"), read_only()], ids=["locked", "read-only"])
def test_a_start_waits_for_a_database_that_cannot_be_written(
    make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    real = recovery.recover

    def fail(*args: Any) -> Any:
        monkeypatch.setattr(recovery, "recover", real)
        raise error

    monkeypatch.setattr(recovery, "recover", fail)
    monkeypatch.setattr("jobs.scheduler.scheduler.FIRST_RETRY_SECONDS", 0.001)
    loop = make_loop()
    assert Scheduler.objects.get().id == loop.tick.lease.scheduler_id


def test_a_start_that_waits_for_the_database_ends_when_it_is_told_to(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = Loop(inline_executors(1, 1), clock)  # type: ignore[arg-type]

    def fail(*args: Any) -> Any:
        loop.drain()
        raise OperationalError("database is locked")

    monkeypatch.setattr(recovery, "recover", fail)
    loop.run_once()
    assert not Scheduler.objects.exists()


def test_runs_of_a_claim_whose_answer_was_lost_are_given_back_with_a_heartbeat(
    make_loop: MakeLoop, clock: FakeClock
) -> None:
    loop = make_loop(threads=1)
    run = make_run(scheduler_id=loop.tick.lease.scheduler_id, available_at=after(3600))
    clock.advance(HEARTBEAT_SECONDS)
    loop.tick.run()
    assert Run.objects.get(pk=run.pk).scheduler_id is None


class Waits:
    """Replaces the loop's bell: it remembers how long the loop waits, lets that time pass, and ends the loop."""

    def __init__(self, loop: Loop, turns: int) -> None:
        """End `loop` after so many turns."""
        self.waited: list[float] = []
        self._loop = loop
        self._turns = turns

    def wait(self, timeout: float) -> None:
        """Remember `timeout`."""
        self.waited.append(timeout)
        self._loop.clock.advance(timeout)  # type: ignore[attr-defined]
        if len(self.waited) >= self._turns:
            self._loop.force()

    def set(self) -> None:
        """Do nothing: nothing waits."""

    def clear(self) -> None:
        """Do nothing."""


class Noise(Waits):
    """Wakes the loop a hundred times a second."""

    def wait(self, timeout: float) -> None:
        """Wake it after at most 10 ms."""
        super().wait(min(timeout, 0.01))
        self._loop.tick.woken = True


def test_a_wake_up_during_an_outage_does_not_shorten_the_wait(make_loop: MakeLoop) -> None:
    loop = make_loop()
    loop._event = Noise(loop, turns=100)  # type: ignore[assignment]
    with failing_database(OperationalError("gone")) as tried:
        loop._main_loop()
    assert len(tried) <= 4


def test_outcomes_that_cannot_be_written_do_not_make_the_loop_spin(make_loop: MakeLoop) -> None:
    make_job()
    loop = make_loop()
    loop.tick.run()
    executor(loop).work()
    waits = Waits(loop, turns=6)
    loop._event = waits  # type: ignore[assignment]
    loop.tick.woken = False
    with failing_database(OperationalError("gone")):
        loop._main_loop()
    assert [round(wait, 1) for wait in waits.waited] == [0.0, 0.2, 0.4, 0.8, 1.6, 3.2]


@pytest.mark.parametrize("module, claim", [(claims, "claim_due"), (admission, "admit")])
def test_the_run_of_a_claim_whose_answer_was_lost_runs_once(
    make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch, calls: Calls, module: Any, claim: str
) -> None:
    make_job() if claim == "claim_due" else make_run()
    loop = make_loop()
    real = getattr(module, claim)

    def lose_the_answer(*args: Any, **named: Any) -> Any:
        monkeypatch.setattr(module, claim, real)
        real(*args, **named)
        raise OperationalError("the connection broke at COMMIT")

    monkeypatch.setattr(module, claim, lose_the_answer)
    step(loop)
    assert executor(loop).queued == 0
    for _ in range(3):
        step(loop)
        executor(loop).work()
    assert len(calls) == 1


def test_a_waiting_run_is_not_forgotten_when_the_claim_after_it_fails(
    make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch, calls: Calls
) -> None:
    make_job()
    make_run("waiting", args=["waiting"])
    loop = make_loop()
    real = claims.claim_due

    def fail(*args: Any, **named: Any) -> Any:
        monkeypatch.setattr(claims, "claim_due", real)
        raise OperationalError("gone")

    monkeypatch.setattr(claims, "claim_due", fail)
    for _ in range(4):
        step(loop)
        executor(loop).work()
    assert sorted(calls) == [(), ("waiting",)]


def test_after_a_failure_queued_runs_stay_queued(make_loop: MakeLoop) -> None:
    make_jobs(2)
    loop = make_loop()
    loop.tick.run()
    with failing_database(OperationalError("gone")):
        step(loop)
    step(loop)
    assert Run.objects.filter(scheduler_id=loop.tick.lease.scheduler_id).count() == 2
    assert executor(loop).queued == 2


# --- told to stop while the database is gone -------------------------------------------------------------------------


def end_without_a_database(loop: Loop) -> Waits:
    """Drain `loop` while every statement fails; return its waits."""
    waits = Waits(loop, turns=100)
    loop._event = waits  # type: ignore[assignment]
    loop.drain()
    with failing_database(OperationalError("gone")):
        loop._main_loop()
        loop._close()
    return waits


def signed_off(caplog: pytest.LogCaptureFixture) -> tuple[str, str]:
    """Return the level and the message of the log record about the sign-off."""
    (record,) = [found for found in caplog.records if getattr(found, "action", "") == "scheduler_sign_off_failed"]
    return record.levelname, record.getMessage()


def test_with_nothing_to_write_it_ends_at_once(make_loop: MakeLoop, caplog: pytest.LogCaptureFixture) -> None:
    loop = make_loop()
    assert end_without_a_database(loop).waited == []
    assert loop.unfinished == 0
    assert signed_off(caplog) == ("WARNING", "could not sign off: gone; nothing is lost")


@pytest.mark.parametrize("ended", [True, False], ids=["an outcome", "a run that has not started"])
def test_with_something_to_write_it_waits_for_as_long_as_a_drain_may_take(
    make_loop: MakeLoop, clock: FakeClock, caplog: pytest.LogCaptureFixture, ended: bool
) -> None:
    make_job()
    loop = make_loop()
    loop.tick.run()
    if ended:
        executor(loop).work()
    began = clock.monotonic()
    end_without_a_database(loop)
    assert DRAIN_SECONDS <= clock.monotonic() - began <= DRAIN_SECONDS + 5
    assert loop.unfinished == 1
    assert signed_off(caplog) == ("ERROR", "could not sign off: gone; 1 runs are lost when its lease ends")
