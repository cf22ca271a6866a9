"""Messages that start nothing: those of another site on the same broker are told from those that come twice."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs.models import Run
from jobs.scheduler.store.dispatch import Dispatch, never_sent
from jobs.worker.foreign_messages import REPEAT_SECONDS, ForeignMessages
from tests.fakes import NOW, FakeClock, after, make_run

from .test_dispatch import dispatched

pytestmark = pytest.mark.django_db


def other(run_id: int) -> Dispatch:
    """Return a delivery that nobody knows."""
    return Dispatch(run_id, "", uuid4().hex)


def test_the_message_of_a_run_that_has_started_or_ended_is_known() -> None:
    _, one = dispatched()
    assert never_sent([one]) == []
    Run.objects.update(status="succeeded", finished_at=NOW)
    assert never_sent([one]) == []


def test_a_message_of_a_run_that_was_sent_again_is_known() -> None:
    _, one = dispatched()
    Run.objects.update(dispatches=2, dispatch_id=uuid4().hex)
    assert never_sent([one]) == []


def test_the_messages_of_another_site_are_not_known_though_it_has_runs_of_the_same_numbers() -> None:
    run, one = dispatched()
    local = make_run(scheduled_time=after(60))
    same, none, of_a_thread = other(run.pk), other(local.pk + 1000), other(local.pk)
    assert never_sent([one, same, none, of_a_thread]) == [same, none, of_a_thread]


def test_a_stranger_is_warned_of_once_a_minute(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    foreign = ForeignMessages(clock, ["reports", "mail"])
    for seconds in (0, 1, REPEAT_SECONDS):
        clock.advance(seconds)
        foreign.warn([other(7)])
    assert [record.__dict__["action"] for record in caplog.records] == ["message_of_another_site"] * 2
    assert "for run 7 " in caplog.messages[0]
    assert "(reports, mail)" in caplog.messages[0]


def test_nothing_is_looked_at_if_every_run_has_started(clock: FakeClock) -> None:
    with CaptureQueriesContext(connection) as queries:
        ForeignMessages(clock, []).warn([])
    assert len(queries) == 0
