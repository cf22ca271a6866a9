"""Crontab files: each line becomes a job, or is left out with the reason."""

from __future__ import annotations

import pytest

from jobs.transfer.crontab import read_crontab


def only(text: str, **options: bool) -> dict:
    (job,) = read_crontab(text, **options).jobs
    return job


def test_a_line_becomes_a_shell_job_with_its_crontab() -> None:
    job = only("*/5 * * * * /opt/backup.sh --all\n")
    assert (job["id"], job["func"], job["args"]) == ("backup.sh", "cronzimus.functions:shell", ["/opt/backup.sh --all"])
    assert job["trigger"] == {"type": "cron", "crontab": "*/5 * * * *"}


def test_blank_lines_and_comments_are_nothing() -> None:
    assert read_crontab("\n  \n# a comment\n   # another\n").entries == []


def test_assignments_hold_for_the_lines_below_them() -> None:
    first, second = read_crontab("0 1 * * * a\nPATH = /opt/bin\nX='two words'\n0 2 * * * b\n").jobs
    assert "env" not in first.get("kwargs", {})
    assert second["kwargs"]["env"] == {"PATH": "/opt/bin", "X": "two words"}


@pytest.mark.parametrize("name", ["CRON_TZ", "TZ"])
def test_the_time_zone_is_the_triggers(name: str) -> None:
    assert only(f"{name}=Asia/Tokyo\n0 9 * * * report\n")["trigger"]["timezone"] == "Asia/Tokyo"


def test_the_shell_of_the_file_is_the_jobs() -> None:
    assert only("SHELL=/bin/bash\n0 9 * * * report\n")["kwargs"] == {"shell": "/bin/bash"}


def test_mailto_is_pointed_to_an_alert_rule() -> None:
    (entry,) = read_crontab("MAILTO=ops@example.com\n").entries
    assert "alert rule" in entry.notes[0]
    assert "ops@example.com" in entry.notes[0]


@pytest.mark.parametrize(
    ("command", "line", "stdin"),
    [
        ("mail x%Hello%World", "mail x", "Hello\nWorld\n"),
        (r"date +\%F", "date +%F", None),
        (r"echo 100\% done%now", "echo 100% done", "now\n"),
        ("cat%", "cat", "\n"),
    ],
)
def test_a_percent_sign_starts_the_standard_input(command: str, line: str, stdin: str | None) -> None:
    job = only(f"0 0 * * * {command}\n")
    assert job["args"] == [line]
    assert job.get("kwargs", {}).get("stdin") == stdin


def test_a_line_of_a_system_crontab_names_its_user() -> None:
    (entry,) = read_crontab("17 * * * * www-data cd / && run-parts /etc/cron.hourly\n", system=True).entries
    assert entry.job["args"] == ["cd / && run-parts /etc/cron.hourly"]
    assert entry.job["id"] == "run-parts"
    assert entry.notes == ["ran as www-data: it runs as the scheduler's user now"]


@pytest.mark.parametrize(
    ("alias", "crontab"),
    [("@daily", "0 0 * * *"), ("@midnight", "0 0 * * *"), ("@hourly", "0 * * * *"), ("@weekly", "0 0 * * 0"),
     ("@monthly", "0 0 1 * *"), ("@yearly", "0 0 1 1 *"), ("@annually", "0 0 1 1 *"), ("@Daily", "0 0 * * *")],
)  # fmt: skip
def test_aliases_become_their_five_fields(alias: str, crontab: str) -> None:
    assert only(f"{alias} run\n")["trigger"]["crontab"] == crontab


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("@reboot start", "service manager"),
        ("@fortnightly run", "is not a schedule"),
        ("* * * * *", "is not a crontab line"),
        ("hello", "is not a crontab line"),
    ],
)
def test_what_is_not_a_job_is_left_out_with_the_reason(line: str, reason: str) -> None:
    (entry,) = read_crontab(line + "\n").entries
    assert entry.outcome == "left out"
    assert reason in entry.problem


def test_a_system_line_without_a_command_is_left_out() -> None:
    (entry,) = read_crontab("* * * * * root\n", system=True).entries
    assert "has no command" in entry.problem


def test_each_job_has_an_id_of_its_own() -> None:
    jobs = read_crontab("0 1 * * * /a/run.sh\n0 2 * * * /b/run.sh\n0 3 * * * 1 2\n0 4 * * * ÄÖ\n").jobs
    assert [job["id"] for job in jobs] == ["run.sh", "run.sh-2", "command", "command-2"]


def test_entries_say_where_they_stand() -> None:
    assert [entry.source for entry in read_crontab("# x\n\n0 1 * * * a\n0 2 * * * b\n").entries] == ["line 3", "line 4"]


# --- the threads that it takes ---------------------------------------------------------------------------------------


def said_of_threads(text: str) -> str:
    *_, last = read_crontab(text).entries
    return last.notes[0] if last.source == "the whole file" else ""


def test_the_report_says_how_many_threads_commands_of_one_minute_need() -> None:
    said = said_of_threads("*/5 * * * * a\n0 2 * * * b\n0 2-4 * * * c\n30 2 * * * d\n")
    assert "up to 3 of these commands start at 02:00" in said
    assert "SCHEDULER_THREADS=3" in said


def test_commands_of_different_minutes_need_no_word_about_threads() -> None:
    assert said_of_threads("0 1 * * * a\n0 2 * * * b\n") == ""


def test_the_days_of_commands_do_not_count() -> None:
    assert "up to 2" in said_of_threads("0 1 * * 1 a\n0 1 1 * * b\n")


def test_a_line_with_a_wrong_field_counts_for_nothing() -> None:
    assert said_of_threads("0 1 * * * a\n0 99 * * * b\n") == ""
