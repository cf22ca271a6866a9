"""The choice of waiting runs: in order, and no job and no group above its limit."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from jobs.scheduler.store.admission import Candidate, choose


def waits(
    run_id: int, job: str = "job", *, executor: str = "thread", group: str = "", instances: int | None = 1,
    limit: int | None = 1,
) -> Candidate:  # fmt: skip
    return Candidate(run_id, job, executor, group, instances, limit)


def chosen(*waiting: Candidate, thread: int = 9, process: int = 9, **held: dict[str, int]) -> list[int]:
    rooms = {"thread": thread, "process": process}
    return choose(waiting, rooms, by_job=held.get("by_job", {}), by_group=held.get("by_group", {}))


def test_runs_start_in_order() -> None:
    assert chosen(waits(3, "c"), waits(1, "a"), waits(2, "b")) == [3, 1, 2]


def test_no_more_runs_start_than_the_capacity_allows() -> None:
    assert chosen(waits(1, "a"), waits(2, "b"), waits(3, "c"), thread=2) == [1, 2]


def test_each_executor_has_its_own_capacity() -> None:
    assert chosen(waits(1, "a"), waits(2, "b", executor="process"), thread=0) == [2]


def test_an_executor_that_the_scheduler_does_not_have_has_no_capacity() -> None:
    assert chosen(waits(1, executor="celery")) == []


def test_a_job_has_at_most_max_instances_runs() -> None:
    assert chosen(waits(1, instances=2), waits(2, instances=2), waits(3, instances=2)) == [1, 2]


def test_held_runs_count_as_instances() -> None:
    assert chosen(waits(1, instances=2), waits(2, instances=2), by_job={"job": 1}) == [1]


def test_a_full_job_does_not_hold_up_the_others() -> None:
    assert chosen(waits(1), waits(2, "other"), by_job={"job": 1}) == [2]


def test_a_group_has_at_most_its_limit_of_runs() -> None:
    runs = [waits(number, f"job-{number}", group="g", limit=2) for number in range(4)]
    assert chosen(*runs) == [0, 1]
    assert chosen(*runs, by_group={"g": 1}) == [0]
    assert chosen(*runs, by_group={"g": 2}) == []


def test_the_limit_of_a_run_is_its_own_jobs() -> None:
    assert chosen(waits(1, "a", group="g", limit=1), waits(2, "b", group="g", limit=2), by_group={"g": 1}) == [2]


def test_groups_do_not_share_a_limit() -> None:
    assert chosen(waits(1, "a", group="g"), waits(2, "b", group="h"), waits(3, "c")) == [1, 2, 3]


def test_the_runs_of_a_removed_job_have_no_limit() -> None:
    runs = [waits(number, "removed", group="g", instances=None, limit=None) for number in range(3)]
    assert chosen(*runs) == [0, 1, 2]


@given(
    runs=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["thread", "process"]), st.sampled_from(["", "g", "h"])),
        max_size=20,
    ),
    rooms=st.fixed_dictionaries({"thread": st.integers(0, 5), "process": st.integers(0, 5)}),
    instances=st.integers(1, 3),
    limit=st.integers(1, 3),
    by_job=st.dictionaries(st.sampled_from("abc"), st.integers(0, 3)),
    by_group=st.dictionaries(st.sampled_from("gh"), st.integers(0, 3)),
)
def test_no_limit_is_exceeded_and_every_run_that_fits_starts(
    runs: list[tuple[str, str, str]], rooms: dict[str, int], instances: int, limit: int, by_job: dict[str, int],
    by_group: dict[str, int],
) -> None:  # fmt: skip
    waiting = [
        waits(number, job, executor=executor, group=group, instances=instances, limit=limit)
        for number, (job, executor, group) in enumerate(runs)
    ]
    ids = choose(waiting, rooms, by_job=by_job, by_group=by_group)
    jobs = Counter(by_job) + Counter(waiting[number].job_id for number in ids)
    groups = Counter(by_group) + Counter(waiting[number].group for number in ids if waiting[number].group)
    executors = Counter(waiting[number].lane for number in ids)
    assert ids == sorted(set(ids))
    assert all(count <= rooms[name] for name, count in executors.items())
    assert all(count <= max(instances, by_job.get(name, 0)) for name, count in jobs.items())
    assert all(count <= max(limit, by_group.get(name, 0)) for name, count in groups.items())
    for run in waiting:
        if run.id not in ids:
            full = jobs[run.job_id] >= instances or executors[run.lane] >= rooms[run.lane]
            assert full or (run.group and groups[run.group] >= limit)
