"""Tracebacks show the frames of the project's own code; those of libraries are folded and counted."""

from __future__ import annotations

from jobs.admin.runs.tracebacks import own_frames

OWN = '  File "/srv/app/crm.py", line 4, in sync\n    fetch()\n'
LIBRARY = '  File "/venv/lib/python3.12/site-packages/urllib3/pool.py", line 7, in urlopen\n    raise E\n'
STANDARD = '  File "/usr/lib/python3.12/json/__init__.py", line 7, in loads\n    raise E\n    ^^^^^\n'
HEAD, END = "Traceback (most recent call last):\n", "E: no\n"


def shown(*parts: str) -> list[tuple[str, str]]:
    return [(part.text, part.look) for part in own_frames("".join(parts))]


def test_frames_of_libraries_are_folded_and_the_last_own_one_is_marked():
    assert shown(HEAD, STANDARD, OWN, LIBRARY, LIBRARY, STANDARD, END) == [
        (HEAD, "quiet"), ("  … 1 frame of Python\n", "quiet"), (OWN, "mark"),
        ("  … 3 frames of urllib3, Python\n", "quiet"), (END, ""),
    ]  # fmt: skip


def test_without_frames_to_fold_or_to_show_it_stays_as_it_is():
    assert shown(HEAD, OWN, END) == []
    assert shown(HEAD, LIBRARY, END) == []
    assert shown("") == []


def test_the_cause_of_an_error_is_folded_as_well():
    between = "\nDuring handling of the above exception, another exception occurred:\n\n"
    found = shown(HEAD, OWN, LIBRARY, END, between, HEAD, LIBRARY, OWN, END)
    assert [look for text, look in found if text == OWN] == ["", "mark"]
    assert ("\n", "") in found


def test_a_single_file_module_and_windows_paths_are_libraries_too():
    single = '  File "C:\\venv\\Lib\\site-packages\\six.py", line 1, in f\n'
    assert ("  … 1 frame of six\n", "quiet") in shown(HEAD, OWN, single, END)
