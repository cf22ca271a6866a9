"""The recorder keeps starts and outcomes in memory until they are written."""

from __future__ import annotations

from datetime import datetime

import pytest

from jobs.calls.output import Output
from jobs.calls.runner import Activity
from jobs.core.held import Start
from jobs.core.output import HEAD, LIMIT, TAIL, gap_line
from jobs.scheduler import recorder as module
from jobs.scheduler.recorder import Recorder
from tests.fakes import NOW, after, held_run, outcome


@pytest.fixture
def changes() -> list[int | None]:
    """The reports of the recorder: the id of each run that ended, and None for each start."""
    return []


@pytest.fixture
def recorder(changes: list[int | None]) -> Recorder:
    return Recorder(changes.append)


def activity(run_id: int, started_at: datetime = NOW) -> Activity:
    return Activity(held_run(run_id), started_at, Output())


def test_it_is_dirty_until_everything_is_written(recorder: Recorder) -> None:
    assert not recorder.dirty
    recorder.started(activity(1))
    assert recorder.dirty
    recorder.forget(recorder.batch())
    assert not recorder.dirty
    recorder.finished(outcome(1))
    assert recorder.dirty
    recorder.forget(recorder.batch())
    assert not recorder.dirty


def test_it_reports_every_change(recorder: Recorder, changes: list[int | None]) -> None:
    recorder.started(activity(1))
    recorder.started(activity(2))
    recorder.finished(outcome(1))
    assert changes == [None, None, 1]


def test_it_knows_what_is_running(recorder: Recorder) -> None:
    recorder.started(activity(1))
    recorder.started(activity(2))
    recorder.finished(outcome(1))
    assert recorder.running == 1
    assert [found.run.id for found in recorder.activities()] == [2]


def test_outcomes_are_unwritten_until_they_are_forgotten(recorder: Recorder) -> None:
    recorder.finished(outcome(1))
    assert recorder.unwritten() == {1}
    batch = recorder.batch()
    recorder.finished(outcome(2))
    assert recorder.unwritten() == {1, 2}
    recorder.forget(batch)
    assert recorder.unwritten() == {2}


def test_a_batch_that_was_not_forgotten_is_in_the_next_one(recorder: Recorder) -> None:
    recorder.started(activity(1, after(1)))
    recorder.finished(outcome(2))
    recorder.batch()
    recorder.finished(outcome(3))
    starts, outcomes = recorder.batch()
    assert starts == [Start(1, after(1))]
    assert [ended.run_id for ended in outcomes] == [2, 3]


def test_a_run_that_ended_before_its_start_was_written_has_only_an_outcome(recorder: Recorder) -> None:
    recorder.started(activity(1))
    recorder.finished(outcome(1))
    starts, outcomes = recorder.batch()
    assert (starts, [ended.run_id for ended in outcomes]) == ([], [1])


def test_a_cancelled_run_is_told(recorder: Recorder) -> None:
    running = activity(1)
    recorder.started(running)
    recorder.cancel(1, "cancelled by ann")
    recorder.cancel(2, "not running here")
    assert (running.context.cancelled, running.reason) == (True, "cancelled by ann")


def test_a_live_update_has_only_what_is_new(recorder: Recorder) -> None:
    running = activity(1)
    recorder.started(running)
    running.output.write("one, ")
    first = recorder.live_updates()
    assert [(update.kept, update.text, update.size) for update in first] == [(0, "one, ", 5)]
    recorder.shown(first)
    assert recorder.live_updates() == []
    running.output.write("two")
    running.context.progress(1, 3)
    (second,) = recorder.live_updates()
    assert (second.kept, second.text, second.size, second.progress) == (5, "two", 8, (1, 3))


def test_a_live_update_of_a_long_output_replaces_its_tail(recorder: Recorder) -> None:
    running = activity(1)
    recorder.started(running)
    running.output.write("a" * LIMIT)
    recorder.shown(recorder.live_updates())
    running.output.write("b" * 1000)
    (update,) = recorder.live_updates()
    assert (update.kept, update.size, update.omitted) == (HEAD, LIMIT + 1000, LIMIT + 1000 - HEAD - TAIL)
    assert update.text == gap_line(update.omitted) + "a" * (TAIL - 1000) + "b" * 1000
    recorder.shown([update])
    running.context.progress(1, 2)
    (update,) = recorder.live_updates()
    assert (update.text, update.progress) == ("", (1, 2))


def test_a_live_update_that_was_not_written_is_offered_again(recorder: Recorder) -> None:
    running = activity(1)
    recorder.started(running)
    running.output.write("so far")
    assert recorder.live_updates() == recorder.live_updates() != []


def test_runs_take_turns_where_there_is_too_much_output(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LIVE_CHARACTERS", 10)
    running = [activity(run_id) for run_id in (1, 2, 3)]
    for found in running:
        recorder.started(found)
        found.output.write("12345")
    first = recorder.live_updates()
    recorder.shown(first)
    running[0].output.write("6")
    second = recorder.live_updates()
    assert [update.run_id for update in first] == [1, 2]
    assert [update.run_id for update in second] == [3]
