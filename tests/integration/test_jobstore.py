"""APScheduler's view of the jobs: it sees them all, changes none, and nothing is pickled."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from apscheduler.jobstores.base import JobLookupError
from django_apscheduler.models import DjangoJob, DjangoJobExecution

from jobs.models import Job
from jobs.scheduler.jobstore import JobStore
from jobs.scheduler.scheduler import Scheduler
from tests import job_functions
from tests.fakes import NOW, after, make_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def loop(make_loop: Callable[..., Scheduler]) -> Scheduler:
    return make_loop(paused=True)


@pytest.fixture
def store(loop: Scheduler) -> JobStore:
    return loop._jobstores["default"]


def test_a_job_is_seen_as_an_apscheduler_job(loop: Scheduler) -> None:
    make_job(name="Nightly", args=[1], kwargs={"a": 2}, misfire_grace_time=7, coalesce=False, max_instances=3)
    job = loop.get_job("job")
    assert (job.id, job.name, job.args, job.kwargs) == ("job", "Nightly", (1,), {"a": 2})
    assert (job.misfire_grace_time, job.coalesce, job.max_instances) == (7, False, 3)
    assert (job.func, job.func_ref, job.next_run_time) == (job_functions.record, "tests:record", NOW)


def test_its_trigger_is_ours(loop: Scheduler) -> None:
    make_job()
    job = loop.get_job("job")
    assert str(job.trigger) == "interval[0:00:10]"
    assert job.trigger.get_next_fire_time(NOW, NOW) == after(10)


def test_jobs_can_be_listed_and_printed(loop: Scheduler, capsys: pytest.CaptureFixture[str]) -> None:
    make_job("a")
    make_job("b", paused=True)
    assert {job.id for job in loop.get_jobs()} == {"a", "b"}
    loop.print_jobs()
    assert "a (trigger: interval[0:00:10]" in capsys.readouterr().out


def test_the_due_jobs_are_those_whose_time_has_come(store: JobStore) -> None:
    make_job("due")
    make_job("later", next_run_time=after(1))
    make_job("paused", paused=True)
    assert [job.id for job in store.get_due_jobs(NOW)] == ["due"]


def test_the_next_run_time_is_the_earliest(store: JobStore) -> None:
    assert store.get_next_run_time() is None
    make_job("later", next_run_time=after(5))
    make_job("sooner", next_run_time=after(2))
    assert store.get_next_run_time() == after(2)


def test_an_unknown_job_is_none(loop: Scheduler) -> None:
    assert loop.get_job("nobody") is None


@pytest.mark.parametrize("damage", [{"trigger": []}, {"func": "gone:away"}, {"args": 5}], ids=repr)
def test_a_damaged_job_is_passed_over_and_stays(loop: Scheduler, damage: dict[str, object]) -> None:
    make_job("broken")
    Job.objects.update(**damage)
    make_job("good")
    assert [job.id for job in loop.get_jobs()] == ["good"]
    assert loop.get_job("broken") is None
    assert Job.objects.filter(pk="broken").exists()


def test_changes_by_apschedulers_calls_are_refused(loop: Scheduler) -> None:
    make_job()
    for change in (
        lambda: loop.add_job(job_functions.record, "interval", seconds=5),
        lambda: loop.pause_job("job"),
        lambda: loop.modify_job("job", name="other"),
        lambda: loop.remove_job("job"),
        lambda: loop.remove_all_jobs(),
    ):
        with pytest.raises(NotImplementedError):
            change()
    assert Job.objects.get().name == "job"


def test_removing_an_unknown_job_says_so(loop: Scheduler) -> None:
    with pytest.raises(JobLookupError):
        loop.remove_job("nobody")


def test_the_tables_of_django_apscheduler_stay_empty(make_loop: Callable[..., Scheduler]) -> None:
    make_job()
    loop = make_loop()
    loop.tick.run()
    assert not DjangoJob.objects.exists()
    assert not DjangoJobExecution.objects.exists()
