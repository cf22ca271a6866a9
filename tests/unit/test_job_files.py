"""Files with jobs: valid ones are read, and errors are refused with their place."""

from __future__ import annotations

import pytest

from jobs.core.exceptions import InvalidRequest
from jobs.transfer.files import dump, load, read

JOBS = [
    {"id": "a", "func": "m:f", "trigger": {"type": "date", "run_date": "2031-01-01 10:00:00"}, "args": ["ä", 1, None]}
]


def test_what_is_written_is_read_again() -> None:
    assert load(dump(JOBS)).jobs == JOBS


def test_a_file_without_jobs_is_fine() -> None:
    assert load("version: 1\njobs: []\n").jobs == []


def test_json_is_read_too() -> None:
    assert load('{"version": 1, "jobs": [{"id": "a"}]}').jobs == [{"id": "a"}]


@pytest.mark.parametrize("value", ["010", "08", "1:30", "1_000", "0x1F", "00", "-07"])
def test_numbers_that_json_does_not_know_stay_texts(value: str) -> None:
    assert load(f"version: 1\njobs:\n- hour: {value}\n").jobs == [{"hour": value}]


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("10", 10), ("-7", -7), ("+7", 7), ("1.5", 1.5)])
def test_numbers_are_decimal(text: str, number: float) -> None:
    assert load(f"version: 1\njobs:\n- args: [{text}]\n").jobs == [{"args": [number]}]


@pytest.mark.parametrize(
    "text", ["010", "08", "1:30", "1_000", "0x1F", "07012", "2031-01-01", "no", "~", "1e3", "=", ""]
)
def test_texts_that_look_like_other_values_are_read_as_they_were_written(text: str) -> None:
    jobs = [{"id": "a", "args": [text], "trigger": {"hour": text}}]
    assert load(dump(jobs)).jobs == jobs


@pytest.mark.parametrize("value", ["2031-01-01", "2031-01-01 10:00:00", "2031-01-01T10:00:00Z"])
def test_dates_stay_texts(value: str) -> None:
    assert load(f"version: 1\njobs:\n- run_date: {value}\n").jobs == [{"run_date": value}]


def test_anchors_save_writing() -> None:
    text = "version: 1\njobs:\n- &a {id: a, trigger: {type: interval, hours: 1}}\n- {<<: *a, id: b}\n"
    assert [job["id"] for job in load(text).jobs] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "must be an object"),
        ("[]", "must be an object"),
        ("version: 2\njobs: []", "version 2"),
        ("jobs: []", "version None"),
        ("version: 1", "must be a list"),
        ("version: 1\njobs: {}", "must be a list"),
        ("version: 1\njobs: [a]", "jobs.0. is not an object"),
        ("version: 1\njob: []\njobs: []", "unknown key 'job'"),
        ("version: 1\njobs: [", "line 2"),
        ("version: 1\njobs:\n- id: a\n  id: b\n", "stands twice"),
        ("version: 1\njobs: !!python/object/apply:os.system [ls]", "is not YAML that can be read"),
        ("version: 1\njobs: &a [*a]", "is not YAML that can be read"),
        ("\x00", "is not YAML that can be read"),
    ],
)
def test_another_form_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason.replace("'", ".")):
        load(text)


def test_aliases_do_not_multiply_without_bound() -> None:
    levels = "\n".join(f"  - &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10))
    with pytest.raises(InvalidRequest, match="too many values"):
        load(f"version: 1\nx:\n  - &l0 [1]\n{levels}\njobs: []\n")


def test_a_mapping_that_holds_itself_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="is not YAML that can be read"):
        load("version: 1\njobs:\n- &a {id: a, kwargs: *a}\n")


def test_a_file_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(InvalidRequest, match=r"gone\.yaml cannot be read"):
        read(str(tmp_path / "gone.yaml"))


def test_a_byte_order_mark_is_skipped(tmp_path) -> None:
    path = tmp_path / "jobs.yaml"
    path.write_bytes(b"\xef\xbb\xbfversion: 1\njobs: []\n")
    assert read(str(path)).jobs == []
